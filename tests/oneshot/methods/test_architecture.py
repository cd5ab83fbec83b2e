"""What differentiable methods share: the Adam of their architecture parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import AnyGates
from oneshot.methods.architecture import Differentiable
from oneshot.methods.base import Setup
from oneshot.methods.darts import Darts, DartsSettings
from oneshot.methods.gdas import Gdas, GdasSettings
from oneshot.samplers.uniform import Uniform
from oneshot.spaces.nasbench101 import ALL as CELLS
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import train
from tests.oneshot.methods.stepping import PLAIN, Watched, prepared

MAKE: dict[str, Callable[[float, float], Differentiable]] = {
    "darts": lambda rate, decay: Darts(ALL, DartsSettings(arch_learning_rate=rate, arch_weight_decay=decay)),
    "gdas": lambda rate, decay: Gdas(ALL, GdasSettings(arch_learning_rate=rate, arch_weight_decay=decay)),
}


@pytest.mark.parametrize("name", MAKE)
def test_alphas_take_the_steps_of_adam_by_hand(name: str) -> None:
    """Betas .5 and .999, and a weight decay that is part of the gradient (arXiv 1806.09055, section 3.1.1)."""
    rate, decay, method = 0.1, 0.3, MAKE[name](0.1, 0.3)
    empty = torch.zeros(1, 3, 2, 2), torch.zeros(1, dtype=torch.long)
    with torch.no_grad():
        for alpha in method.alphas:
            alpha.normal_()
    expected = [alpha.detach().clone() for alpha in method.alphas]
    means, squares = ([torch.zeros(5) for _ in expected] for _ in range(2))
    for n in range(1, 5):
        gradients = [torch.randn(5) for _ in expected]
        step = prepared(nn.Linear(1, 1), method, empty, empty)
        step.give(method.architecture, gradients, torch.zeros(()))
        step.finish()
        for alpha, gradient, mean, square in zip(expected, gradients, means, squares, strict=True):
            g = gradient + decay * alpha
            mean.mul_(0.5).add_(0.5 * g)
            square.mul_(0.999).add_(0.001 * g * g)
            alpha -= rate * (mean / (1 - 0.5**n)) / ((square / (1 - 0.999**n)).sqrt() + 1e-8)
        for alpha, wanted in zip(method.alphas, expected, strict=True):
            assert torch.allclose(alpha, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", MAKE)
def test_alphas_learn_from_held_out_images_and_weights_from_the_others(name: str, few: tuple[Images, Images]) -> None:
    """Every pixel of a held-out image is 4, of the others 9; the gates tell who learns."""
    parts = [replace(part, pixels=torch.full_like(part.pixels, v)) for part, v in zip(few, (9, 4), strict=True)]
    net, method = Watched(NasBench201Net(ALL, 2, 1)), MAKE[name](0.1, 0.0)
    train(net, method, parts[0], parts[1], replace(PLAIN, epochs=1, batch_size=32))
    held_out = float(parts[1].normalised(parts[1].pixels[:1]).mean())
    asked = [(float(x.mean()) == pytest.approx(held_out), needs_gradients(gates)) for x, gates in net.seen]
    assert asked == [(True, True), (False, False)] * 3
    assert all(alpha.any() for alpha in method.alphas)


def needs_gradients(gates: AnyGates) -> bool:
    return any(isinstance(weight, Tensor) and weight.requires_grad for gate in gates for _, weight in gate)  # pyright: ignore


def test_rate_and_decay_are_the_published_ones() -> None:
    for settings in (DartsSettings(), GdasSettings()):
        assert (settings.arch_learning_rate, settings.arch_weight_decay) == (3e-4, 1e-3)
    for method in (Darts(ALL), Gdas(ALL)):
        (group,) = method.architecture.optimizer.param_groups
        assert (group["lr"], group["weight_decay"], group["betas"]) == (3e-4, 1e-3, (0.5, 0.999))
        assert method.architecture.parameters == list(method.alphas)


@pytest.mark.parametrize("settings", [DartsSettings(), GdasSettings()])
def test_spaces_that_forbid_combinations_are_refused(settings: DartsSettings | GdasSettings) -> None:
    with pytest.raises(ValueError, match=r"nasbench101 forbids some combinations; it can search nasbench201, "):
        settings.make(Setup(CELLS, nn.Linear(1, 1), Uniform(CELLS)))


@pytest.mark.parametrize("kind", [DartsSettings, GdasSettings])
def test_bad_settings(kind: type) -> None:
    for name in ("arch_learning_rate", "arch_weight_decay"):
        with pytest.raises(ValueError, match=f"{name} must be a finite number of at least 0, got -1"):
            kind(**{name: -1.0})
    with pytest.raises(ValueError, match="order must be one of first, second, exact, got 'third'"):
        DartsSettings("third")
    with pytest.raises(ValueError, match=r"temperature must fall to a last_temperature above 0, got 1.0 and 2.0"):
        GdasSettings(1.0, 2.0)


def test_the_metrics_say_how_undecided_it_is() -> None:
    method = Darts(ALL)
    assert method.facts() == {"entropy": pytest.approx(torch.tensor(5.0).log().item())}
    with torch.no_grad():
        for alpha in method.alphas:
            alpha[2] = 100.0
    assert method.facts() == {"entropy": pytest.approx(0.0, abs=1e-6)}

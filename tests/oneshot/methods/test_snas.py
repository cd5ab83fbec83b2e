"""SNAS against equation 5, and its one round of both kinds of parameters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare

from oneshot.data.source import Images
from oneshot.gates import mixture
from oneshot.methods.snas import Snas, SnasSettings
from oneshot.spaces.nasbench201 import ALL
from oneshot.spaces.sequential import sequential
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import train
from tests.oneshot.methods.derivatives import Two, analytic, numeric
from tests.oneshot.methods.stepping import PLAIN, Watched, prepared

TOY = sequential("toy", ("one", "other"), 1)


def toy(settings: SnasSettings | None = None) -> Snas:
    method = Snas(TOY, settings).double()
    with torch.no_grad():
        method.alphas[0].copy_(torch.tensor([0.3, -0.2], dtype=torch.float64))
    return method


def test_a_draw_of_two_options_by_hand() -> None:
    """z_1 = sigmoid((log a_1 - log a_2 + g_1 - g_2) / lambda)."""
    method = toy(SnasSettings(temperature=2.0, last_temperature=0.5))
    g = np.random.default_rng(3).gumbel(size=2)
    for progress, temperature in ((0.0, 2.0), (0.5, 1.25), (1.0, 0.5)):
        (z,) = method.sample(np.random.default_rng(3), progress)
        expected = 1 / (1 + np.exp(-(0.3 + 0.2 + g[0] - g[1]) / temperature))
        assert z.tolist() == pytest.approx([expected, 1 - expected], rel=1e-12)


def test_its_gradient_is_the_derivative_of_the_drawn_loss() -> None:
    method, net = toy(), Two()

    def loss() -> torch.Tensor:
        gates = mixture(TOY, method.sample(np.random.default_rng(5), 0.3))
        return F.cross_entropy(net(torch.zeros(2, 1), gates), torch.tensor([0, 1]))

    parameters = [method.alphas[0], net.options]
    for a, b in zip(analytic(loss, parameters), numeric(loss, parameters), strict=True):
        assert torch.allclose(a, b, rtol=1e-6, atol=1e-9)
        assert a.any()


@pytest.mark.parametrize("progress", [0.0, 1.0])
def test_the_strongest_of_a_draw_is_as_likely_as_its_probability(progress: float) -> None:
    method, rng = Snas(ALL), np.random.default_rng(0)
    with torch.no_grad():
        method.alphas[0].copy_(torch.tensor([0.0, 1.0, 2.0, 0.5, -1.0]))
        drawn = [int(method.sample(rng, progress)[0].argmax()) for _ in range(4000)]
    expected = method.alphas[0].detach().double().softmax(0).numpy() * len(drawn)
    assert chisquare(np.bincount(drawn, minlength=5), expected).pvalue > 0.01


def test_its_temperature_falls_from_one_to_nearly_nothing() -> None:
    method = Snas(ALL)
    assert (method.settings.temperature, method.settings.last_temperature) == (1.0, 0.03)
    ends = [torch.stack(method.sample(np.random.default_rng(0), p)).detach().max(1).values.mean() for p in (0.0, 1.0)]
    assert float(ends[0]) < 0.8
    assert float(ends[1]) > 0.95


def test_a_cold_draw_is_the_fixed_path() -> None:
    method, net, x = Snas(ALL, SnasSettings(1e-6, 1e-6)), NasBench201Net(ALL, 4, 1).eval(), torch.randn(2, 3, 8, 8)
    z = method.sample(np.random.default_rng(1), 0.0)
    arch = tuple(int(vector.argmax()) for vector in z)
    assert torch.allclose(net(x, mixture(ALL, z)), net(x, ALL.gates(arch)), atol=1e-6)


def test_one_loss_on_training_images_moves_both(few: tuple[Images, Images]) -> None:
    parts = [replace(part, pixels=torch.full_like(part.pixels, v)) for part, v in zip(few, (9, 4), strict=True)]
    net, method = Watched(NasBench201Net(ALL, 2, 1)), Snas(ALL)
    before = [p.detach().clone() for p in net.parameters()]
    train(net, method, parts[0], parts[1], replace(PLAIN, epochs=1, batch_size=32))
    trained = float(parts[0].normalised(parts[0].pixels[:1]).mean())
    assert [float(x.mean()) for x, _ in net.seen] == pytest.approx([trained] * 3)
    assert all(alpha.any() for alpha in method.alphas)
    assert any(not torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True))


def test_both_gradients_are_of_the_same_pass(few: tuple[Images, Images]) -> None:
    images, held_out = ((part.normalised(part.pixels[:32]), part.labels[:32]) for part in few)
    net, method = NasBench201Net(ALL, 4, 1), Snas(ALL)
    step = prepared(net, method, images, held_out)
    method.step(step)
    again = prepared(net, method, images, held_out)
    loss = again.loss(net(images[0], mixture(ALL, method.sample(again.rng, 0.0))), images[1])
    parameters = [*method.alphas, *net.parameters()]
    for p, gradient in zip(parameters, torch.autograd.grad(loss, parameters), strict=True):
        assert p.grad is not None
        assert torch.allclose(p.grad, gradient, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("first", "last"), [(1.0, 0.0), (0.5, 1.0), (float("inf"), 1.0), (1.0, float("nan"))])
def test_impossible_temperatures(first: float, last: float) -> None:
    with pytest.raises(ValueError, match="temperature must fall to a last_temperature above 0"):
        SnasSettings(first, last)

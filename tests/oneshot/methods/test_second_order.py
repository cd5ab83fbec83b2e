"""Second-order DARTS (arXiv 1806.09055, equations 6 to 8) against the derivative that it approximates."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import mixture
from oneshot.methods.darts import Darts, DartsSettings
from oneshot.methods.gdas import Gdas, GdasSettings
from oneshot.spaces.nasbench201 import ALL
from oneshot.spaces.sequential import sequential
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.recipe import Recipe
from oneshot.training.step import Step
from oneshot.training.weights import Weights

TOY = sequential("toy", ("linear", "tanh"), 1)
RATE, MOMENTUM, DECAY = 0.3, 0.9, 0.01
RECIPE = Recipe(
    epochs=1, batch_size=8, learning_rate=RATE, momentum=MOMENTUM, weight_decay=DECAY, precision="float32", shift=0
)


class ToyNet(nn.Module):
    """Two options over one input, in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 4, dtype=torch.float64)
        self.squashed = nn.Linear(3, 4, dtype=torch.float64)

    def forward(self, x: Tensor, gates: Any) -> Tensor:
        options = self.linear(x), torch.tanh(self.squashed(x))
        return sum((weight * options[i] for i, weight in gates[0]), torch.zeros(len(x), 4, dtype=torch.float64))


def batches() -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    x = torch.randn(2, 8, 3, dtype=torch.float64)
    return (x[0], torch.arange(8) % 4), (x[1], torch.arange(8) // 2)


def step_of(net: nn.Module, method: Darts | Gdas, weights: Weights, train: Any, valid: Any) -> Step:
    for group in weights.optimizer.param_groups:
        group["lr"] = RATE
    return Step(weights, list(method.targets().values()), train, lambda: valid, (0, 0, 0), 0.0)


def warmed(net: nn.Module, train: Any) -> Weights:
    """With some momentum."""
    weights = Weights(net, RECIPE)
    for p in weights.parameters:
        p.grad = torch.randn_like(p) * 0.1
    weights.optimizer.step()
    weights.optimizer.zero_grad(set_to_none=True)
    return weights


def toy(order: str) -> tuple[ToyNet, Darts, Step]:
    torch.manual_seed(1)
    net, method = ToyNet(), Darts(TOY, DartsSettings(order=order)).double()
    with torch.no_grad():
        method.alphas[0].copy_(torch.tensor([0.3, -0.2], dtype=torch.float64))
    train, valid = batches()
    return net, method, step_of(net, method, warmed(net, train), train, valid)


def gradient(order: str) -> Tensor:
    """What the architecture learned in half a step."""
    net, method, step = toy(order)
    method.learn(step)
    assert all(p.grad is None for p in net.parameters())
    found = method.alphas[0].grad
    assert found is not None
    return found


def numeric() -> Tensor:
    """Of the validation loss behind one step of SGD, by central differences of alpha: equation 6."""
    net, method, step = toy("exact")
    (x, y), (vx, vy) = (step.images, step.labels), step.held_out()
    before = [p.detach().clone() for p in step.weights.parameters]

    def loss_at(alpha: Tensor) -> float:
        gates = mixture(TOY, [alpha.softmax(0)])
        grads = torch.autograd.grad(nn.functional.cross_entropy(net(x, gates), y), step.weights.parameters)
        buffers = [step.weights.optimizer.state[p]["momentum_buffer"] for p in step.weights.parameters]
        with torch.no_grad():
            for p, g, b in zip(step.weights.parameters, grads, buffers, strict=True):
                p -= RATE * (MOMENTUM * b + g + DECAY * p)
            value = float(nn.functional.cross_entropy(net(vx, gates), vy))
            for p, old in zip(step.weights.parameters, before, strict=True):
                p.copy_(old)
        return value

    alpha, found = method.alphas[0].detach(), []
    for i in range(2):
        h = torch.zeros(2, dtype=torch.float64)
        h[i] = 1e-5
        found.append((loss_at(alpha + h) - loss_at(alpha - h)) / 2e-5)
    return torch.tensor(found, dtype=torch.float64)


@pytest.fixture(autouse=True)
def _exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    """The loss in float64, which a training does not need."""
    monkeypatch.setattr(Step, "_cross_entropy", lambda _, logits, labels: nn.functional.cross_entropy(logits, labels))


def test_exact_is_the_derivative_through_the_step_with_momentum_and_decay() -> None:
    assert torch.allclose(gradient("exact"), numeric(), rtol=1e-6, atol=1e-9)


def test_finite_differences_are_near_it_and_first_order_is_not() -> None:
    exact, second, first = gradient("exact"), gradient("second"), gradient("first")
    assert torch.allclose(second, exact, rtol=1e-2, atol=1e-5)
    assert float((second - exact).abs().max()) < 0.05 * float((first - exact).abs().max())


def test_on_a_network_both_agree_and_leave_everything_as_it_was(
    few: tuple[Images, Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    """NAS-Bench-201 in float64, at a radius that meets few kinks of ReLUs: at the released .01 the cosine is .87."""
    monkeypatch.setattr("oneshot.methods.bilevel.RADIUS", 1e-6)
    monkeypatch.setattr("tests.oneshot.methods.test_second_order.RATE", 0.025)
    found = []
    for order in ("second", "exact"):
        torch.manual_seed(0)
        net, method = NasBench201Net(ALL, 4, 1).double(), Darts(ALL, DartsSettings(order=order)).double()
        net.train()
        train, valid = ((part.normalised(part.pixels[:32]).double(), part.labels[:32]) for part in few)
        step = step_of(net, method, warmed(net, train), train, valid)
        before = {k: v.clone() for k, v in net.state_dict().items() if "running" not in k and "tracked" not in k}
        method.learn(step)
        assert all(torch.equal(v, net.state_dict()[k]) for k, v in before.items())
        found.append(torch.stack([a.grad for a in method.alphas if a.grad is not None]))
    second, exact = (g.flatten() for g in found)
    assert float(torch.dot(second, exact) / (second.norm() * exact.norm())) > 0.9999
    assert float((second - exact).norm() / exact.norm()) < 0.01


def test_muon_has_no_virtual_step() -> None:
    net = NasBench201Net(ALL, 2, 1)
    weights = Weights(net, Recipe(epochs=1, optimizer="muon"))
    with pytest.raises(ValueError, match=r"optimizer must be sgd, got Muon"):
        weights.stepped([None] * len(weights.parameters))


def test_gdas_anneals_and_draws_what_its_probabilities_say() -> None:
    import numpy as np

    method = Gdas(ALL, GdasSettings(temperature=10, last_temperature=0.1))
    with torch.no_grad():
        method.alphas[0].copy_(torch.tensor([0.0, 1.0, 2.0, 0.0, 0.0]))
    rng = np.random.default_rng(0)
    drawn = [int(method.sample(rng, 0.5)[0].detach().argmax()) for _ in range(3000)]
    shares = torch.bincount(torch.tensor(drawn), minlength=5) / len(drawn)
    assert torch.allclose(shares, method.alphas[0].detach().softmax(0), atol=0.03)  # whatever the temperature
    for progress, temperature in ((0.0, 10.0), (1.0, 0.1)):
        rng = np.random.default_rng(1)
        one = method.sample(rng, progress)[0]
        assert one.detach().sort().values.tolist() == [0, 0, 0, 0, 1]
        (gradient,) = torch.autograd.grad(one[2], method.alphas[0])
        noise = torch.from_numpy(np.random.default_rng(1).gumbel(size=5)).float()
        alpha = method.alphas[0].detach().clone().requires_grad_()
        soft = ((alpha.log_softmax(0) + noise) / temperature).softmax(0)
        assert torch.allclose(gradient, torch.autograd.grad(soft[2], alpha)[0], atol=1e-6)
    with pytest.raises(ValueError, match="temperature must fall to a last_temperature above 0"):
        GdasSettings(temperature=1.0, last_temperature=2.0)

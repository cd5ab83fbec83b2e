"""DARTS against hand-computed mixtures, and its seams."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.data.source import Images
from oneshot.gates import mixture
from oneshot.methods.bilevel import ORDERS
from oneshot.methods.darts import Darts, DartsSettings
from oneshot.nn.choice import ChoiceBlock, Feature
from oneshot.nn.operations import nasbench201
from oneshot.spaces.nasbench201 import ALL, CONV, OPERATIONS
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe
from tests.oneshot.methods.stepping import PLAIN, Batch, Watched, prepared

Few = tuple[Images, Images]


def batches(few: Few) -> tuple[Batch, Batch]:
    """Of training images and of held-out ones."""
    parts = (part.subset(slice(0, 32)) for part in few)
    images, held_out = ((part.normalised(part.pixels), part.labels) for part in parts)
    return images, held_out


def test_a_mixture_by_hand() -> None:
    """softmax(ln 1, ln 2, ln 3, ln 4, ln 6) = (1, 2, 3, 4, 6) / 16 (arXiv 1806.09055, equation 2)."""
    block = ChoiceBlock(OPERATIONS, nasbench201(affine=False), 2, 2)
    x = torch.randn(3, 2, 5, 5)
    alpha = torch.tensor([math.log(v) for v in (1, 2, 3, 4, 6)])
    y = block(Feature(x), tuple(enumerate(alpha.softmax(0).unbind())))

    def conv(i: int) -> Tensor:
        z = F.conv2d(F.relu(x), block.options[i].conv.weight, padding=i - 2)  # pyright: ignore
        return (z - z.mean((0, 2, 3), keepdim=True)) / (z.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()

    pool = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(y, (2 * x + 3 * conv(2) + 4 * conv(3) + 6 * pool) / 16, atol=1e-5)


def test_the_gates_are_the_mixture_of_its_probabilities() -> None:
    method = Darts(ALL)
    with torch.no_grad():
        for alpha in method.alphas:
            alpha.normal_()
    expected = mixture(ALL, [torch.softmax(alpha, 0) for alpha in method.alphas])
    for gate, other in zip(method.gates(), expected, strict=True):
        assert [option for option, _ in gate] == [0, 1, 2, 3, 4] == [option for option, _ in other]
        assert torch.equal(torch.stack([w for _, w in gate]), torch.stack([w for _, w in other]))  # pyright: ignore


def test_the_first_loss_moves_alphas_alone_and_the_second_weights_alone(few: Few) -> None:
    method, net = Darts(ALL), NasBench201Net(ALL, 4, 1)
    step = prepared(net, method, *batches(few))
    before = [p.detach().clone() for p in net.parameters()]
    learned = []

    class Stopping(Exception):
        pass

    def update(target: object) -> None:
        learned.append(target)
        raise Stopping

    step.update = update  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(Stopping):
        method.step(step)
    assert learned == [method.architecture]
    assert all(alpha.grad is not None and alpha.grad.any() for alpha in method.alphas)
    assert all(p.grad is None for p in net.parameters())

    step = prepared(net, method, *batches(few))
    method.step(step)
    alphas = [alpha.detach().clone() for alpha in method.alphas]
    assert all(alpha.any() for alpha in alphas)
    assert all(alpha.grad is None for alpha in method.alphas)
    assert all(p.grad is not None for p in net.parameters())
    assert all(torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True))
    step.weights.optimizer.param_groups[0]["lr"] = 0.1
    step.finish()
    assert not any(torch.equal(p, old) for p, old in zip(net.parameters(), before, strict=True) if p.dim() == 4)
    assert all(torch.equal(alpha, old) for alpha, old in zip(method.alphas, alphas, strict=True))


def test_the_first_loss_is_of_held_out_images(few: Few) -> None:
    method, net, (images, held_out) = Darts(ALL), NasBench201Net(ALL, 4, 1), batches(few)
    gates = mixture(ALL, [torch.full((5,), 0.2)] * 6)
    expected = F.cross_entropy(net(held_out[0], gates), held_out[1])
    step = prepared(net, method, images, held_out)
    method.step(step)
    assert {name: len(losses) for name, losses in step.losses.items()} == {"valid_loss": 1, "loss": 1}
    assert torch.allclose(step.losses["valid_loss"][0], expected, atol=1e-5)
    moved = F.cross_entropy(net(images[0], method.gates()), images[1])
    assert torch.allclose(step.losses["loss"][0], moved, atol=1e-5)


@pytest.mark.parametrize("order", ORDERS)
def test_what_moves_the_alphas_is_the_gradient_on_held_out_images(order: str, few: Few) -> None:
    """At a learning rate of zero all three orders are the first: Adam is handed that gradient of the held-out loss."""
    images, held_out = batches(few)
    method, net = Darts(ALL, DartsSettings(order)), NasBench201Net(ALL, 4, 1)
    expected = []
    for x, y in (held_out, images):
        gates = method.gates()
        loss = F.cross_entropy(net(x, gates), y)
        expected.append(torch.autograd.grad(loss, list(method.alphas)))
    given, optimizer = [], method.architecture.optimizer
    optimizer.register_step_pre_hook(lambda *_: given.extend(p.grad.clone() for p in method.alphas))  # pyright: ignore
    step = prepared(net, method, images, held_out)
    step.weights.optimizer.param_groups[0]["lr"] = step.weights.optimizer.param_groups[1]["lr"] = 0.0
    method.step(step)
    for gradient, of_held_out, of_trained in zip(given, *expected, strict=True):
        assert torch.allclose(gradient, of_held_out, rtol=1e-3, atol=1e-6)
        assert not torch.allclose(gradient, of_trained, rtol=0.05, atol=1e-4)


def test_alphas_move_before_the_weights_are_trained(few: Few) -> None:
    """Algorithm 1: the weights' loss sees the alphas of this step, not of the last."""
    net = Watched(NasBench201Net(ALL, 4, 1))
    method = Darts(ALL, DartsSettings(arch_learning_rate=0.1, arch_weight_decay=0.0))
    train(net, method, *few, Recipe(epochs=1, batch_size=96))
    (_, first), (_, second) = net.seen
    weights = [torch.stack([w for _, w in gates[0]]) for gates in (first, second)]  # pyright: ignore
    assert torch.allclose(weights[0], torch.full((5,), 0.2))
    alphas = method.alphas[0].detach()
    assert alphas.abs().max() == pytest.approx(0.1, rel=1e-3)  # Adam's first step
    assert torch.allclose(weights[1], alphas.softmax(0))
    assert not weights[1].requires_grad


@pytest.mark.parametrize("order", ORDERS)
def test_a_training_asks_for_held_out_images_where_alphas_learn(order: str, few: Few) -> None:
    """Every pixel of a held-out image is 4, of the others 9."""
    images, held_out = (replace(p, pixels=torch.full_like(p.pixels, v)) for p, v in zip(few, (9, 4), strict=True))
    mark = float(held_out.normalised(held_out.pixels[:1]).mean())
    net, method = Watched(NasBench201Net(ALL, 2, 1)), Darts(ALL, DartsSettings(order))
    train(net, method, images, held_out, replace(PLAIN, epochs=1, batch_size=48))
    asked = [int(float(x.mean()) == pytest.approx(mark)) for x, _ in net.seen]
    one = {"first": [1, 0], "second": [0, 1, 0, 0, 0], "exact": [0, 1, 0]}[order]
    assert asked == one * 2


def test_derives_the_strongest_option_but_never_zero() -> None:
    method = Darts(ALL)
    with torch.no_grad():
        for i, alpha in enumerate(method.alphas):
            alpha[i % 5], alpha[0] = 2.0, 3.0
    assert method.derive() == (1, 1, 2, 3, 4, 1)
    assert Darts(CONV).derive() == (0,) * 6


def test_its_architecture_is_looked_up_in_the_table(few: Few) -> None:
    from oneshot.benchmarks.table import find_table

    method = Darts(ALL, DartsSettings(arch_learning_rate=0.05))
    train(NasBench201Net(ALL, 4, 1), method, *few, Recipe(epochs=2, batch_size=32))
    found = method.derive()
    assert found is not None
    table = find_table("nasbench201-digits")
    if ALL.format(found) in table:
        assert table.row(found)["digits_test"] > 50
    else:
        with pytest.raises(ValueError, match="1 of 1 architectures are not among"):
            table.row(found)

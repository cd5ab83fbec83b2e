"""First-order DARTS against hand-computed mixtures, and its seams."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from oneshot.data.source import Images
from oneshot.gates import mixture
from oneshot.methods.base import Batch
from oneshot.methods.darts import Darts
from oneshot.nn.choice import ChoiceBlock, Feature
from oneshot.nn.operations import nasbench201
from oneshot.spaces.nasbench201 import ALL, CONV, OPERATIONS
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe


def batch(few: tuple[Images, Images]) -> Batch:
    train_images, valid = (part.subset(slice(0, 32)) for part in few)
    held_out = (valid.normalised(valid.pixels), valid.labels)
    images = train_images.normalised(train_images.pixels)
    return Batch(images, train_images.labels, lambda: held_out, np.random.default_rng(0), F.cross_entropy)


def test_a_mixture_by_hand() -> None:
    """softmax(ln 1, ln 2, ln 3, ln 4, ln 6) = (1, 2, 3, 4, 6) / 16 (arXiv 1806.09055, equation 2)."""
    block = ChoiceBlock(OPERATIONS, nasbench201(affine=False), 2, 2)
    x = torch.randn(3, 2, 5, 5)
    alpha = torch.tensor([math.log(v) for v in (1, 2, 3, 4, 6)])
    y = block(Feature(x), tuple(enumerate(alpha.softmax(0).unbind())))

    def conv(i: int) -> torch.Tensor:
        z = F.conv2d(F.relu(x), block.options[i].conv.weight, padding=i - 2)  # pyright: ignore
        return (z - z.mean((0, 2, 3), keepdim=True)) / (z.var((0, 2, 3), unbiased=False, keepdim=True) + 1e-5).sqrt()

    pool = F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    assert torch.allclose(y, (2 * x + 3 * conv(2) + 4 * conv(3) + 6 * pool) / 16, atol=1e-5)


def test_the_first_loss_moves_alphas_alone_and_the_second_weights_alone(few: tuple[Images, Images]) -> None:
    method, net = Darts(ALL), NasBench201Net(ALL, 4, 1)
    losses = method.losses(net, batch(few), 0.0)
    next(losses).backward()
    assert all(alpha.grad is not None and alpha.grad.any() for alpha in method.alphas)
    assert all(p.grad is None for p in net.parameters())
    for alpha in method.alphas:
        alpha.grad = None
    next(losses).backward()
    assert all(alpha.grad is None for alpha in method.alphas)
    assert all(p.grad is not None for p in net.parameters())
    assert next(losses, None) is None


def test_the_first_loss_is_of_held_out_images(few: tuple[Images, Images]) -> None:
    method, net, given = Darts(ALL), NasBench201Net(ALL, 4, 1), batch(few)
    gates = mixture(ALL, [torch.full((5,), 0.2)] * 6)
    x, labels = given.held_out()
    expected = F.cross_entropy(net(x, gates), labels)
    first, second = method.losses(net, given, 0.0)
    assert torch.allclose(first, expected, atol=1e-5)
    assert torch.allclose(second, F.cross_entropy(net(given.images, gates), given.labels), atol=1e-5)


def test_alphas_move_before_the_weights_are_trained(few: tuple[Images, Images]) -> None:
    """Algorithm 1: the weights' loss sees the alphas of this step, not of the last."""
    seen = []

    class Watched(Darts):
        def losses(self, net, batch, progress):
            losses = super().losses(net, batch, progress)
            seen.append(self.alphas[0].detach().clone())
            yield next(losses)
            seen.append(self.alphas[0].detach().clone())
            yield from losses

    recipe = Recipe(epochs=1, batch_size=96, arch_learning_rate=0.1, arch_weight_decay=0.0)
    train(NasBench201Net(ALL, 4, 1), Watched(ALL), few[0], few[0], recipe)
    assert not seen[0].any()
    assert seen[1].abs().max() == pytest.approx(0.1, rel=1e-3)  # Adam's first step


def test_derives_the_strongest_option_but_never_zero() -> None:
    method = Darts(ALL)
    with torch.no_grad():
        for i, alpha in enumerate(method.alphas):
            alpha[i % 5], alpha[0] = 2.0, 3.0
    assert method.derive() == (1, 1, 2, 3, 4, 1)
    assert Darts(CONV).derive() == (0,) * 6


def test_its_architecture_is_looked_up_in_the_table(few: tuple[Images, Images]) -> None:
    from oneshot.benchmarks.table import find_table

    method = Darts(ALL)
    train(NasBench201Net(ALL, 4, 1), method, *few, Recipe(epochs=2, batch_size=32, arch_learning_rate=0.05))
    found = method.derive()
    assert found is not None
    table = find_table("nasbench201-digits")
    if ALL.format(found) in table:
        assert table.row(found)["digits_test"] > 50
    else:
        with pytest.raises(ValueError, match="1 of 1 architectures are not among"):
            table.row(found)

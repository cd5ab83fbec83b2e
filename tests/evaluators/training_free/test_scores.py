"""Each score against its definition, computed slowly on the network written out as a formula."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oneshot.evaluators.training_free import az_nas, gradients, jacov, naswot, swap, synflow, vkdnw
from oneshot.evaluators.training_free.subject import Unreadable
from torch import nn

from tests.evaluators.training_free.plain import CLASSES, Written, small

USED = ("stem.weight", "halve.weight", "keep.weight", "classifier.weight")


def loss_gradients(images: slice = slice(None)) -> dict[str, np.ndarray]:
    subject = small()
    twin = Written.of(subject.net)
    logits = twin(subject.batch.images[images].double())
    F.cross_entropy(logits, subject.batch.labels[images]).backward()
    return {name: twin.weights[name].grad.numpy() for name in USED}  # pyright: ignore


def test_gradient_norm() -> None:
    expected = sum(math.sqrt((g**2).sum()) for g in loss_gradients().values())
    assert gradients.GradientNorm().score(small()) == pytest.approx(expected, rel=1e-4)


def test_snip() -> None:
    weights = Written.of(small().net).weights
    expected = sum(abs(g * weights[name].detach().numpy()).sum() for name, g in loss_gradients().items())
    assert gradients.Snip().score(small()) == pytest.approx(expected, rel=1e-4)


def test_zico() -> None:
    both = [loss_gradients(slice(0, 3)), loss_gradients(slice(3, 6))]
    expected = 0.0
    for name in USED:
        sizes = np.stack([abs(each[name]) for each in both]).reshape(2, -1)
        ratios = [size.mean() / size.std() for size in sizes.T if size.std() > 0]
        expected += math.log(sum(ratios))
    assert gradients.Zico(batch=3).score(small()) == pytest.approx(expected, rel=1e-3)


def test_synflow() -> None:
    """The flow over all paths of the weights: each layer's weights times their gradients sum to what flows through."""
    subject = small()
    twin = Written.of(subject.net, normalises=False)
    for name, p in twin.weights.items():
        p.data = p.data.abs() if name in USED else torch.zeros_like(p)
    twin(torch.ones(1, 3, 8, 8, dtype=torch.float64)).sum().backward()
    expected = sum(float((twin.weights[name].grad * twin.weights[name].detach()).sum()) for name in USED)  # pyright: ignore
    assert synflow.Synflow().score(subject) == pytest.approx(expected, rel=1e-10)


def test_synflow_takes_relu6_without_its_end() -> None:
    assert synflow.Synflow().score(small(activation=nn.ReLU6)) == synflow.Synflow().score(small())


def test_synflow_refuses_what_does_not_double() -> None:
    with pytest.raises(Unreadable, match="whose logits double"):
        synflow.Synflow().score(small(activation=nn.SiLU))


def jacobian_of(index: int) -> np.ndarray:
    subject = small()
    images = subject.batch.images.double().requires_grad_()
    logits = Written.of(subject.net)(images)
    rows = [torch.autograd.grad(logits[:, c].sum(), images, retain_graph=True)[0][index] for c in range(CLASSES)]
    return torch.stack(rows).sum(0).flatten().numpy()


def test_jacov() -> None:
    correlations = np.corrcoef([jacobian_of(i) for i in range(6)])
    v = np.linalg.eigvalsh(correlations)
    expected = -(np.log(v + 1e-5) + 1 / (v + 1e-5)).sum()
    assert jacov.Jacov().score(small()) == pytest.approx(expected, rel=1e-4)


def patterns() -> np.ndarray:
    """[units, images], 1 where a ReLU is on."""
    subject = small()
    twin = Written.of(subject.net)
    with torch.no_grad():
        twin(subject.batch.images.double())
    return np.concatenate([(y > 0).flatten(1).T.numpy() for y in twin.relus]).astype(int)


def test_naswot() -> None:
    rows = patterns().T
    alike = np.array([[(a == b).sum() for b in rows] for a in rows])
    sign, expected = np.linalg.slogdet(alike)
    assert sign == 1
    assert naswot.Naswot().score(small()) == pytest.approx(expected, rel=1e-9)


def test_swap() -> None:
    assert swap.Swap().score(small()) == len({tuple(unit) for unit in patterns()})


@pytest.mark.parametrize("images", [3, 16, 17, 64, 65, 200])
def test_packed_patterns_are_as_many(images: int) -> None:
    codes = torch.rand(images, 300, generator=torch.Generator().manual_seed(images)) > 0.5
    codes = codes[:, torch.randint(100, (300,))]
    assert len(swap.packed(codes).unique()) == len({tuple(unit.tolist()) for unit in codes.T})


def test_naswot_and_swap_need_relus() -> None:
    for score in (naswot.Naswot(), swap.Swap()):
        with pytest.raises(Unreadable, match="signs of ReLUs"):
            score.score(small(activation=nn.Tanh))


def blocks() -> list[torch.Tensor]:
    subject = small()
    twin = Written.of(subject.net)
    twin(subject.batch.images.double())
    return twin.blocks


def block_entropies() -> list[float]:
    found = []
    for y in blocks():
        x = y.detach().permute(0, 2, 3, 1).reshape(-1, y.shape[1]).numpy()
        v = np.linalg.svd(x - x.mean(0), compute_uv=False) ** 2
        p = v / v.sum()
        found.append(-(p * np.log(p)).sum())
    return found


def test_az_expressivity_and_progressivity() -> None:
    each = block_entropies()
    assert az_nas.Expressivity().score(small()) == pytest.approx(sum(each), rel=1e-5)
    assert az_nas.Progressivity().score(small()) == pytest.approx(min(b - a for a, b in pairwise(each)), abs=1e-5)


def test_az_trainability() -> None:
    """Pixel by pixel: the outer products of what comes back with the signs, averaged."""
    found, draws, each = blocks(), small().generator(), []
    for before, after in reversed(list(pairwise(found))):
        signs = torch.randint(0, 2, after.shape, generator=draws).double() * 2 - 1
        (back,) = torch.autograd.grad(after, before, signs, retain_graph=True)
        stride, total, count = before.shape[2] // after.shape[2], 0.0, 0
        for image in range(len(after)):
            for row in range(after.shape[2]):
                for column in range(after.shape[3]):
                    square = back[image, :, row * stride : (row + 1) * stride, column * stride : (column + 1) * stride]
                    total = total + torch.outer(square.flatten(), signs[image, :, row, column])
                    count += 1
        s = float(torch.linalg.svdvals(total / count).max())  # pyright: ignore
        each.append(-s - 1 / (s + 1e-6) + 2)
    assert az_nas.Trainability().score(small()) == pytest.approx(np.mean(each), rel=1e-4)


def test_az_nas_measures_its_four_parts_at_once() -> None:
    parts = az_nas.AzNas().parts(small())
    assert parts["expressivity"] == az_nas.Expressivity().score(small())
    assert parts["progressivity"] == az_nas.Progressivity().score(small())
    assert parts["trainability"] == az_nas.Trainability().score(small())
    assert parts["complexity"] == az_nas.Complexity().score(small()) == 1.5


def test_vkdnw() -> None:
    """Each image by itself, each derivative by central differences, the information by its definition."""
    subject, layers = small(), USED
    twin, images, step = Written.of(subject.net, training=False), subject.batch.images.double(), 1e-6
    information = np.zeros((len(layers), len(layers)))
    for image in images.split(1):
        columns = []
        for name in layers:
            sides = []
            for sign in (1, -1):
                first = twin.weights[name].data.view(-1)
                first[0] += sign * step
                sides.append(twin(image)[0].detach())
                first[0] -= sign * step
            columns.append((sides[0] - sides[1]) / (2 * step))
        j = torch.stack(columns, 1)
        p = twin(image)[0].detach().softmax(0)
        information += (j.T @ (torch.diag(p) - torch.outer(p, p)) @ j).numpy() / len(images)
    deciles = np.quantile(np.linalg.eigvalsh(information), np.arange(0.1, 0.95, 0.1))
    p = deciles / deciles.sum()
    expected = len(layers) - (p * np.log(p)).sum()
    assert vkdnw.Vkdnw().score(subject) == pytest.approx(expected, rel=1e-4)


def test_vkdnw_aggregate_takes_the_parts_of_others() -> None:
    parts = vkdnw.VkdnwAggregate().parts(small())
    assert parts["vkdnw"] == vkdnw.Vkdnw().score(small())
    assert parts["jacov"] == jacov.Jacov().score(small())
    assert parts["trainability"] == az_nas.Trainability().score(small())


SINGLE = (
    gradients.GradientNorm(), gradients.Snip(), gradients.Zico(batch=3), synflow.Synflow(), jacov.Jacov(),
    naswot.Naswot(), swap.Swap(), az_nas.Expressivity(), az_nas.Progressivity(), az_nas.Trainability(), vkdnw.Vkdnw(),
)  # fmt: skip


@pytest.mark.parametrize("score", SINGLE, ids=lambda score: score.name)
def test_a_network_through_which_nothing_flows_is_worse_than_others(score: object) -> None:
    dead = score.score(small(dead=True))  # pyright: ignore[reportAttributeAccessIssue]
    others = [score.score(small(seed=seed)) for seed in range(3)]  # pyright: ignore[reportAttributeAccessIssue]
    assert math.isfinite(dead)
    assert dead <= min(others)

"""What architectures have in common is made once, as far as the memory goes, and moves its statistics once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn

from oneshot.gates import fixed
from oneshot.nn.norm import batch_norms
from oneshot.nn.operations import nasbench201
from oneshot.nn.sharing import Sharing
from oneshot.spaces.nasbench201 import ALL
from oneshot.spaces.sequential import Layer, sequential
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.supernets.sequential import SequentialNet

SHORT = sequential("short", ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"), 4)
GATES = [fixed(SHORT, (a, b, 1, 2)) for a in range(4) for b in range(4)]
"""Of 16 chains that differ in two layers, whose options have 0, 1, 1, 0 convolutions, and agree in two more."""
SHARED = 1 + 2 + 4 * 2 + 16 * 2
"""Their convolutions: a skip in the first layer hands on the stem's own value, in the second the first layer's."""
APART = sum(1 + (a in (1, 2)) + (b in (1, 2)) + 2 for a in range(4) for b in range(4))
BOUNDLESS = 1 << 40


def chain() -> SequentialNet:
    head = nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10))
    return SequentialNet(SHORT, nasbench201(affine=True), [Layer(6, 6)] * 4, nn.Conv2d(3, 6, 3, padding=1), head)


@pytest.fixture
def net() -> SequentialNet:
    return chain()


@pytest.fixture
def ran(net: SequentialNet) -> list[nn.Module]:
    """The convolutions that ran, one after another."""
    found: list[nn.Module] = []
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_pre_hook(lambda module, inputs: found.append(module))
    return found


@pytest.fixture(autouse=True)
def _no_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def batch() -> Tensor:
    return torch.randn(2, 3, 8, 8)


def test_common_beginnings_are_made_once(net: SequentialNet, ran: list[nn.Module]) -> None:
    images = batch()
    expected = [net(images, gate) for gate in GATES]  # BatchNorm by the batch's own statistics
    ran.clear()
    got = list(Sharing(net, GATES, BOUNDLESS)(images))
    assert all(torch.allclose(a, b, atol=1e-5) for a, b in zip(got, expected, strict=True))
    assert ran.count(net.stem) == 1
    assert len(ran) == SHARED


def test_no_more_is_kept_than_the_memory_holds(net: SequentialNet, ran: list[nn.Module]) -> None:
    """A byte less than all that is of use, and something is made again; without memory everything."""
    images = batch()
    boundless = Sharing(net, GATES, BOUNDLESS)
    expected = list(boundless(images))
    assert boundless.peak > images.numel() * 4
    counts = {}
    for memory in (boundless.peak, boundless.peak - 1, 0):
        ran.clear()
        got = list(Sharing(net, GATES, memory)(images))
        assert all(map(torch.equal, got, expected))
        counts[memory] = len(ran)
    assert counts[boundless.peak] == SHARED
    assert SHARED < counts[boundless.peak - 1] < APART
    assert counts[0] == APART


@pytest.mark.parametrize("momentum", [0.1, None])
def test_what_is_made_again_moves_its_statistics_once(net: SequentialNet, momentum: float | None) -> None:
    for norm in batch_norms(net):
        norm.momentum = momentum
    batches, found = [batch() for _ in range(3)], []
    for memory in (BOUNDLESS, 0):
        sharing = Sharing(net, GATES, memory)
        logits = [logits for images in batches for logits in sharing(images)]
        found.append([*logits, *sharing.statistics()])
    assert all(map(torch.equal, *found))
    before = {name: buffer.clone() for name, buffer in chain().named_buffers()}
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())  # theirs alone were moved


def test_equal_networks_are_run_once() -> None:
    """Edges that lead nowhere make no difference."""
    net, ran = NasBench201Net(ALL, 4, 1).eval(), []
    net.classifier.register_forward_pre_hook(lambda module, inputs: ran.append(module))
    archs = [(0, 3, 0, 2, edge, 1) for edge in range(5)]  # edge 1->3 begins at a node that nothing reaches
    logits = list(Sharing(net, [fixed(ALL, arch) for arch in archs], BOUNDLESS)(batch()))
    assert len(ran) == 1
    assert all(torch.equal(one, logits[0]) for one in logits)

"""Candidate operations against PyTorch's own layers, and what the choice block makes of gates."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from oneshot.nn.choice import ChoiceBlock, Feature
from oneshot.nn.operations import Conv, NasBench201Operations, Operations, nasbench201
from oneshot.supernets.nasbench201 import NasBench201Skeleton


@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (1, 2), (3, 2)])
@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize("channels", [2, 5])
def test_convolutions_equal_pytorchs(kernel: int, stride: int, memory: torch.memory_format, channels: int) -> None:
    """Its own of float64, which are not oneDNN's: those write beyond their memory for 1x1 at stride 2 with AVX2."""
    conv = Conv(channels, 7, kernel, stride)
    x = torch.randn(3, channels, 8, 8).contiguous(memory_format=memory)
    weight = conv.weight.detach().double().requires_grad_()
    a, b = x.clone().requires_grad_(), x.double().requires_grad_()
    y, z = conv(a), F.conv2d(b, weight, stride=stride, padding=kernel // 2)
    assert torch.allclose(y.double(), z, atol=1e-5)
    assert y.is_contiguous(memory_format=memory)
    y.square().sum().backward()
    z.square().sum().backward()
    for one, other in ((conv.weight, weight), (a, b)):
        assert one.grad is not None
        assert other.grad is not None
        assert torch.allclose(one.grad.double(), other.grad, rtol=1e-4, atol=1e-4)


def test_pooling_does_not_count_the_padding() -> None:
    pool = nasbench201(affine=False)["avg_pool_3x3"](2, 2, 1)
    assert torch.allclose(pool(Feature(torch.ones(1, 2, 4, 4)).prepared(pool.prepare)), torch.ones(1, 2, 4, 4))  # pyright: ignore


def test_the_papers_pooling_has_a_convolution_behind_it() -> None:
    with_conv = nasbench201(affine=False, pool_conv=True)["avg_pool_3x3"](4, 4, 1)
    assert sum(p.numel() for p in with_conv.parameters()) == 16


@pytest.mark.parametrize("table", [nasbench201(affine=False), NasBench201Operations().make()])
def test_pooling_alone_by_default(table: Operations) -> None:
    """As in the benchmark's own cells."""
    pool = table["avg_pool_3x3"](4, 4, 1)
    assert not list(pool.parameters())
    assert not NasBench201Skeleton().pool_conv


def test_unknown_options_are_named() -> None:
    with pytest.raises(ValueError, match="no operation named conv_9x9; there are none, skip_connect"):
        ChoiceBlock(("none", "conv_9x9"), nasbench201(affine=False), 4, 4)


def test_a_weight_of_one_costs_nothing_and_others_multiply() -> None:
    block, x = ChoiceBlock(("none", "skip_connect"), nasbench201(affine=False), 4, 4), torch.randn(1, 4, 2, 2)
    assert block(Feature(x), ((1, 1.0),)) is x
    assert torch.equal(block(Feature(x), ((0, 0.5), (1, 0.25))), x * 0.25)
    assert torch.equal(block(Feature(x), ((1, torch.tensor(1.0)),)), x)
    assert block.runs(((0, 1.0), (1, 0.0)))
    assert not block.runs(((0, 1.0),))
    with pytest.raises(AssertionError, match="must be left out"):
        block(Feature(x), ((0, 1.0),))

"""Inverted residual blocks against plain PyTorch, and their parameters by hand."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.nn.mobile import InvertedResidual, inverted_residuals


def twin(block: InvertedResidual, x: Tensor, stride: int, kernel: int) -> Tensor:
    """Three convolutions on the same weights, statistics of the batch."""

    def normed(y: Tensor) -> Tensor:
        return F.batch_norm(y, None, None, training=True)

    y = x if block.expand is None else F.relu6(normed(F.conv2d(x, block.expand[0].weight)))  # pyright: ignore
    depthwise, project = block.depthwise[0].weight, block.project[0].weight
    y = F.conv2d(y, depthwise, stride=stride, padding=kernel // 2, groups=len(depthwise))  # pyright: ignore
    y = normed(F.conv2d(F.relu6(normed(y)), project))  # pyright: ignore
    return x + y if stride == 1 and x.shape[1] == y.shape[1] else y


@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("c_out", "stride"), [(4, 1), (6, 1), (4, 2), (6, 2)])
@pytest.mark.parametrize(("kernel", "expansion"), [(3, 1), (5, 3), (7, 6)])
def test_blocks_equal_the_twin(kernel: int, expansion: int, c_out: int, stride: int, memory: torch.memory_format):
    block = InvertedResidual(4, c_out, stride, kernel, expansion)
    x = 3 * torch.randn(5, 4, 7, 7).contiguous(memory_format=memory)
    y = block(x)
    assert y.shape == (5, c_out, *((7, 7) if stride == 1 else (4, 4)))
    assert torch.allclose(y, twin(block, x, stride, kernel), atol=1e-4)


def test_the_six_of_fairnas_have_the_parameters_of_table_4() -> None:
    """Cell 0 takes 16 channels to 32, all six options together 34,800; by hand for k7e6."""
    table = inverted_residuals()
    assert list(table) == ["k3e3", "k5e3", "k7e3", "k3e6", "k5e6", "k7e6"]
    counts = {name: sum(p.numel() for p in make(16, 32, 2).parameters()) for name, make in table.items()}
    assert sum(counts.values()) == 34_800
    assert counts["k7e6"] == (16 * 96 + 2 * 96) + (49 * 96 + 2 * 96) + (96 * 32 + 2 * 32)


def test_other_kernels_and_expansions() -> None:
    table = inverted_residuals(kernels=[9], expansions=[1, 4])
    assert list(table) == ["k9e1", "k9e4"]
    assert table["k9e4"](2, 2, 1)(torch.randn(2, 2, 5, 5)).shape == (2, 2, 5, 5)


@pytest.mark.parametrize(("kernel", "expansion"), [(4, 3), (3, 0)])
def test_shapes_that_no_block_has(kernel: int, expansion: int) -> None:
    with pytest.raises(ValueError, match=f"kernel must be odd and expansion positive, got {kernel} and {expansion}"):
        InvertedResidual(4, 4, 1, kernel, expansion)

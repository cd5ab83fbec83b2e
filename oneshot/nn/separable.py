"""Separable convolutions and the other operations of DARTS's cells (arXiv 1806.09055), which may halve the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.nn.depthwise import Depthwise
from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Conv, Operations, Pool, Prepared, ReluConvNorm, Skip, Zero
from oneshot.nn.pooling import average_pool
from oneshot.spaces.cell_operations import AVERAGE, FACTORED, FULL, MAXIMUM, NONE, SEPARABLE, SKIP


class Separable(Prepared):
    """ReLU, depthwise convolution, 1x1 convolution and BatchNorm, `number` times; the first time with the stride."""

    prepare = staticmethod(F.relu)

    def __init__(
        self, channels_in: int, channels_out: int, stride: int = 1, kernel: int = 3, number: int = 2, dilation: int = 1,
        affine: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        layers: list[nn.Module] = []
        for i in range(number):
            layers += [nn.ReLU()] if i else []
            layers += [
                Depthwise(channels_in, kernel, 1 if i else stride, dilation),
                Conv(channels_in, channels_out if i + 1 == number else channels_in, 1),
                BatchNorm(channels_out if i + 1 == number else channels_in, affine=affine),
            ]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


class FactorizedReduce(Prepared):
    """ReLU, two 1x1 convolutions at stride 2, of the even and of the odd pixels, behind each other; BatchNorm."""

    prepare = staticmethod(F.relu)

    def __init__(self, channels_in: int, channels_out: int, affine: bool = True) -> None:
        super().__init__()
        self.even = Conv(channels_in, channels_out // 2, 1, stride=2)
        self.odd = Conv(channels_in, channels_out - channels_out // 2, 1, stride=2)
        self.norm = BatchNorm(channels_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        odd, (height, width) = x[:, :, 1:, 1:], x.shape[2:]
        if height % 2 or width % 2:
            odd = F.pad(odd, (0, width % 2, 0, height % 2))
        return self.norm(torch.cat((self.even(x), self.odd(odd)), 1))


class Factored(Prepared):
    """ReLU, a convolution 1 x k, one k x 1 behind it, BatchNorm; each halves one side where the stride is 2."""

    prepare = staticmethod(F.relu)

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, affine: bool = True) -> None:
        super().__init__()
        pad = kernel // 2
        self.row = nn.Conv2d(channels_in, channels_out, (1, kernel), (1, stride), (0, pad), bias=False)
        self.column = nn.Conv2d(channels_out, channels_out, (kernel, 1), (stride, 1), (pad, 0), bias=False)
        self.norm = BatchNorm(channels_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.column(self.row(x)))


class NormedAverage(Prepared):
    """3x3 average pooling that keeps the size, shared by all edges that leave a node, and BatchNorm."""

    prepare = staticmethod(average_pool)

    def __init__(self, channels: int, affine: bool = False) -> None:
        super().__init__()
        self.norm = BatchNorm(channels, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(x)


@dataclass(frozen=True)
class CellOperations:
    """The operations of DARTS's cells, the extended ones of EnTranNAS and those of VAENAS.

    Args:
        affine: BatchNorm's
        pool_norm: BatchNorm behind pooling
    """

    affine: bool = False
    pool_norm: bool = False

    def make(self) -> Operations:
        return cells(self.affine, self.pool_norm)


def cells(affine: bool, pool_norm: bool = False) -> Operations:
    """The operations of cells, see `CellOperations`."""
    table: Operations = {
        NONE: lambda c_in, c_out, stride: Zero(),
        AVERAGE: lambda c_in, c_out, stride: _average(c_in, stride, pool_norm, affine),
        MAXIMUM: lambda c_in, c_out, stride: _normed(nn.MaxPool2d(3, stride, 1), c_in, pool_norm, affine),
        SKIP: lambda c_in, c_out, stride: Skip() if stride == 1 else FactorizedReduce(c_in, c_out, affine),
    }
    separable = {
        name: partial(Separable, kernel=kernel, number=number, dilation=1 if number > 1 else 2, affine=affine)
        for name, (kernel, number) in SEPARABLE.items()
    }
    full = {
        name: lambda c_in, c_out, stride, kernel=kernel: ReluConvNorm(c_in, c_out, kernel, stride, affine)
        for name, kernel in FULL.items()
    }
    factored = {
        name: lambda c_in, c_out, stride, kernel=kernel: Factored(c_in, c_out, kernel, stride, affine)
        for name, kernel in FACTORED.items()
    }
    return table | separable | full | factored


def _average(channels: int, stride: int, norm: bool, affine: bool) -> nn.Module:
    if stride > 1:
        return _normed(nn.AvgPool2d(3, stride, 1, count_include_pad=False), channels, norm, affine)
    return NormedAverage(channels, affine) if norm else Pool(channels)


def _normed(pooling: nn.Module, channels: int, norm: bool, affine: bool) -> nn.Module:
    return nn.Sequential(pooling, BatchNorm(channels, affine=affine)) if norm else pooling

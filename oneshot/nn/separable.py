"""Separable convolutions and the other operations of DARTS's cells (arXiv 1806.09055), which may halve the image."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Conv, Operations, Pool, Prepared, Skip, Zero
from oneshot.spaces.nasnet import SEPARABLE


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
            padding = kernel // 2 * dilation
            layers += [nn.ReLU()] if i else []
            layers += [
                nn.Conv2d(
                    channels_in, channels_in, kernel, 1 if i else stride, padding, dilation, channels_in, bias=False
                ),
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
        return self.norm(torch.cat((self.even(x), self.odd(x[:, :, 1:, 1:])), 1))


@dataclass(frozen=True)
class NasNetOperations:
    """The eight operations of the NASNet-like space.

    Args:
        affine: BatchNorm's
    """

    affine: bool = False

    def make(self) -> Operations:
        return nasnet(self.affine)


def nasnet(affine: bool) -> Operations:
    """The eight operations of the NASNet-like space, pooling without BatchNorm; `affine` is BatchNorm's."""
    table: Operations = {
        "none": lambda c_in, c_out, stride: Zero(),
        "avg_pool_3x3": lambda c_in, c_out, stride: (
            Pool(c_in) if stride == 1 else nn.AvgPool2d(3, stride, 1, count_include_pad=False)
        ),
        "max_pool_3x3": lambda c_in, c_out, stride: nn.MaxPool2d(3, stride, 1),
        "skip_connect": lambda c_in, c_out, stride: Skip() if stride == 1 else FactorizedReduce(c_in, c_out, affine),
    }
    return table | {
        name: partial(Separable, kernel=kernel, number=number, dilation=1 if number > 1 else 2, affine=affine)
        for name, (kernel, number) in SEPARABLE.items()
    }

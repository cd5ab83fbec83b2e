"""Inverted residual blocks (MobileNetV2, arXiv 1801.04381): the operations of FairNAS and its relatives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial

from torch import Tensor, nn

from oneshot.nn.cpu import RELU6
from oneshot.nn.depthwise import Depthwise
from oneshot.nn.feature import Feature, normalised_later
from oneshot.nn.operations import Conv, ConvNorm, Operations


class InvertedResidual(nn.Module):
    """A 1x1 expansion, a depthwise convolution and a linear 1x1 projection; a shortcut where the shape stays.

    An expansion of 1 leaves the first convolution out.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int = 1, kernel: int = 3, expansion: int = 6):
        super().__init__()
        if kernel % 2 == 0 or min(kernel, expansion) < 1:
            raise ValueError(f"kernel must be odd and expansion positive, got {kernel} and {expansion}")
        hidden = channels_in * expansion
        self.expand = conv_norm(channels_in, hidden, 1) if expansion > 1 else None
        self.depthwise = ConvNorm(Depthwise(hidden, kernel, stride))
        self.project = conv_norm(hidden, channels_out, 1)
        self.shortcut = stride == 1 and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else normalised_later(self.expand, x).rectified(clamp=RELU6)
        z = normalised_later(self.project, normalised_later(self.depthwise, y).rectified(clamp=RELU6))
        return (Feature(x) + z if self.shortcut else z).whole()


def conv_norm(channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> ConvNorm:
    return ConvNorm(Conv(channels_in, channels_out, kernel, stride))


@dataclass(frozen=True)
class InvertedResiduals:
    """Inverted residual blocks of every kernel and expansion of FairNAS."""

    def make(self) -> Operations:
        return inverted_residuals()


def inverted_residuals(kernels: Iterable[int] = (3, 5, 7), expansions: Iterable[int] = (3, 6)) -> Operations:
    """Every combination of kernel and expansion, named `k3e6`; by default the six of FairNAS."""
    kernels = tuple(kernels)
    return {f"k{k}e{e}": partial(InvertedResidual, kernel=k, expansion=e) for e in expansions for k in kernels}

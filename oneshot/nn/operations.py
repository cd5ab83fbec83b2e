"""Candidate operations. An operation table maps an option's name to `(channels_in, channels_out, stride) -> Module`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.nn.cpu import convolved, convolves
from oneshot.nn.norm import BatchNorm
from oneshot.nn.pooling import average_pool

Operation = Callable[[int, int, int], "nn.Module"]
Operations = Mapping[str, Operation]


class Prepared(nn.Module):
    """An operation that begins with a step without weights; edges that leave one node share that step's result.

    `forward` takes what `prepare` returned. Subclasses set `prepare` to a module-level function.
    """

    prepare: Callable[[Tensor], Tensor] = staticmethod(lambda x: x)


class Zero(nn.Module):
    """Nothing: an option that is never computed and adds nothing to a sum."""

    def forward(self, x: Tensor) -> Tensor:
        raise AssertionError("a zero operation must not be computed")


class Skip(nn.Module):
    """The identity."""

    def forward(self, x: Tensor) -> Tensor:
        return x


class Conv(nn.Conv2d):
    """A convolution without bias at "same" padding, by the fastest way there is on channels-last images on a CPU."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, padding=kernel // 2, bias=False)
        self._product, self._box = kernel == 1, kernel == 3 and stride == 1

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # pyright: ignore
        if self._box and convolves(x, weight):
            return convolved(x, weight, bias)
        if self._product and x.device.type == "cpu":
            # PyTorch gets no 1x1 at stride 2: with AVX2, oneDNN's gradient of few channels writes beyond its memory
            x = x[:, :, :: self.stride[0], :: self.stride[1]]
            if x.stride(1) == 1:
                return F.linear(x.permute(0, 2, 3, 1), weight.flatten(1), bias).permute(0, 3, 1, 2)
            return F.conv2d(x, weight, bias)
        return super()._conv_forward(x, weight, bias)


class ConvNorm(nn.Sequential):
    """A convolution without bias and its BatchNorm: one convolution where neither trains nor takes gradients."""

    def __init__(self, conv: nn.Conv2d, affine: bool = True) -> None:
        super().__init__(conv, BatchNorm(conv.out_channels, affine=affine))

    @property
    def conv(self) -> nn.Conv2d:
        return self[0]  # pyright: ignore[reportReturnType]

    @property
    def norm(self) -> nn.BatchNorm2d:
        return self[1]  # pyright: ignore[reportReturnType]

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        return convolve_and_normalise(self.conv, self.norm, x)


def convolve_and_normalise(conv: nn.Conv2d, norm: nn.BatchNorm2d, x: Tensor) -> Tensor:
    """BatchNorm of the convolution, folded into its weights where that can be."""
    folded = norm.folded() if isinstance(norm, BatchNorm) else None
    if folded is None:
        return norm(conv(x))
    scale, shift = folded
    return conv._conv_forward(x, conv.weight * scale.view(-1, 1, 1, 1), shift)


class ReluConvNorm(Prepared):
    """ReLU, convolution without bias, BatchNorm: the order of arXiv 2001.00326."""

    prepare = staticmethod(F.relu)

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, affine: bool = True) -> None:
        super().__init__()
        self.conv = Conv(channels_in, channels_out, kernel, stride)
        self.norm = BatchNorm(channels_out, affine=affine)

    def forward(self, x: Tensor) -> Tensor:
        return convolve_and_normalise(self.conv, self.norm, x)


class Pool(Prepared):
    """3x3 average pooling, followed by a 1x1 convolution and BatchNorm if asked for."""

    prepare = staticmethod(average_pool)

    def __init__(self, channels: int, conv: bool = False, affine: bool = True) -> None:
        super().__init__()
        project = ConvNorm(Conv(channels, channels, 1), affine)  # made anyway: a seed gives the same other weights
        self.project = project if conv else None

    def forward(self, x: Tensor) -> Tensor:
        return x if self.project is None else self.project(x)


@dataclass(frozen=True)
class NasBench201Operations:
    """The five operations of NAS-Bench-201 at stride 1.

    Args:
        affine: BatchNorm's
        pool_conv: a 1x1 convolution behind the pooling
    """

    affine: bool = False
    pool_conv: bool = False

    def make(self) -> Operations:
        return nasbench201(self.affine, self.pool_conv)


def nasbench201(affine: bool, pool_conv: bool = False) -> Operations:
    """The five operations of NAS-Bench-201 at stride 1.

    `affine` is BatchNorm's: True in stand-alone networks, False in supernets. `pool_conv` puts a 1x1 convolution
    behind the pooling, as in the supernet of arXiv 2104.11522, Table 3.
    """
    return {
        "none": lambda c_in, c_out, stride: Zero(),
        "skip_connect": lambda c_in, c_out, stride: Skip(),
        "nor_conv_1x1": lambda c_in, c_out, stride: ReluConvNorm(c_in, c_out, 1, stride, affine),
        "nor_conv_3x3": lambda c_in, c_out, stride: ReluConvNorm(c_in, c_out, 3, stride, affine),
        "avg_pool_3x3": lambda c_in, c_out, stride: Pool(c_in, pool_conv, affine),
    }

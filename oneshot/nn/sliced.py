"""Layers as wide as they are ever asked to be; a forward pass uses their leading channels (VAENAS, Fig. 7).

A *corner* is the leading part of a weight that a pass uses: its channels out and in, or a norm's channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.nn.cpu import Running
from oneshot.nn.norm import BatchNorm, Parts
from oneshot.nn.operations import Conv, Operations


class SlicedConv(Conv):
    """A convolution at stride 1 that takes as many channels as come and gives as many as are asked for."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int) -> None:
        super().__init__(channels_in, channels_out, kernel)
        self.corners: set[tuple[int, ...]] = set()

    def forward(self, x: Tensor, channels: int) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        _note(self, channels, x.shape[1])
        if (channels, x.shape[1]) == self.weight.shape[:2]:
            return super().forward(x)
        weight = self.weight[:channels, : x.shape[1]]
        if self._product and x.device.type == "cpu" and x.is_contiguous(memory_format=torch.channels_last):
            return F.linear(x.permute(0, 2, 3, 1), weight.flatten(1)).permute(0, 3, 1, 2)
        return F.conv2d(x, weight, padding=self.padding)  # pyright: ignore[reportArgumentType]


class SlicedBatchNorm(BatchNorm):
    """BatchNorm of as many channels as come: statistics and affine parameters are sliced alike.

    A pass with few channels leaves the statistics of the others alone; `num_batches_tracked` counts every pass, so
    that a cumulative average is one only over passes of the same architecture.
    """

    def __init__(self, channels: int, momentum: float | None = 0.1, affine: bool = True) -> None:
        super().__init__(channels, momentum=momentum, affine=affine)
        self.corners: set[tuple[int, ...]] = set()

    def parts(self, channels: int) -> Parts:
        _note(self, channels)
        whole = super().parts(channels)
        if channels == self.num_features:
            return whole
        weight, bias = (None if vector is None else vector[:channels] for vector in whole[:2])
        running = whole.statistics
        if running is not None:
            running = Running(running.batches, running.mean[:channels], running.variance[:channels])
        return Parts(weight, bias, running)


class SlicedConvNormRelu(nn.Module):
    """Convolution without bias, BatchNorm, ReLU: the order of NAS-Bench-101; as many channels as come by default."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, affine: bool = True) -> None:
        super().__init__()
        self.conv = SlicedConv(channels_in, channels_out, kernel)
        self.norm = SlicedBatchNorm(channels_out, affine=affine)

    def forward(self, x: Tensor, channels: int | None = None) -> Tensor:
        return F.relu(self.norm(self.conv(x, channels or x.shape[1])))


class Corners:
    """Which parts of a network's sliced weights were used by passes with gradients since they were last forgotten."""

    def __init__(self, net: nn.Module | None = None) -> None:
        modules = [] if net is None else net.modules()
        sliced = [module for module in modules if isinstance(module, SlicedConv | SlicedBatchNorm)]
        self._of: dict[Tensor, set[tuple[int, ...]]] = {}
        for module in sliced:
            self._of.update(dict.fromkeys(module.parameters(recurse=False), module.corners))

    def __contains__(self, p: Tensor) -> bool:
        """Whether something is known of this weight."""
        return bool(self._of.get(p))

    def boxes(self, p: Tensor) -> list[tuple[slice, ...]]:
        """Indices of disjoint parts that together are all corners of the weight; of another one, all of it."""
        corners = sorted(self._of.get(p, ()), key=lambda corner: (corner[1:], corner[0]), reverse=True)
        if not corners:
            return [(slice(None),)]
        found, first = [], 0
        for rows, *columns in corners:  # the widest first: of a narrower one only its further rows are new
            if rows > first:
                found.append((slice(first, rows), *map(slice, columns)))
                first = rows
        return found

    def forget(self) -> None:
        for corners in self._of.values():
            corners.clear()


@dataclass(frozen=True)
class NasBench101Operations:
    """The three operations of NAS-Bench-101, which keep the number of channels.

    Args:
        affine: BatchNorm's
    """

    affine: bool = False

    def make(self) -> Operations:
        return nasbench101(self.affine)


def nasbench101(affine: bool) -> Operations:
    """The three operations of NAS-Bench-101, which keep the number of channels; `affine` is BatchNorm's."""
    return {
        "conv3x3-bn-relu": lambda c_in, c_out, stride: SlicedConvNormRelu(c_in, c_out, 3, affine),
        "conv1x1-bn-relu": lambda c_in, c_out, stride: SlicedConvNormRelu(c_in, c_out, 1, affine),
        "maxpool3x3": lambda c_in, c_out, stride: nn.MaxPool2d(3, 1, 1),
    }


def _note(module: SlicedConv | SlicedBatchNorm, *corner: int) -> None:
    if torch.is_grad_enabled() and module.weight is not None and module.weight.requires_grad:
        module.corners.add(corner)

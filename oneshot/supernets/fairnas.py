"""The FairNAS skeleton (arXiv 1907.01845) with the widths of arXiv 2104.11522, Table 4."""

from __future__ import annotations

from torch import nn

from oneshot.nn.context import Dependence
from oneshot.nn.mobile import InvertedResidual, conv_norm, inverted_residuals
from oneshot.spaces.fairnas import FIRST, HEAD, STEM, WIDTHS, FairNas, layers, scaled
from oneshot.supernets.sequential import SequentialNet, check_sizes


class FairNasNet(SequentialNet):
    """A supernet of a FairNAS space, or of one architecture alone; BatchNorm is affine in both.

    Images are halved five times. At the paper's width (`channels=16`) and 100 classes the supernet has 14,839,700
    parameters; another one scales all widths.

    `dependence` as in `SequentialNet`. A bias says nothing here: all that reads it is a 1x1 convolution, behind which
    BatchNorm takes a constant out again, so that its gradient is zero; split and attention do tell contexts apart.
    """

    def __init__(
        self,
        space: FairNas,
        channels: int = FIRST,
        classes: int = 100,
        dropout: float = 0.0,
        dependence: Dependence | None = None,
    ) -> None:
        check_sizes(channels, classes, dropout)
        first, last, wide = (scaled(width, channels) for width in (STEM, WIDTHS[-1], HEAD))
        stem = nn.Sequential(
            conv_norm(3, first, 3, stride=2), nn.ReLU6(), InvertedResidual(first, channels, kernel=3, expansion=1)
        )
        head = nn.Sequential(
            conv_norm(last, wide, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
            nn.Dropout(dropout), nn.Linear(wide, classes),
        )  # fmt: skip
        super().__init__(space, inverted_residuals(), layers(channels), stem, head)
        self.initialise(dependence)

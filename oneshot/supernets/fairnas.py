"""The FairNAS skeleton (arXiv 1907.01845) with the widths of arXiv 2104.11522, Table 4."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from oneshot.base.bounds import CHANNELS, check_least, check_most
from oneshot.nn.contexts.base import Dependence
from oneshot.nn.mobile import InvertedResidual, conv_norm, inverted_residuals
from oneshot.spaces.fairnas import FIRST, HEAD, STEM, WIDTHS, FairNas, layers, scaled
from oneshot.supernets.sequential import SequentialNet, check_sizes


@dataclass(frozen=True)
class FairNasSkeleton:
    """19 inverted residual blocks between a stem and a head; images are halved five times.

    Args:
        channels: into the first layer; another number scales all widths
        dropout: share of the features that training drops before the classifier
    """

    channels: int = FIRST
    dropout: float = 0.0
    carries_contexts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_least(self, channels=1, dropout=0)
        check_most(self, channels=CHANNELS)
        if self.dropout >= 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")

    def make(
        self, space: FairNas, classes: int, alone: bool = False, dependence: Dependence | None = None
    ) -> FairNasNet:
        return FairNasNet(space, self.channels, classes, self.dropout, dependence)


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

"""The ShuffleNetV2 skeleton of VAENAS, appendix A.4, with the widths and the head of ShuffleNetV2+ Large."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from oneshot.base.bounds import CHANNELS, check_least, check_most
from oneshot.nn.contexts.base import Dependence
from oneshot.nn.mobile import conv_norm
from oneshot.nn.shuffle import SqueezeExcite, shuffles
from oneshot.spaces.shufflenet import FIRST, HEAD, WIDTHS, ShuffleNet, layers, scaled
from oneshot.supernets.sequential import SequentialNet, check_sizes


@dataclass(frozen=True)
class ShuffleNetSkeleton:
    """20 shuffle blocks between a stem and a head; images are halved five times.

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
        self, space: ShuffleNet, classes: int, alone: bool = False, dependence: Dependence | None = None
    ) -> ShuffleNetNet:
        return ShuffleNetNet(space, self.channels, classes, self.dropout, dependence)


class ShuffleNetNet(SequentialNet):
    """A supernet of a ShuffleNetV2 space, or of one architecture alone; BatchNorm is affine in both.

    Images are halved five times; another number of `channels` scales all widths. The paper's dropout is 0.5.
    `dependence` as in `SequentialNet`.
    """

    def __init__(
        self,
        space: ShuffleNet,
        channels: int = FIRST,
        classes: int = 1000,
        dropout: float = 0.0,
        dependence: Dependence | None = None,
    ) -> None:
        check_sizes(channels, classes, dropout)
        last, wide = scaled(WIDTHS[-1], channels), scaled(HEAD, channels)
        stem = nn.Sequential(conv_norm(3, channels, 3, stride=2), nn.SiLU())
        head = nn.Sequential(
            conv_norm(last, wide, 1), nn.SiLU(), nn.AdaptiveAvgPool2d(1), SqueezeExcite(wide), nn.Flatten(),
            nn.Linear(wide, wide, bias=False), nn.SiLU(), nn.Dropout(dropout), nn.Linear(wide, classes),
        )  # fmt: skip
        super().__init__(space, shuffles(), layers(channels), stem, head)
        self.initialise(dependence)

"""The ShuffleNetV2 skeleton of VAENAS, appendix A.4, with the widths and the head of ShuffleNetV2+ Large."""

from __future__ import annotations

from torch import nn

from oneshot.nn.context import Dependence
from oneshot.nn.mobile import conv_norm
from oneshot.nn.shuffle import SqueezeExcite, shuffles
from oneshot.spaces.shufflenet import FIRST, HEAD, WIDTHS, ShuffleNet, layers, scaled
from oneshot.supernets.sequential import SequentialNet, check_sizes


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

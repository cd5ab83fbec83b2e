"""A second classifier in the middle of a network, whose loss the training adds (arXiv 1806.09055, section 3.1.2)."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Conv

BOX = 5
"""Side of the boxes that the first layer averages."""


class FourCorners(nn.Module):
    """Averages of 2x2 overlapping boxes of 5x5, as DARTS's networks have them at 8x8 (CIFAR) and 7x7 (ImageNet)."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = x.shape[2:]
        if min(height, width) <= BOX:
            return F.adaptive_avg_pool2d(x, 2)
        return F.avg_pool2d(x, BOX, (height - BOX, width - BOX))


class AuxiliaryHead(nn.Module):
    """Takes features [B, C, H, W]; what it says in training is kept until somebody asks for it.

    `weight` is that of its loss, 0.4 in DARTS's evaluation networks.
    """

    def __init__(self, channels: int, classes: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.layers = nn.Sequential(
            nn.ReLU(), FourCorners(), Conv(channels, 128, 1), BatchNorm(128), nn.ReLU(),
            nn.Conv2d(128, 768, 2, bias=False), BatchNorm(768), nn.ReLU(), nn.Flatten(), nn.Linear(768, classes),
        )  # fmt: skip
        self._logits: Tensor | None = None

    def forward(self, x: Tensor) -> None:
        """Only in training; its parameters play no part in predictions."""
        if self.training:
            self._logits = self.layers(x)

    def take(self) -> Tensor | None:
        """The logits of the last pass, once."""
        logits, self._logits = self._logits, None
        return logits


def add_auxiliary(net: nn.Module, classes: int, weight: float) -> bool:
    """Give a network its second classifier, if it has not made one itself, and its loss the weight; whether it can."""
    heads = [module for module in net.modules() if isinstance(module, AuxiliaryHead)]
    channels = getattr(net, "aside_channels", None)
    if not heads and channels is not None:
        heads = [AuxiliaryHead(channels, classes, weight)]
        net.auxiliary = heads[0]
    for head in heads:
        head.weight = weight
    return bool(heads)

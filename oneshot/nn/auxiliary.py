"""A second classifier in the middle of a network, whose loss the training adds (arXiv 1806.09055, section 3.1.2)."""

from __future__ import annotations

from torch import Tensor, nn

from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Conv


class AuxiliaryHead(nn.Module):
    """Takes features [B, C, 8, 8] or larger; what it says in training is kept until somebody asks for it.

    `weight` is that of its loss, 0.4 in DARTS's evaluation networks.
    """

    def __init__(self, channels: int, classes: int, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.layers = nn.Sequential(
            nn.ReLU(), nn.AdaptiveAvgPool2d(2), Conv(channels, 128, 1), BatchNorm(128), nn.ReLU(),
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

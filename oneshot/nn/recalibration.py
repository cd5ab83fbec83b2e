"""How an architecture gets BatchNorm statistics of its own, and from which images."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from torch import nn

if TYPE_CHECKING:
    from oneshot.data.source import ImageSource

Source = TypeVar("Source", bound="ImageSource")


@dataclass(frozen=True)
class NormMode:
    """How an architecture gets its BatchNorm statistics, and from how many batches.

    inherit             the statistics of training, which all architectures share
    batch               those of each validation batch
    ema-N               N training batches on top of the trained statistics (arXiv 2104.11522, appendix B, N = 20)
    reset-ema-N         N training batches on top of mean 0, variance 1
    reset-cumulative-N  the plain average over N training batches
    """

    kind: str
    batches: int = 0

    @classmethod
    def parse(cls, text: str) -> NormMode:
        match = re.fullmatch(r"(inherit|batch)|(ema|reset-ema|reset-cumulative)-([1-9]\d*)", text)
        if match is None:
            raise ValueError(
                f"no BatchNorm mode {text!r}; expected inherit, batch, ema-N, reset-ema-N or reset-cumulative-N"
            )
        return cls(match[1]) if match[1] else cls(match[2], int(match[3]))

    def __str__(self) -> str:
        return f"{self.kind}-{self.batches}" if self.batches else self.kind

    def images(self, train: Source, batch_size: int) -> tuple[Source, int]:
        """The first training images, which it needs, and how many of them at once; ValueError for too few images."""
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        if self.batches > len(train):
            raise ValueError(f"{self} needs at least {self.batches} training images, got {len(train)}")
        size = min(batch_size, len(train) // max(self.batches, 1))
        return train.subset(slice(0, self.batches * size)), size

    def start(self, net: nn.Module, norms: Sequence[nn.BatchNorm2d]) -> None:
        """Put a network into evaluation, its BatchNorm into collecting statistics from where the mode begins."""
        net.eval()
        for norm in norms:
            norm.train(self.kind != "inherit")
            if self.kind.startswith("reset"):
                norm.reset_running_stats()
            if self.kind == "reset-cumulative":
                norm.momentum = None

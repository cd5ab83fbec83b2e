"""Channels scaled by what was chosen before (arXiv 2104.11522, appendix D)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, nn

from oneshot.nn.contexts.base import ContextSettings, ContextWeights, Given
from oneshot.nn.contexts.shared_bias import OneHots, SharedBias


class Attention(SharedBias):
    """Scales the input's channels by a fully connected layer and a sigmoid over the one-hot choices (appendix D).

    Weights of mixed gates take the place of the one-hot vectors.
    """

    adds = False
    bias = True

    def given(self, vectors: tuple[Tensor, ...]) -> Given:
        return Given(scale=tuple(vector.sigmoid() for vector in vectors))


class Attention2(Attention):
    """Attention with a second fully connected layer, a ReLU before it (appendix D), as wide as the one-hot choices."""

    def layer(self, site: int) -> nn.Module:
        wide, widths = sum(self.counts(site)), self.widths[site]
        second = nn.ModuleList(nn.Linear(wide, width) for width in widths)
        return nn.ModuleDict({"first": OneHots(self.counts(site), wide * len(widths), True), "second": second})

    def vectors(self, site: int, choices: Sequence[int | Tensor], options: Sequence[int]) -> Sequence[Tensor]:
        layer, wide = self.layers[str(site)], sum(self.counts(site))
        hidden = layer["first"](choices, options).relu().split(wide, 1)  # pyright: ignore[reportIndexIssue]
        return [second(part) for second, part in zip(layer["second"], hidden, strict=True)]  # pyright: ignore


@dataclass(frozen=True)
class AttentionSettings(ContextSettings):
    """The input's channels scaled by a layer over the one-hot choices (appendix D)."""

    def weights(self) -> type[ContextWeights]:
        return Attention


@dataclass(frozen=True)
class Attention2Settings(ContextSettings):
    """The input's channels scaled by two layers over the one-hot choices (appendix D)."""

    def weights(self) -> type[ContextWeights]:
        return Attention2

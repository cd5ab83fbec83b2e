"""Gates: which options run at which site, with what weight. All methods differ only in the gates that they hand out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from oneshot.space import Arch, Space

if TYPE_CHECKING:
    from torch import Tensor

Gate = tuple[tuple[int, "float | Tensor"], ...]
"""The (option, weight) pairs that run at one site; an option that is not in the gate is not computed."""
Gates = tuple[Gate, ...]
"""One gate a site, in the order of `Space.sites`."""


def fixed(space: Space, arch: Arch) -> Gates:
    """The gates of one architecture: its option alone, with weight exactly 1.0, at every site."""
    return tuple(((arch[decision], 1.0),) for decision in space.sites)


def mixture(space: Space, weights: Sequence[Tensor]) -> Gates:
    """Every option at every site; `weights` holds one vector a decision, as long as its options."""
    for decision, vector in zip(space.decisions, weights, strict=True):
        if vector.shape != (len(decision.options),):
            raise ValueError(f"{decision.name} takes {len(decision.options)} weights, got shape {tuple(vector.shape)}")
    each = [tuple(enumerate(vector.unbind())) for vector in weights]
    return tuple(each[decision] for decision in space.sites)

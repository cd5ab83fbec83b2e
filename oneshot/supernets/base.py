"""What registers the network of a search space."""

from __future__ import annotations

from typing import Any, Protocol

from torch import nn

from oneshot.nn.contexts.base import Dependence


class Skeleton(Protocol):
    """Settings of a space's networks, and the way to one.

    One that has `carries_contexts` takes a `dependence`, too; fields `auxiliary` and `drop_path` take the recipe's.
    """

    def make(self, space: Any, classes: int, alone: bool = False, dependence: Dependence | None = None, /) -> nn.Module:
        """A freshly initialised network; `alone` one of a space with a single architecture, trained by itself."""
        ...

"""A place within an epoch, from which a training goes on bit by bit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self


@dataclass(frozen=True)
class Place:
    """Steps and held-out batches of the epoch so far, sums and numbers of its losses, and the seconds of all training.

    The losses are those of the first process.
    """

    step: int = 0
    held: int = 0
    losses: Mapping[str, tuple[float, int]] = field(default_factory=dict)
    seconds: float = 0.0

    def document(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, document: Mapping[str, Any]) -> Self:
        """What `document` wrote; KeyError, TypeError or ValueError where it is none."""
        losses = {str(name): (float(value), int(count)) for name, (value, count) in document["losses"].items()}
        return cls(int(document["step"]), int(document["held"]), losses, float(document["seconds"]))

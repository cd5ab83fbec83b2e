"""What a prediction is of: an accuracy in percent, or a score that ranks and is none."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

KEY = "quantity"
"""Of a protocol that predicts something else than accuracies."""


@dataclass(frozen=True)
class Quantity:
    """More of it is better.

    `column` names it in files, `title` in tables, `axis` on figures.
    """

    column: str
    title: str
    axis: str
    is_accuracy: bool

    def text(self, value: float) -> str:
        """As tables show it."""
        return f"{value:.2f}" if self.is_accuracy else f"{value:.6g}"


ACCURACY = Quantity("accuracy", "accuracy %", "accuracy (as the evaluator has it), %", True)


def quantity(protocol: Mapping[str, Any]) -> Quantity:
    """What the predictions of a protocol are."""
    name = protocol.get(KEY)
    return ACCURACY if name is None else Quantity("score", str(name), f"{name} (no accuracy)", False)

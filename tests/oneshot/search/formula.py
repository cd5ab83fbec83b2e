"""Evaluators whose best architecture is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from oneshot.space import Arch, Space


@dataclass
class Predicted:
    predicted: np.ndarray


@dataclass
class Formula:
    """Accuracies by a formula; remembers what it was asked."""

    space: Space
    accuracy: Callable[[Arch], float]
    protocol: dict[str, Any] = field(default_factory=lambda: {"evaluator": "formula"})
    asked: list[Arch] = field(default_factory=list)

    def __call__(self, archs: Sequence[Arch]) -> Predicted:
        self.asked += archs
        return Predicted(np.array([self.accuracy(arch) for arch in archs]))

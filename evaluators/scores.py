"""Scores on any scale, such as training-free ones, that rank architectures beside an evaluator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from oneshot.benchmarks.scoring.predictions import Predicted

from oneshot.base.provenance import fingerprint
from oneshot.space import Arch, Space


class Answer(Protocol):
    """What scores are read from: numbers [N] of which more is better, and what failed; `Predictions` are one."""

    @property
    def predicted(self) -> np.ndarray: ...
    @property
    def failures(self) -> Mapping[Arch, str]: ...


class Scorer(Protocol):
    """Whatever scores architectures, in order; an evaluator is one."""

    @property
    def protocol(self) -> dict[str, Any]: ...
    def __call__(self, archs: Sequence[Arch], /) -> Answer: ...


@dataclass(frozen=True, eq=False)
class Scored:
    predicted: np.ndarray
    failures: Mapping[Arch, str]


class FileScores:
    """The scores of a file of predictions; ValueError for an architecture that it lacks."""

    def __init__(self, name: str, scores: Predicted, space: Space) -> None:
        self.name, self.space = name, space
        values = scores.accuracy.tolist()
        self._of = {space.parse(text): value for text, value in zip(scores.archs, values, strict=True)}
        self._protocol = {"evaluator": "file", "name": scores.name, "sha256": fingerprint([*scores.archs, values])}
        self._protocol |= {"of": dict(scores.protocol)}

    @property
    def protocol(self) -> dict[str, Any]:
        return self._protocol

    def __call__(self, archs: Sequence[Arch]) -> Scored:
        missing = [arch for arch in archs if arch not in self._of]
        if missing:
            raise ValueError(
                f"the score {self.name} lacks {len(missing)} of {len(archs)} architectures, such as "
                f"{self.space.format(missing[0])!r}"
            )
        return Scored(np.array([self._of[arch] for arch in archs]), {})

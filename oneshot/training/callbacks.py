"""What is told of a training as it goes: progress, curves, trackers; one small protocol for all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Moment:
    """Where a training stands after a step.

    Args:
        epoch: of how many epochs it is the end, counted through all phases; that of this step is the next
        epochs: all of them
        step: steps done of this epoch
        steps: all of them
        done: steps done of the whole training
        total: all of them
        images: of a step, over all processes
        losses: the means of this epoch so far, by name; asking waits for the device
    """

    epoch: int
    epochs: int
    step: int
    steps: int
    done: int
    total: int
    images: int
    losses: Callable[[], Mapping[str, float]]


class Callback:
    """Is called in every process; what it does not override does nothing. It must leave the training as it is."""

    def begin(self, epoch: int) -> None:
        """Before the first step, when so many epochs are done and their metrics kept."""

    def step(self, at: Moment) -> None:
        """After every step."""

    def measure(self, epoch: int) -> Mapping[str, float]:
        """After so many epochs: what the metrics are to say as well."""
        return {}

    def epoch(self, row: Mapping[str, Any]) -> None:
        """The metrics of an epoch, once they are kept."""

    def end(self) -> None:
        """Also after an error."""


@dataclass(frozen=True)
class OnEpoch(Callback):
    """A function of the metrics of every epoch."""

    function: Callable[[Mapping[str, Any]], object]

    def epoch(self, row: Mapping[str, Any]) -> None:
        self.function(row)

"""A temperature that falls by a ratio every epoch; `oneshot.methods.gumbel` has the one that falls linearly."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from oneshot.methods.phases import Phase

LEAST = 1e-30
"""Below this, numbers divided by a temperature leave the range of float32."""


class Annealed(Protocol):
    """Settings of such a temperature."""

    @property
    def temperature(self) -> float: ...
    @property
    def temperature_ratio(self) -> float: ...


def check_annealed(settings: Annealed) -> None:
    """ValueError unless the temperature begins above 0, and falls or stays."""
    if not LEAST <= settings.temperature < math.inf:
        raise ValueError(f"temperature must be a finite number above 0, got {settings.temperature}")
    if not 0 < settings.temperature_ratio <= 1:
        raise ValueError(f"temperature_ratio must be above 0 and at most 1, got {settings.temperature_ratio}")


def temperature_in(settings: Annealed, epoch: int) -> float:
    """In an epoch, of which 0 is the first."""
    return settings.temperature * settings.temperature_ratio**epoch


def check_lasts(settings: Annealed, phases: Sequence[Phase]) -> None:
    """ValueError where the temperature falls to nothing in these phases."""
    epochs = sum(phase.recipe.epochs for phase in phases)
    last = temperature_in(settings, epochs - 1)
    if last < LEAST:
        raise ValueError(
            f"temperature must stay above 0, got {settings.temperature:g} times {settings.temperature_ratio:g} an "
            f"epoch, which is {last:g} in the last of {epochs} epochs; take a temperature_ratio nearer to 1"
        )

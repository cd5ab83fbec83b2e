"""That a training takes long is said while it has only begun."""

from __future__ import annotations

import time
import warnings

from oneshot.base.progress import span
from oneshot.training.callbacks import Callback, Moment

LONG = 12 * 3600.0
"""Seconds beyond which somebody may want to know."""
WARM = 2
"""Steps that compile or fill caches."""
ENOUGH = ((10, 5.0), (3, 60.0))
"""Steps and seconds that together tell the speed."""


class Forecast(Callback):
    """A warning, once, with the time that is left and what takes less."""

    def __init__(self, advice: str) -> None:
        self.advice, self._seen, self._is_done = advice, 0, False
        self._start = 0.0

    def step(self, at: Moment) -> None:
        if self._is_done:
            return
        self._seen += 1
        if self._seen == WARM:
            self._start = self._now(at)
        steps = self._seen - WARM
        if steps < 1 or not any(steps >= n and time.monotonic() - self._start >= seconds for n, seconds in ENOUGH):
            return
        self._is_done = True
        left = (at.total - at.done) * (self._now(at) - self._start) / steps
        if left > LONG:
            warnings.warn(f"this training takes about {span(left)}{self.advice}", stacklevel=2)

    def _now(self, at: Moment) -> float:
        at.losses()  # waits for the device
        return time.monotonic()


def advice(smaller: str | None, device: str) -> str:
    """What takes less than a preset on a device: a smaller one, if there is, else a GPU."""
    if smaller is not None:
        return f"; --preset {smaller} takes less"
    return "" if device.startswith("cuda") else "; --device cuda takes less, on a machine that has one"

"""Bounds of settings."""

from __future__ import annotations

import math

CHANNELS = 1 << 12
"""Of a first layer; the last ones of a network have some times as many."""
CELLS = 100
"""Of a stage."""
IMAGE_SIDE = 1 << 12
COUNT = 1 << 20
"""Of what is held in memory at once, or comes round again: architectures of a population, images of a batch, epochs."""
WIDTH = 1 << 14
"""Of a sampler's own layers."""


def check_least(settings: object, **least: float) -> None:
    """ValueError names the first attribute that is below its bound, infinite or not a number."""
    for name, bound in least.items():
        value = getattr(settings, name)
        if not bound <= value < math.inf:
            kind = "" if isinstance(value, int) else "a finite number of "
            raise ValueError(f"{name} must be {kind}at least {bound}, got {value}")


def check_most(settings: object, **most: float) -> None:
    """ValueError names the first attribute that is above its bound: what nobody means, and no memory holds."""
    for name, bound in most.items():
        value = getattr(settings, name)
        if not value <= bound:
            raise ValueError(f"{name} must be at most {bound:,}, got {value:,}")

"""Lower bounds of settings."""

from __future__ import annotations

import math


def check_least(settings: object, **least: float) -> None:
    """ValueError names the first attribute that is below its bound, infinite or not a number."""
    for name, bound in least.items():
        value = getattr(settings, name)
        if not bound <= value < math.inf:
            kind = "" if isinstance(value, int) else "a finite number of "
            raise ValueError(f"{name} must be {kind}at least {bound}, got {value}")

"""How results show themselves: numbers with their intervals as text, JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, nan
from typing import Any

import numpy as np

UNDEFINED = "undefined"


def compact(value: float, interval: tuple[float, float], spread: float = nan, sign: str = "") -> str:
    """A value of two lines, as `.606` and `[.581 .631]`; with the standard deviation of runs behind a ±."""
    if not isfinite(value):
        return UNDEFINED
    text, low, high, runs = _short(value, sign), *map(_short, interval), _short(spread)
    text += f" ±{runs}" if isfinite(spread) else ""
    return f"{text}\n[{low} {high}]" if isfinite(interval[0]) else text


def _short(number: float, sign: str = "") -> str:
    """Three decimals, from 1 on two, from 10 on one, and no zero before the point: a terminal's columns are narrow."""
    text = f"{number:{sign}.{3 if not abs(number) >= 0.9995 else 2 if abs(number) < 9.995 else 1}f}"
    return text.replace("0.", ".", 1) if text.lstrip("+-")[:2] == "0." else text


def in_line(value: float, interval: tuple[float, float], digits: int = 3) -> str:
    """A value with its interval, as `0.606 [0.581, 0.631]`."""
    if not isfinite(value):
        return UNDEFINED
    low, high = interval
    return f"{value:.{digits}f}" + (f" [{low:.{digits}f}, {high:.{digits}f}]" if isfinite(low) else "")


def confidence(protocol: Mapping[str, Any]) -> str:
    """That of the intervals of a scoring protocol, as `95%`."""
    return f"{protocol['intervals']['confidence'] * 100:g}%"


def label(name: str) -> str:
    """The name of a trivial baseline as readers see it."""
    return name.replace("_", " ")


def jsonable(value: Any) -> Any:
    """The value as JSON can hold it: arrays as lists, numbers that are not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return jsonable(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [jsonable(item) for item in value]
    if isinstance(value, np.generic):
        return jsonable(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value

"""Frozen dataclasses of settings: made of plain values, with errors that name what is odd, and written as such."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields
from difflib import get_close_matches
from typing import Any, TypeVar

Settings = TypeVar("Settings")

MOST = 1 << 63
"""No setting is a whole number beyond what processors have."""


def made(kind: type[Settings], values: Mapping[str, Any], what: str) -> Settings:
    """The settings with these values; ValueError names what is unknown, with the nearest name, or of another type."""
    known = {f.name: f for f in fields(kind)}  # pyright: ignore[reportArgumentType]
    for name in values:
        if name not in known:
            have = f"its settings are {', '.join(known)}" if known else "it has none"
            raise ValueError(f"{what} has no setting {name!r}; {have}{nearest(name, known)}")
    return kind(**{name: _typed(f"{what}: {name}", known[name].default, value) for name, value in values.items()})


def document(settings: Any) -> dict[str, Any]:
    """The settings as JSON has them."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in asdict(settings).items()}


def nearest(name: str, names: Any) -> str:
    """What to add to an error about a name that may be mistyped."""
    close = get_close_matches(str(name), [str(other) for other in names], 1)
    return f"; did you mean {close[0]}?" if close else ""


def _typed(what: str, default: Any, value: Any) -> Any:
    """The value if it is of the default's type; a whole number is a float, a list a tuple."""
    if isinstance(default, tuple) and isinstance(value, list | tuple):
        return tuple(value)
    if isinstance(default, float) and type(value) in (int, float):
        return float(value)
    if type(value) is not type(default):
        raise ValueError(f"{what} must be a {type(default).__name__}, got {value!r:.200}")
    if type(value) is int and abs(value) >= MOST:
        raise ValueError(f"{what} must lie below 2**63, got a number of {len(str(abs(value)))} digits")
    return value

"""What leaves each block of a network: networks say it, and mostly nobody listens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import overload

from torch import Tensor

from oneshot.nn.feature import Feature

_listening: ContextVar[list[Tensor] | None] = ContextVar("_listening", default=None)


@contextmanager
def block_outputs() -> Iterator[list[Tensor]]:
    """A list of what leaves the blocks of the networks that are run inside, in order; all that follows uses just it."""
    found: list[Tensor] = []
    token = _listening.set(found)
    try:
        yield found
    finally:
        _listening.reset(token)


@overload
def block_output(x: Tensor) -> Tensor: ...
@overload
def block_output(x: Feature) -> Feature: ...
def block_output(x: Tensor | Feature) -> Tensor | Feature:
    """What a block gives, to be used in its place: a network calls this behind each of its blocks."""
    found = _listening.get()
    if found is None:
        return x
    if isinstance(x, Tensor):
        found.append(x)
        return x
    whole = Feature(x.whole())
    found.append(whole.value)
    return whole

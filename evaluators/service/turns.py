"""Large requests take their turn with others: the loop that answers all is never held for long by one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any, TypeVar

from oneshot.evaluators.service.failures import ENCODE

SLICE = 200
"""Architectures that are looked up, described or written at a time: 1 to 2 milliseconds."""

Item = TypeVar("Item")


async def in_turns(items: Iterable[Item], size: int = SLICE) -> AsyncIterator[Item]:
    """The items, others running after every `size` of them."""
    for place, item in enumerate(items, 1):
        yield item
        if place % size == 0:
            await asyncio.sleep(0)


async def encoded(items: Sequence[Any]) -> str:
    """A JSON list, written slice by slice."""
    slices = (items[start : start + SLICE] for start in range(0, len(items), SLICE))
    return f"[{','.join([ENCODE(part)[1:-1] async for part in in_turns(slices, 1)])}]"

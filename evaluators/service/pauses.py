"""What would stop a service for milliseconds: Python's collector of cycles, and threads that hold the interpreter."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

MANY = 50_000
"""Objects that a full collection may look at, some milliseconds' worth, before what has lasted is let be."""
SWITCH_SECONDS = 0.0005
"""How long a thread may keep the interpreter from one that answers requests; Python's own 0.005 is a pause at each."""


def settle() -> None:
    """Let all that stands now be: PyTorch alone is half a million objects, which each full collection would look at."""
    gc.collect()
    gc.freeze()
    gc.collect()  # the next full one is due when the objects have grown by a quarter of what this one found


@contextmanager
def short() -> Iterator[None]:
    """Within the block what lasts is settled again as it grows, and threads take turns more often."""
    switch = sys.getswitchinterval()
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.callbacks.append(_collected)
    try:
        yield
    finally:
        gc.callbacks.remove(_collected)
        sys.setswitchinterval(switch)
        gc.unfreeze()


def _collected(phase: str, info: dict[str, Any]) -> None:
    """Frozen garbage is never found, so that only much that has lasted is worth it: predictions that are kept."""
    if phase == "stop" and info["generation"] == 2 and len(gc.get_objects(2)) > MANY:
        gc.freeze()

"""What the C library does with freed memory: a change of the whole process, made by the command line or the user."""

from __future__ import annotations

import ctypes
import sys


def keep_freed_memory() -> None:
    """Ask the C library (glibc) to keep freed memory: activations of the last step serve the next without page faults.

    Convolutions and BatchNorm on large batches are up to six times faster on a CPU for it.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(-4, 0)  # M_MMAP_MAX: no allocation of its own mapping
            mallopt(-1, -1)  # M_TRIM_THRESHOLD: give nothing back

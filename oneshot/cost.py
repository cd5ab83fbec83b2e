"""What an architecture costs: the type that the formulas of spaces return, and the names of what they count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

SIZES = ("channels", "cells", "classes", "image_size")
"""What the cost of a network may depend on."""


@dataclass(frozen=True)
class Cost:
    """Trainable parameters of a stand-alone network, and its multiply-adds of one image in millions."""

    params: int
    mflops: float


def live_facts(whole: Cost, live: Cost, convolutions: Iterable[int], depth: int) -> dict[str, float]:
    """What every space of cells counts: all, what is *live* (on a path from input to output), and its kernels.

    `convolutions` are the kernels of those that the space counts; `depth` is how many operations but skips the longest
    live path has, -1 where there is none.
    """
    kernels = tuple(convolutions)
    return {
        "parameters": float(whole.params),
        "multiply_adds": whole.mflops,
        "live_parameters": float(live.params),
        "live_multiply_adds": live.mflops,
        "convolutions": float(len(kernels)),
        "convolutions_3x3": float(kernels.count(3)),
        "live_depth": float(depth),
    }

"""The costs of architectures as a search reads them."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from oneshot.cost import Cost
from oneshot.space import Arch


def measures(cost: Callable[[Arch], Cost]) -> dict[str, Callable[[Arch], float]]:
    """`params`, and `macs` in millions."""
    once: Any = lru_cache(maxsize=1 << 16)(cost)
    return {"params": lambda arch: float(once(arch).params), "macs": lambda arch: once(arch).mflops}

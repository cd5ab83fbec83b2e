"""The closed form of an architecture's cost, for each space that has one."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Protocol, runtime_checkable

from oneshot.cost import Cost
from oneshot.space import Arch, Space
from oneshot.spaces import fairnas, nasbench101, nasbench201

SIZES = ("channels", "cells", "classes", "image_size")


@runtime_checkable
class Costed(Protocol):
    """A space that knows the cost of its stand-alone networks; a size that is not given is the published one's."""

    def cost(self, arch: Arch, **size: int) -> Cost: ...


def formula(space: Space, **size: int) -> Callable[[Arch], Cost] | None:
    """The cost of stand-alone networks by architecture; None where the space has no formula.

    Sizes are channels, cells, classes and image_size, by default those of the published networks; one that the space's
    networks do not have, such as the cells of a chain, plays no part. ValueError names an unknown one.
    """
    if unknown := size.keys() - set(SIZES):
        raise ValueError(f"a network has the sizes {', '.join(SIZES)}, got {', '.join(sorted(unknown))}")
    if isinstance(space, Costed):
        return partial(space.cost, **size)
    if isinstance(space, nasbench201.NasBench201):
        return lambda arch: nasbench201.cost(space.operations(arch), **size)
    if isinstance(space, nasbench101.NasBench101):
        renamed = {"modules" if name == "cells" else name: value for name, value in size.items()}
        # the canonical cell is the one whose parameters the official files hold
        return lambda arch: nasbench101.cost(space.cell(arch).canonical(), **renamed)
    if isinstance(space, fairnas.FairNas):
        layers = {name: value for name, value in size.items() if name != "cells"}
        return lambda arch: fairnas.cost(space.operations(arch), **layers)
    return None


def measures(cost: Callable[[Arch], Cost]) -> dict[str, Callable[[Arch], float]]:
    """`params`, and `macs` in millions."""
    once: Any = lru_cache(maxsize=1 << 16)(cost)
    return {"params": lambda arch: float(once(arch).params), "macs": lambda arch: once(arch).mflops}

"""What a network of one architecture was told of the choices before, kept: there is nothing left to depend on."""

from __future__ import annotations

import re
from collections.abc import Collection, Container, Iterator, Mapping

from torch import Tensor, nn

from oneshot.gates import Gates
from oneshot.nn.contexts.base import Given, Told

NAME = re.compile(r"(shift|scale)_(\d+)_(\d+)_(\d+)")
"""Kind, cell, site, and place in the site's gate."""


class Constant(nn.Module):
    """Takes the place of `ContextWeights` where the architecture is known; its vectors [C] are ordinary parameters."""

    def __init__(self, vectors: Mapping[str, Tensor]) -> None:
        super().__init__()
        for name, vector in vectors.items():
            self.register_parameter(name, nn.Parameter(vector.detach().clone()))

    @property
    def adds(self) -> bool:
        return any(name.startswith("shift") for name in self._parameters)

    def forward(self, gates: Gates, sites: Container[int] | None = None) -> Told:
        found: dict[tuple[int, int], dict[str, list[Tensor]]] = {}
        for name, vector in self._parameters.items():
            kind, cell, site, _ = NAME.fullmatch(name).groups()  # pyright: ignore[reportOptionalMemberAccess]
            if sites is None or int(site) in sites:
                found.setdefault((int(cell), int(site)), {}).setdefault(kind, []).append(vector)  # pyright: ignore
        told: Told = [{} for _ in range(1 + max((int(name.split("_")[1]) for name in self._parameters), default=0))]
        for (cell, site), vectors in found.items():
            told[cell][site] = Given(shift=tuple(vectors.get("shift", ())), scale=tuple(vectors.get("scale", ())))
        return told

    def keep(self, used: Collection[Tensor]) -> None:
        """Forget vectors that no block takes."""
        known = {id(value) for value in used}
        for name in [name for name, vector in self._parameters.items() if id(vector) not in known]:
            del self._parameters[name]


def vectors_of(told: Told) -> Iterator[tuple[str, Tensor]]:
    """All vectors that blocks were told, by the names that `Constant` has for them."""
    for cell, block in enumerate(told):
        for site, given in block.items():
            for kind in ("shift", "scale"):
                for place, vector in enumerate(getattr(given, kind)):
                    yield f"{kind}_{cell}_{site}_{place}", vector

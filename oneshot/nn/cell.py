"""A cell of NASNet's and DARTS's kind: a choice block on each edge, or one for each node that is read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce
from operator import add
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.gates import Gate, Gates
from oneshot.nn.chance import DropPath
from oneshot.nn.choice import ChoiceBlock
from oneshot.nn.feature import Feature
from oneshot.nn.mix import mixed
from oneshot.nn.operations import Operations, ReluConvNorm, Skip, Zero
from oneshot.spaces.cells import EDGES, INPUTS, NODES, used_inputs


class Shape(Protocol):
    """What a cell takes of a network's settings."""

    @property
    def sharing(self) -> bool: ...
    @property
    def bottleneck(self) -> int: ...
    @property
    def drop_path(self) -> float: ...


class Cell(nn.Module):
    """A projection of each input, a choice block on each edge, or for each node that is read; nothing that never runs.

    `projections` make what the cell before last and the last cell give as large as the cell and as wide as `width`.
    """

    def __init__(
        self, options: Sequence[Sequence[str]], operations: Operations, projections: Sequence[nn.Module],
        edges: Sequence[int], width: int, reduces: bool, settings: Shape, affine: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.projections = nn.ModuleDict({str(node): projections[node] for node in used_inputs(edges)})
        self.shares, inner = settings.sharing, width // settings.bottleneck
        self.edges, self.into, self.out_of = nn.ModuleDict(), nn.ModuleDict(), nn.ModuleDict()
        named: dict[str, dict[str, None]] = {}  # of edges that share a block all options
        for edge in edges:
            named.setdefault(self._key(edge), {}).update(dict.fromkeys(options[edge]))
        self.places = {edge: [list(named[self._key(edge)]).index(option) for option in options[edge]] for edge in edges}
        for edge in edges:
            source, target = EDGES[edge]
            stride = 2 if reduces and source in INPUTS else 1
            if self._key(edge) not in self.edges:
                block = ChoiceBlock(list(named[self._key(edge)]), operations, inner, inner, stride)
                self.edges[self._key(edge)] = block
            if settings.bottleneck > 1 and str(source) not in self.into:
                self.into[str(source)] = ReluConvNorm(width, inner, 1, 1, affine)
            if settings.bottleneck > 1 and str(target) not in self.out_of:
                self.out_of[str(target)] = ReluConvNorm(inner, width, 1, 1, affine)
        self.drop_path = DropPath(settings.drop_path) if settings.drop_path else None

    def forward(self, inputs: Sequence[Feature | None], gates: Gates, live: Sequence[int]) -> Feature:
        nodes: dict[int, Feature] = {}
        for node in used_inputs(live):
            given = inputs[node]
            assert given is not None
            nodes[node] = Feature(self.projections[str(node)](given.prepared(F.relu)))
        own = {edge: self._of_block(edge, gates[edge]) for edge in live}
        sums, read, made = dict[int, Feature](), dict[int, Feature](), dict[int, Feature]()
        for position, edge in enumerate(live):
            source, target = EDGES[edge]
            if source not in read:
                read[source] = self._narrowed(source, nodes[source])
                if self.shares:
                    made |= self._shared(read[source], {e: own[e] for e in live if EDGES[e][0] == source})
            block = self._block(edge)
            y = self._dropped(block, own[edge], made[edge] if self.shares else block.lazy(read[source], own[edge]))
            sums[target] = sums[target] + y if target in sums else y
            if all(EDGES[later][1] != target for later in live[position + 1 :]):
                nodes[target] = self._widened(target, sums[target])
        results = [nodes[node].value if node in nodes else None for node in NODES]
        like = next(value for value in results if value is not None)
        return Feature(torch.cat([torch.zeros_like(like) if value is None else value for value in results], 1))

    def _of_block(self, edge: int, gate: Gate) -> Gate:
        """A gate by the options of the edge's block, without zeros."""
        options, places = self._block(edge).options, self.places[edge]
        own = ((places[option], weight) for option, weight in gate)
        return tuple((option, weight) for option, weight in own if not isinstance(options[option], Zero))

    def _shared(self, x: Feature, gates: Mapping[int, Gate]) -> dict[int, Feature]:
        """What edges that leave one node give: each operation is made once for all of them."""
        block = self._block(next(iter(gates)))
        options = sorted({option for gate in gates.values() for option, _ in gate})
        made = {option: Feature(block(x, ((option, 1.0),))) for option in options}
        learned = [edge for edge, gate in gates.items() if any(isinstance(weight, Tensor) for _, weight in gate)]
        given: dict[int, Feature] = {}
        if any(len(gates[edge]) > 1 for edge in learned):
            used = sorted({option for edge in learned for option, _ in gates[edge]})
            weights = [[dict(gates[edge]).get(option, 0.0) for option in used] for edge in learned]
            sums = mixed([made[option].value for option in used], weights)
            given = {edge: Feature(total) for edge, total in zip(learned, sums, strict=True)}
        for edge in gates.keys() - given.keys():
            given[edge] = reduce(add, (made[option].times(weight) for option, weight in gates[edge]))
        return given

    def _dropped(self, block: ChoiceBlock, gate: Gate, y: Feature) -> Feature:
        """Identities are never dropped, as released."""
        if self.drop_path is None or all(isinstance(block.options[option], Skip) for option, _ in gate):
            return y
        return Feature(self.drop_path(y.whole()))

    def _narrowed(self, node: int, x: Feature) -> Feature:
        return Feature(self.into[str(node)](x.prepared(F.relu))) if str(node) in self.into else x

    def _widened(self, node: int, x: Feature) -> Feature:
        return Feature(self.out_of[str(node)](x.prepared(F.relu))) if str(node) in self.out_of else x

    def _key(self, edge: int) -> str:
        return f"from {EDGES[edge][0]}" if self.shares else str(edge)

    def _block(self, edge: int) -> ChoiceBlock:
        return self.edges[self._key(edge)]  # pyright: ignore[reportReturnType]

"""A cell of NASNet's and DARTS's kind: a choice block on each edge, or one for each node that is read."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import nn

from oneshot.gates import Gate, Gates
from oneshot.nn.chance import DropPath
from oneshot.nn.choice import ChoiceBlock
from oneshot.nn.feature import Feature
from oneshot.nn.operations import Operations, ReluConvNorm, Skip
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
        for edge in edges:
            source, target = EDGES[edge]
            stride = 2 if reduces and source in INPUTS else 1
            if self._key(edge) not in self.edges:
                self.edges[self._key(edge)] = ChoiceBlock(options[edge], operations, inner, inner, stride)
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
        sums, read, made = dict[int, Feature](), dict[int, Feature](), dict[tuple[int, int], Feature]()
        for position, edge in enumerate(live):
            source, target = EDGES[edge]
            if source not in read:
                read[source] = self._narrowed(source, nodes[source])
            y = self._ran(edge, read[source], gates[edge], made)
            sums[target] = sums[target] + y if target in sums else y
            if all(EDGES[later][1] != target for later in live[position + 1 :]):
                nodes[target] = self._widened(target, sums[target])
        results = [nodes[node].value if node in nodes else None for node in NODES]
        like = next(value for value in results if value is not None)
        return Feature(torch.cat([torch.zeros_like(like) if value is None else value for value in results], 1))

    def _ran(self, edge: int, x: Feature, gate: Gate, made: dict[tuple[int, int], Feature]) -> Feature:
        """What an edge gives; where operations are shared, each is made once for all edges that leave its node."""
        block, source = self._block(edge), EDGES[edge][0]
        if not self.shares:
            return self._dropped(block, gate, block.lazy(x, gate))
        total: Feature | None = None
        for option, weight in gate:
            if not block.runs(((option, 1.0),)):
                continue
            if (source, option) not in made:
                made[source, option] = Feature(block(x, ((option, 1.0),)))
            y = made[source, option].times(weight)
            total = y if total is None else total + y
        assert total is not None
        return self._dropped(block, gate, total)

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

"""The NASNet-like skeleton of VAENAS, appendix A.4: DARTS's network (arXiv 1806.09055) with cells of 14 edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.base.bounds import check_least
from oneshot.gates import AnyGates, Gate, Gates, PerCell
from oneshot.nn.auxiliary import AuxiliaryHead
from oneshot.nn.chance import DropPath
from oneshot.nn.choice import ChoiceBlock
from oneshot.nn.feature import Feature
from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Conv, Operations, ReluConvNorm, Skip
from oneshot.nn.separable import FactorizedReduce, nasnet
from oneshot.space import Space
from oneshot.spaces.nasnet import EDGES, INPUTS, NODES, NONE, flowing, layout, live_edges, of_kind, used_inputs

STEM = 3
"""Channels of the stem for each of the first cell."""
AUXILIARY = 0.4
"""Weight of the auxiliary classifier's loss."""


@dataclass(frozen=True)
class NasNetSkeleton:
    """Three stages of normal cells, a reduction cell between them.

    Args:
        channels: width of the first stage
        cells: normal cells a stage
        sharing: operations belong to the node that they read, and are made once for all nodes behind it (eq. 6 of
            EnTranNAS)
        bottleneck: a cell's operations run at this part of its width, between two 1x1 convolutions (EnTranNAS: 4)
        auxiliary: a second classifier behind the second reduction cell while training
        drop_path: probability at the end of the training that an edge's result is dropped for an image
    """

    channels: int = 16
    cells: int = 2
    sharing: bool = False
    bottleneck: int = 1
    auxiliary: bool = False
    drop_path: float = 0.0
    carries_contexts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_least(self, channels=1, cells=1, bottleneck=1, drop_path=0)
        if self.channels % self.bottleneck:
            raise ValueError(f"bottleneck must divide the {self.channels} channels, got {self.bottleneck}")
        if self.drop_path >= 1:
            raise ValueError(f"drop_path must be at least 0 and below 1, got {self.drop_path}")

    def make(self, space: Space, classes: int, alone: bool = False) -> NasNetNet:
        return NasNetNet(space, self, classes, alone)


class Cell(nn.Module):
    """A projection of each input, a choice block on each edge, or for each node that is read; nothing that never runs.

    `projections` make what the cell before last and the last cell give as large as the cell and as wide as `width`.
    """

    def __init__(
        self, options: Sequence[Sequence[str]], operations: Operations, projections: Sequence[nn.Module],
        edges: Sequence[int], width: int, reduces: bool, settings: NasNetSkeleton, affine: bool,
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


class NasNetNet(nn.Module):
    """A supernet of a NASNet-like space, or of one architecture alone (`space.only(arch)`, `affine=True`).

    Three stages of `cells` normal cells with a reduction cell between them: DARTS's depths of 8 and 20 are two and six
    cells a stage. What nothing reaches, or nobody takes, is not computed. As in DARTS's derived networks pooling has no
    BatchNorm. Gates are one set of 28 for all cells, or 14 for each cell (`PerCell`).
    """

    def __init__(
        self, space: Space, settings: NasNetSkeleton | None = None, classes: int = 10, affine: bool = False
    ) -> None:
        super().__init__()
        self.settings = settings = settings or NasNetSkeleton()
        if classes < 1:
            raise ValueError(f"classes must be positive, got {classes}")
        self.space, self.layout, width = space, layout(settings.cells), settings.channels
        options = space.site_options
        self.stem = nn.Sequential(Conv(3, STEM * width, 3), BatchNorm(STEM * width))
        possible = live_edges([bool(set(site) - {NONE}) for site in options], settings.cells)
        operations, blocks = nasnet(affine), list[nn.Module]()
        before, last, halved = STEM * width, STEM * width, False
        self.auxiliary: AuxiliaryHead | None = None
        for reduces, edges in zip(self.layout, possible, strict=True):
            width *= 2 if reduces else 1
            first = FactorizedReduce(before, width, affine) if halved else ReluConvNorm(before, width, 1, 1, affine)
            projections = first, ReluConvNorm(last, width, 1, 1, affine)
            own = of_kind(options, reduces)
            blocks.append(Cell(own, operations, projections, edges, width, reduces, settings, affine))
            before, last, halved = last, len(NODES) * width, reduces
        self.blocks = nn.ModuleList(blocks)
        self.classifier = nn.Linear(last, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if settings.auxiliary:  # last, so that the other weights are those of a network without it
            self.auxiliary = AuxiliaryHead(len(NODES) * width, classes, AUXILIARY)

    def forward(self, x: Tensor, gates: AnyGates) -> Tensor:
        """Logits [B, classes] of images [B, 3, H, W], float, normalised; H and W divisible by four."""
        each = self._of_cells(gates)
        live = flowing([[self._runs(gate, site) for gate, site in self._sites(one, r)] for one, r in each])
        before = last = Feature(self.stem(x))
        second_reduction = len(self.layout) - 1 - self.layout[::-1].index(True)
        for number, (block, (one, _), edges) in enumerate(zip(self.blocks, each, live, strict=True)):
            given = before, last
            before, last = last, block(given, one, edges) if edges else None
            if number == second_reduction and self.auxiliary is not None and last is not None:
                self.auxiliary(last.value)
        if last is None:
            return self.classifier(x.new_zeros(x.shape[0], self.classifier.in_features))
        return self.classifier(last.value.mean((2, 3)))

    def _of_cells(self, gates: AnyGates) -> list[tuple[Gates, bool]]:
        """The 14 gates of each cell, and whether it reduces."""
        sets = list(gates) if isinstance(gates, PerCell) else [of_kind(gates, reduces) for reduces in self.layout]
        if len(sets) != len(self.layout) or any(len(one) != len(EDGES) for one in sets):
            got = f"{len(sets)} sets" if isinstance(gates, PerCell) else f"{len(gates)}"
            raise ValueError(
                f"expected {2 * len(EDGES)} gates, or {len(EDGES)} for each of {len(self.layout)} cells (PerCell), "
                f"got {got}"
            )
        return list(zip(sets, self.layout, strict=True))  # pyright: ignore[reportReturnType]

    def _sites(self, gates: Gates, reduces: bool) -> zip:
        return zip(gates, of_kind(self.space.site_options, reduces), strict=True)

    @staticmethod
    def _runs(gate: Gate, site: Sequence[str]) -> bool:
        return any(site[option] != NONE for option, _ in gate)

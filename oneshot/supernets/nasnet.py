"""The NASNet-like skeleton of VAENAS, appendix A.4: DARTS's network (arXiv 1806.09055) with cells of 14 edges."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.gates import Gates
from oneshot.nn.choice import ChoiceBlock
from oneshot.nn.feature import Feature
from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Conv, Operations, ReluConvNorm
from oneshot.nn.separable import FactorizedReduce, nasnet
from oneshot.space import Decision
from oneshot.spaces.nasnet import EDGES, INPUTS, NODES, NONE, NasNet, layout, live_edges, of_kind, used_inputs

STEM = 3
"""Channels of the stem for each of the first cell."""


class Cell(nn.Module):
    """A projection of each input, a choice block on each edge; edges that never run have none.

    `projections` make what the cell before last and the last cell give as large as the cell and as wide as `width`.
    """

    def __init__(
        self, decisions: Sequence[Decision], operations: Operations, projections: Sequence[nn.Module],
        edges: Sequence[int], width: int, reduces: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.projections = nn.ModuleDict({str(node): projections[node] for node in used_inputs(edges)})
        self.edges = nn.ModuleDict()
        for edge in edges:
            stride = 2 if reduces and EDGES[edge][0] in INPUTS else 1
            self.edges[str(edge)] = ChoiceBlock(decisions[edge].options, operations, width, width, stride)

    def forward(self, inputs: Sequence[Feature | None], gates: Gates, live: Sequence[int]) -> Feature:
        nodes: dict[int, Feature] = {}
        for node in used_inputs(live):
            given = inputs[node]
            assert given is not None
            nodes[node] = Feature(self.projections[str(node)](given.prepared(F.relu)))
        for edge in live:
            source, target = EDGES[edge]
            y = self._block(edge).lazy(nodes[source], gates[edge])
            nodes[target] = nodes[target] + y if target in nodes else y
        sums = [nodes[node].value if node in nodes else None for node in NODES]
        like = next(value for value in sums if value is not None)
        return Feature(torch.cat([torch.zeros_like(like) if value is None else value for value in sums], 1))

    def _block(self, edge: int) -> ChoiceBlock:
        return self.edges[str(edge)]  # pyright: ignore[reportReturnType]


class NasNetNet(nn.Module):
    """A supernet of a NASNet-like space, or of one architecture alone (`space.only(arch)`, `affine=True`).

    Three stages of `cells` normal cells with a reduction cell between them: DARTS's depths of 8 and 20 are two and six
    cells a stage. What nothing reaches, or nobody takes, is not computed. As in DARTS's derived networks pooling has no
    BatchNorm; there is no auxiliary classifier and no drop path.
    """

    def __init__(
        self, space: NasNet, channels: int = 16, cells: int = 2, classes: int = 10, affine: bool = False
    ) -> None:
        super().__init__()
        if min(channels, cells, classes) < 1:
            raise ValueError(f"channels, cells and classes must be positive, got {channels}, {cells}, {classes}")
        self.space, self.cells = space, cells
        self.stem = nn.Sequential(Conv(3, STEM * channels, 3), BatchNorm(STEM * channels))
        possible = live_edges([set(decision.options) != {NONE} for decision in space.decisions], cells)
        operations, blocks, width = nasnet(affine), list[nn.Module](), channels
        before, last, halved = STEM * channels, STEM * channels, False
        for reduces, edges in zip(layout(cells), possible, strict=True):
            width *= 2 if reduces else 1
            first = FactorizedReduce(before, width, affine) if halved else ReluConvNorm(before, width, 1, 1, affine)
            projections = first, ReluConvNorm(last, width, 1, 1, affine)
            blocks.append(Cell(of_kind(space.decisions, reduces), operations, projections, edges, width, reduces))
            before, last, halved = last, len(NODES) * width, reduces
        self.blocks = nn.ModuleList(blocks)
        self.classifier = nn.Linear(last, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        """Logits [B, classes] of images [B, 3, H, W], float, normalised; H and W divisible by four."""
        chosen = zip(self.space.decisions, gates, strict=True)
        there = [any(decision.options[option] != NONE for option, _ in gate) for decision, gate in chosen]
        live = live_edges(there, self.cells)
        before = last = Feature(self.stem(x))
        for block, reduces, edges in zip(self.blocks, layout(self.cells), live, strict=True):
            given = before, last
            before, last = last, block(given, of_kind(gates, reduces), edges) if edges else None
        if last is None:
            return self.classifier(x.new_zeros(len(x), self.classifier.in_features))
        return self.classifier(last.value.mean((2, 3)))

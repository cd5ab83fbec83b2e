"""The NAS-Bench-101 skeleton (arXiv 1902.09635) as a supernet whose weights are sliced (VAENAS, appendix A.5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from oneshot.base.bounds import CELLS, CHANNELS, check_least, check_most
from oneshot.gates import Gates, of_cells
from oneshot.nn.auxiliary import AuxiliaryHead
from oneshot.nn.blocks import block_output
from oneshot.nn.choice import ChoiceBlock, Feature
from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Conv, Operations
from oneshot.nn.sliced import SlicedConvNormRelu, nasbench101
from oneshot.spaces import nasbench101_cell as graphs
from oneshot.spaces.nasbench101 import EDGE_OPTIONS, EDGES, INNER, STACKS, NasBench101, vertex_channels

PRESENT = EDGE_OPTIONS.index("present")
INPUT, OUTPUT = 0, INNER + 1
Weight = float | Tensor


@dataclass(frozen=True)
class NasBench101Skeleton:
    """Three stacks of cells at widths C, 2C, 4C.

    Args:
        channels: width of the first stack
        cells: cells a stack
    """

    channels: int = 128
    cells: int = 3
    carries_contexts: ClassVar[bool] = False  # it is itself a choice which vertices come before a vertex

    def __post_init__(self) -> None:
        check_least(self, channels=1, cells=1)
        check_most(self, channels=CHANNELS, cells=CELLS)

    def make(self, space: NasBench101, classes: int, alone: bool = False) -> NasBench101Net:
        return NasBench101Net(space, self.channels, self.cells, classes, alone)


class Graph:
    """What lies between input and output along some edges; vertices keep their numbers in the space.

    `sources` are those of every vertex behind the input, in an order in which sources come first.
    """

    def __init__(self, edges: Iterable[tuple[int, int]]) -> None:
        bits = sum(1 << EDGES.index(edge) for edge in edges)
        # in place of labels the numbers of the vertices, so that pruning tells which are kept
        pruned = graphs.Cell(bits, tuple(range(1, OUTPUT))).pruned()
        if pruned is None:
            raise ValueError(f"expected a path from input to output, got {graphs.Cell(bits, (0,) * INNER)}")
        self._pruned, self.inner = pruned, pruned.operations
        names = (INPUT, *self.inner, OUTPUT)
        self.sources = {names[b]: tuple(names[a] for a in pruned.sources(b)) for b in range(1, len(names))}

    def channels(self, width: int) -> dict[int, int]:
        """Those of each vertex behind the input, in a cell whose output has `width`."""
        inner = vertex_channels(self._pruned.bits, self._pruned.vertices, width)
        return {**dict(zip(self.inner, inner, strict=True)), OUTPUT: width}


class Cell(nn.Module):
    """A choice block on each inner vertex, a 1x1 projection of the input for each vertex that it may lead to.

    `sizes` are the most channels of each vertex.
    """

    def __init__(
        self, space: NasBench101, operations: Operations, widest: Graph, channels_in: int, sizes: Mapping[int, int],
        affine: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.width = sizes[OUTPUT]
        self.vertices, self.projections = nn.ModuleDict(), nn.ModuleDict()
        for vertex, sources in widest.sources.items():
            size = sizes[vertex]
            if INPUT in sources:
                self.projections[str(vertex)] = SlicedConvNormRelu(channels_in, size, 1, affine)
            if vertex != OUTPUT:
                options = space.decisions[_site(vertex)].options
                self.vertices[str(vertex)] = ChoiceBlock(options, operations, size, size)
                self.vertices[str(vertex)].is_path = True  # pyright: ignore[reportArgumentType]

    def forward(self, x: Tensor, gates: Gates, graph: Graph, weights: Mapping[tuple[int, int], Weight]) -> Tensor:
        values: dict[int, Tensor] = {}
        sizes = graph.channels(self.width)
        for vertex, sources in graph.sources.items():
            size = sizes[vertex]
            parts = [_times(values[source], weights[source, vertex]) for source in sources if source]
            if vertex == OUTPUT and parts:
                parts = [torch.cat(parts, 1) if len(parts) > 1 else parts[0]]
            if INPUT in sources:
                parts.append(_times(self.projections[str(vertex)](x, size), weights[INPUT, vertex]))
            value = sum((_cut(part, size) for part in parts[1:]), _cut(parts[0], size))
            if vertex != OUTPUT:
                value = self.vertices[str(vertex)](Feature(value), gates[_site(vertex)])
            values[vertex] = value
        return values[OUTPUT]


class NasBench101Net(nn.Module):
    """A supernet of a NAS-Bench-101 space, or of one architecture alone (`space.only(arch)`, `affine=True`).

    Each cell has its own weights for each operation of each vertex and for each projection of its input, as wide as the
    cell; of them an architecture uses the leading channels that its graph asks for. Where a space leaves one graph,
    they have just these. At C=128, three modules a stack and 10 classes the supernet has 56,828,554 parameters.

    Gates: an edge is there where its gate holds `present`, whose weight scales what flows along it. Weights belong to
    the numbers of the vertices in the space, so that isomorphic cells give different logits.
    """

    def __init__(
        self, space: NasBench101, channels: int = 128, modules: int = 3, classes: int = 10, affine: bool = False
    ) -> None:
        super().__init__()
        if min(channels, modules, classes) < 1:
            raise ValueError(f"channels, modules and classes must be positive, got {channels}, {modules}, {classes}")
        self.space = space
        self._present = [[code == PRESENT for code in codes] for codes in space.codes[: len(EDGES)]]
        widest = Graph(edge for edge, known in zip(EDGES, self._present, strict=True) if any(known))
        shared = len(set(widest.sources[OUTPUT]) - {INPUT})
        if channels < shared:
            raise ValueError(f"{shared} vertices may share the channels of {space.name}, got {channels} channels")
        has_one_graph = all(len(known) == 1 for known in self._present)
        self.stem = nn.Sequential(Conv(3, channels, 3), BatchNorm(channels), nn.ReLU())
        operations, before, blocks = nasbench101(affine), channels, list[nn.Module]()
        for stack in range(STACKS):
            width = channels << stack
            sizes = widest.channels(width) if has_one_graph else dict.fromkeys(widest.sources, width)
            if stack:
                self._aside = len(blocks)
                blocks.append(nn.MaxPool2d(2))
            for _ in range(modules):
                blocks.append(Cell(space, operations, widest, before, sizes, affine))
                before = width
        self.blocks, self.aside_channels = nn.ModuleList(blocks), channels << 1
        self.auxiliary: AuxiliaryHead | None = None
        self.classifier = nn.Linear(before, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        """Logits [B, classes] of images [B, 3, H, W], float, normalised; H and W at least four.

        ValueError where the gates leave no path from input to output.
        """
        (gates,) = of_cells(gates, len(self.space.decisions), 1)
        weights = self._edge_weights(gates)
        graph = Graph(weights)
        x = self.stem(x)
        for block in self.blocks:
            x = block_output(block(x, gates, graph, weights)) if isinstance(block, Cell) else block(x)
            if self.auxiliary is not None and self.training and block is self.blocks[self._aside]:
                self.auxiliary(x)
        return self.classifier(x.mean((2, 3)))

    def _edge_weights(self, gates: Gates) -> dict[tuple[int, int], Weight]:
        """The weight of each edge that is present."""
        chosen = zip(EDGES, gates, self._present, strict=False)
        return {edge: weight for edge, gate, known in chosen for option, weight in gate if known[option]}


def _site(vertex: int) -> int:
    return len(EDGES) + vertex - 1


def _cut(x: Tensor, channels: int) -> Tensor:
    """Without the one channel more that a source has where the output's do not divide evenly."""
    return x if x.shape[1] == channels else x[:, :channels]


def _times(x: Tensor, weight: Weight) -> Tensor:
    return x if isinstance(weight, float) and weight == 1.0 else x * weight

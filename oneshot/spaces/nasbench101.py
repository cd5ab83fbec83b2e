"""NAS-Bench-101 (arXiv 1902.09635): cells of at most seven vertices and nine edges, an operation on each inner vertex.

An architecture is 21 edges and 5 operations (VAENAS, appendix A.5), which may hold parts that are not connected; its
cell is what is left without them. `nasbench101_batch` does for many cells at once what this file does for one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product
from typing import ClassVar

from oneshot.cost import Cost, live_facts
from oneshot.space import Arch, Decision, Graph, Space
from oneshot.spaces.nasbench101_cell import (
    CONV3,
    INNER,
    MAX_VERTICES,
    OPERATIONS,
    Cell,
    Matrix,
    read_cell,
    read_graph,
    sources,
)

EDGES = tuple((source, target) for target in range(MAX_VERTICES) for source in range(target))
"""(source vertex, target vertex) of each edge decision, in the order of the official generator's bits."""

OUTPUT_BITS = len(EDGES) - INNER - 1
"""The first edge to the output."""

EDGE_OPTIONS = ("absent", "present")
LABELS = range(len(OPERATIONS))
KERNELS = (3, 1, 0)  # of each label's convolution, 0 for none
KERNEL_PIXELS = tuple(kernel**2 for kernel in KERNELS)
STACKS = 3

Terms = tuple[int, tuple[list[int], ...]]  # what a graph always adds, and what each operation adds at each inner vertex


@dataclass(frozen=True)
class NasBench101(Space):
    """Cells as 21 edges and 5 operations.

    Strings are `conv3x3~0|maxpool3x3~01|output~12`: an operation and its source vertices, for vertex 1, 2, ...; last
    vertices without any edge are left out. As in the official API, the limit on edges is on those that are connected.
    """

    baseline: ClassVar[str] = "live_parameters"
    encoding: ClassVar[str] = "oneshot.samplers.exact_edges:ExactEdges"
    variation: ClassVar[str] = "oneshot.search.nasbench101:EdgeSwaps"

    def __post_init__(self) -> None:
        allowed = [set(EDGE_OPTIONS)] * len(EDGES) + [set(OPERATIONS)] * INNER
        if len(self.decisions) != len(allowed):
            raise ValueError(f"NAS-Bench-101 has {len(allowed)} decisions, got {len(self.decisions)}")
        for decision, options in zip(self.decisions, allowed, strict=True):
            if unknown := set(decision.options) - options:
                raise ValueError(
                    f"{decision.name} takes options of {sorted(options)}; got the unknown {sorted(unknown)}"
                )

    def __iter__(self) -> Iterator[Arch]:
        """Every allowed architecture in lexicographic order, lazily: connectivity is found out once for each graph."""
        ranges = [range(len(decision.options)) for decision in self.decisions]
        for edges in product(*ranges[: len(EDGES)]):
            if not self._whole(edges + (0,) * INNER).trouble():
                yield from (edges + operations for operations in product(*ranges[len(EDGES) :]))

    def allows(self, arch: Arch) -> bool:
        return super().allows(arch) and not self._whole(arch).trouble()

    def check(self, arch: Sequence[int]) -> Arch:
        candidate = tuple(arch)
        if not super().allows(candidate):
            return super().check(candidate)
        if trouble := self._whole(candidate).trouble():
            raise ValueError(f"{candidate} is no architecture of {self.name}: {trouble}")
        return tuple(int(i) for i in candidate)

    def cell(self, arch: Arch) -> Cell:
        """What is connected of an architecture: the official `ModelSpec` after pruning."""
        cell = self._whole(self.check(arch)).pruned()
        assert cell is not None
        return cell

    def graph(self, arch: Arch) -> tuple[Matrix, list[str]]:
        """The adjacency matrix and operations; `from_graph` reads them back."""
        return self._trimmed(arch).graph()

    def from_graph(self, matrix: Sequence[Sequence[int]], operations: Sequence[str]) -> Arch:
        """The architecture of an upper-triangular adjacency matrix and its operations, as the official API takes them.

        ValueError says what was expected and what came.
        """
        return self.from_cell(read_graph(matrix, operations))

    def from_cell(self, cell: Cell) -> Arch:
        """The architecture of a cell: its inner vertices first, vertices that it lacks without edges."""
        if cell.bits >> cell.vertices * (cell.vertices - 1) // 2 or not set(cell.operations) <= set(LABELS):
            raise ValueError(f"expected bits for the edges of its vertices and labels from 0 to 2, got {cell!r}")
        if trouble := cell.trouble():
            raise ValueError(f"{cell} is no architecture of {self.name}: {trouble}")
        if cell.vertices > MAX_VERTICES:
            cell = cell.pruned() or cell
        inner = (cell.vertices - 1) * (cell.vertices - 2) // 2
        bits = cell.bits & (1 << inner) - 1 | cell.bits >> inner << OUTPUT_BITS
        names = [EDGE_OPTIONS[bits >> k & 1] for k in range(len(EDGES))]
        names += [OPERATIONS[label] for label in cell.operations]
        for name, decision in zip(names, self.decisions, strict=False):
            if name not in decision.options:
                raise ValueError(
                    f"{name!r} of {cell} is not in {self.name}; "
                    f"{decision.name} takes one of {', '.join(decision.options)}"
                )
        idle = [CONV3 if CONV3 in decision.options else decision.options[0] for decision in self.decisions]
        names += idle[len(names) :]
        return tuple(d.options.index(name) for d, name in zip(self.decisions, names, strict=True))

    def parse(self, text: str) -> Arch:
        return self.from_cell(read_cell(text))

    def format(self, arch: Arch) -> str:
        return str(self._trimmed(arch))

    def canonical(self, arch: Arch) -> Arch:
        """The architecture of the one cell that the official files hold for all of the same hash.

        ValueError where a restriction of the space does not have it.
        """
        return self.from_cell(self.cell(arch).canonical())

    def graph_hash(self, arch: Arch) -> str:
        """The official 128-bit hash: equal for two architectures if and only if `canonical` is."""
        return self.cell(arch).hash()

    def graphs(self, options: Sequence[Sequence[str]]) -> dict[str, Graph]:
        """The pruned cell, whose operations are its vertices: connections only pass on."""
        matrix, operations = self.cell(self.choosing([each[0] for each in options], "these options")).graph()
        last = len(operations) - 1
        names = [o if place in (0, last) else f"{place} {o}" for place, o in enumerate(operations)]
        edges = [(names[a], names[b], "") for a, row in enumerate(matrix) for b, on in enumerate(row) if on]
        return {"cell": edges}

    def facts(self, arch: Arch) -> dict[str, float]:
        """All is live: a cell is what is left without the parts that are not connected."""
        cell = self.cell(arch)
        whole = cost(cell)
        kernels = (KERNELS[label] for label in cell.operations if KERNELS[label])
        return live_facts(whole, whole, kernels, depth(cell.bits, cell.vertices))

    def cost(self, arch: Arch, **size: int) -> Cost:
        """That of the stand-alone network of the canonical cell, whose parameters the official files hold."""
        renamed = {"modules" if name == "cells" else name: value for name, value in size.items()}
        return cost(self.cell(arch).canonical(), **renamed)

    @cached_property
    def codes(self) -> tuple[tuple[int, ...], ...]:
        """For each decision, what each of its options is among all edge options or operations."""
        known = [EDGE_OPTIONS] * len(EDGES) + [OPERATIONS] * INNER
        return tuple(tuple(map(k.index, d.options)) for k, d in zip(known, self.decisions, strict=True))

    def _whole(self, arch: Arch) -> Cell:
        """All seven vertices, connected or not."""
        codes = [of[i] for of, i in zip(self.codes, arch, strict=True)]
        return Cell(sum(1 << k for k in range(len(EDGES)) if codes[k]), tuple(codes[len(EDGES) :]))

    def _trimmed(self, arch: Arch) -> Cell:
        """The cell without its last inner vertices where these are as `from_cell` fills them up."""
        bits, operations = self._whole(self.check(arch))
        inner, output = bits & (1 << OUTPUT_BITS) - 1, bits >> OUTPUT_BITS
        n = INNER
        while n and operations[n - 1] == 0 and not output >> n and not inner >> n * (n - 1) // 2:
            n -= 1
        return Cell(inner | output << n * (n + 1) // 2, operations[:n])


def nasbench101(operations: tuple[str, ...] = OPERATIONS, name: str = "nasbench101") -> NasBench101:
    """The space with the same operations at every vertex."""
    edges = tuple(Decision(f"edge {a}->{b}", EDGE_OPTIONS) for a, b in EDGES)
    return NasBench101(name, edges + tuple(Decision(f"vertex {v}", operations) for v in range(1, INNER + 1)))


ALL = nasbench101()


def vertex_channels(bits: int, vertices: int, width: int) -> tuple[int, ...]:
    """The channels of a pruned cell's inner vertices if its output has `width` (official `compute_vertex_channels`).

    The sources of the output share its channels, the first ones taking the remainder; every other vertex has as many
    as the widest that it feeds.
    """
    last = [v for v in sources(bits, vertices - 1) if v]
    channels = dict.fromkeys(range(1, vertices - 1), 0)
    for i, v in enumerate(last):
        channels[v] = width // len(last) + (i < width % len(last))
    for b in reversed(range(1, vertices - 1)):
        for a in set(sources(bits, b)) - {0, *last}:
            channels[a] = max(channels[a], channels[b])
    return tuple(channels.values())


@lru_cache(maxsize=1 << 14)
def depth(bits: int, vertices: int) -> int:
    """The inner vertices on the longest path from input to output of a pruned graph."""
    longest = [0] * vertices
    for b in range(1, vertices):
        longest[b] = max(longest[a] for a in sources(bits, b)) + 1
    return longest[-1] - 1


def cost(cell: Cell, channels: int = 128, modules: int = 3, classes: int = 10, image_size: int = 32) -> Cost:
    """Parameters and multiply-adds of the stand-alone network of a pruned cell.

    Three stacks of `modules` cells at widths C, 2C, 4C, max pooling between them. Parameters equal the official ones on
    every row; where the output's channels do not divide evenly, they depend on the order of the cell's vertices, and
    the official ones are those of the canonical cell. Multiply-adds are counted as in NAS-Bench-201.
    """
    params, multiplies = terms(cell.bits, cell.vertices, channels, modules, classes, image_size)
    return Cost(_chosen(params, cell.operations), _chosen(multiplies, cell.operations) / 1e6)


@lru_cache(maxsize=1 << 14)
def terms(bits: int, vertices: int, channels: int, modules: int, classes: int, image_size: int) -> tuple[Terms, Terms]:
    """Of a graph without labels, the parameters and multiplies: those it always has, and by vertex and operation."""
    stem, head = 27 * channels, (channels << STACKS - 1) * classes + classes
    weights, counts = stem + 2 * channels + head, stem * image_size**2 + head
    params, multiplies = ([[0] * len(OPERATIONS) for _ in range(vertices - 2)] for _ in range(2))
    from_input = [0 in sources(bits, v) for v in range(1, vertices)]
    for stack in range(STACKS):
        width, pixels = channels << stack, (image_size >> stack) ** 2
        inner = vertex_channels(bits, vertices, width)
        inputs = modules * width - (width // 2 if stack else 0)  # a stack's first cell has half of them
        projected = [c for c, known in zip((*inner, width), from_input, strict=True) if known]
        weights += sum(inputs * c + modules * 2 * c for c in projected)
        counts += sum(inputs * c * pixels for c in projected)
        for v, c in enumerate(inner):
            for label, kernel in enumerate(KERNEL_PIXELS):
                params[v][label] += modules * (kernel * c * c + 2 * c) if kernel else 0
                multiplies[v][label] += modules * kernel * c * c * pixels
    return (weights, tuple(params)), (counts, tuple(multiplies))


def _chosen(terms: Terms, operations: Sequence[int]) -> int:
    always, by_operation = terms
    return always + sum(added[label] for added, label in zip(by_operation, operations, strict=True))

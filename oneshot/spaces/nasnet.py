"""The NASNet-like space of VAENAS, appendix A.4: DARTS's two cells, one of eight operations on each of 14 edges.

A normal and a reduction cell of six nodes: 0 and 1 are what the cell before last and the last cell give, 2 to 5 are the
sums of what comes along their edges, from any of the nodes before; the cell gives the four sums behind each other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

from oneshot.cost import Cost
from oneshot.space import Arch, Decision, Space

NONE, AVERAGE, MAXIMUM, SKIP, SEP3, SEP5, SEP7, DIL3 = OPERATIONS = (
    "none", "avg_pool_3x3", "max_pool_3x3", "skip_connect",
    "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "dil_conv_3x3",
)  # fmt: skip
SEPARABLE = {SEP3: (3, 2), SEP5: (5, 2), SEP7: (7, 2), DIL3: (3, 1)}
"""Kernel and number of the depthwise convolutions, a 1x1 behind each."""

INPUTS = (0, 1)
NODES = range(2, 6)
EDGES = tuple((source, target) for target in NODES for source in range(target))
"""(source node, target node) of each edge of a cell."""
KINDS = ("normal", "reduction")
DERIVED = 2
"""Edges that a derived cell keeps into each of its nodes."""

Operations = tuple[str, ...]
Each = TypeVar("Each")


@dataclass(frozen=True)
class NasNet(Space):
    """Pairs of cells; the normal one's 14 decisions come first.

    Strings are `sep_conv_3x3~0+skip_connect~1|none|dil_conv_3x3~2|max_pool_3x3~0/...`: for nodes 2 to 5 their edges
    but those with `none`, then the same of the reduction cell.
    """

    zero: ClassVar[str | None] = NONE

    def __post_init__(self) -> None:
        unknown = {option for decision in self.decisions for option in decision.options} - set(OPERATIONS)
        if len(self.decisions) != 2 * len(EDGES) or unknown:
            raise ValueError(
                f"the NASNet-like space has {2 * len(EDGES)} decisions among {OPERATIONS}; "
                f"got {len(self.decisions)} decisions with unknown options {sorted(unknown)}"
            )

    def parse(self, text: str) -> Arch:
        operations = _read(text)
        if _string(operations) != text.strip():
            raise ValueError(
                f"{text!r} is no pair of cells; expected the edges into each node by their sources, "
                f"'op~0+op~1|none|op~2+op~3|op~0', of the normal and, behind '/', of the reduction cell"
            )
        return self.choosing(operations, text)

    def format(self, arch: Arch) -> str:
        return _string(self.operations(arch))

    def canonical(self, arch: Arch) -> Arch:
        """The architecture without what no network computes: edges that leave a node which nothing reaches.

        And everything where nothing reaches the end of the normal cell, which is the last of a network. Not merged are
        cells that differ in the order of their nodes, sums that a skip passes on, and cells that one cannot tell apart
        because the other one drops an input.
        """
        live = live_cells(self.operations(arch))
        kept = {edge + len(EDGES) * kind for kind, edges in enumerate(live) for edge in edges if live[0]}
        idle = [d.options.index(NONE) if NONE in d.options else 0 for d in self.decisions]
        return tuple(int(i) if k in kept else idle[k] for k, i in enumerate(arch))

    def bucket(self, arch: Arch) -> int | None:
        """None where nothing gets through one of the cells."""
        return 0 if all(live_cells(self.operations(arch))) else None

    def strongest(self, weights: Sequence[Sequence[float]]) -> Arch:
        """The rule of DARTS (section 2.4): the two strongest edges of every node, each with its strongest operation.

        An edge is as strong as its strongest operation that is not zero. Two edges come from different nodes here.
        """
        arch = list(super().strongest(weights))
        for kind in range(len(KINDS)):
            for node in NODES:
                edges = [kind * len(EDGES) + e for e, (_, target) in enumerate(EDGES) if target == node]
                edges.sort(key=lambda d: -weights[d][arch[d]])
                for d in edges[DERIVED:]:
                    arch[d] = self.decisions[d].options.index(NONE) if NONE in self.decisions[d].options else arch[d]
        return tuple(arch)

    def facts(self, arch: Arch) -> dict[str, float]:
        operations, found = self.operations(arch), self.cost(arch)
        live = (operations[edge + len(EDGES) * kind] for kind, es in enumerate(live_cells(operations)) for edge in es)
        return {
            "parameters": float(found.params),
            "multiply_adds": found.mflops,
            "convolutions": float(sum(operation in SEPARABLE for operation in live)),
        }

    def cost(self, arch: Arch, **size: int) -> Cost:
        """That of the stand-alone network, see `cost`."""
        return cost(self.operations(arch), **size)


def nasnet(options: tuple[str, ...] = OPERATIONS, name: str = "nasnet") -> NasNet:
    """The space with the same options on every edge."""
    return NasNet(name, tuple(Decision(f"{kind} edge {a}-{b}", options) for kind in KINDS for a, b in EDGES))


ALL = nasnet()


def layout(cells: int) -> tuple[bool, ...]:
    """Which cells of a network reduce: two between three stages of so many normal ones."""
    return ((False,) * cells + (True,)) * 2 + (False,) * cells


def of_kind(decisions: Sequence[Each], reduces: bool) -> Sequence[Each]:
    """The half that belongs to the edges of the normal cell, or of the reduction cell."""
    return decisions[len(EDGES) :] if reduces else decisions[: len(EDGES)]


def live_cells(operations: Operations) -> list[tuple[int, ...]]:
    """The edges of the normal and the reduction cell that something flows along where both inputs are there."""
    there = [operation != NONE for operation in operations]
    return [_flowing(of_kind(there, reduces), INPUTS) for reduces in (False, True)]


def live_edges(there: Sequence[bool], cells: int) -> list[tuple[int, ...]]:
    """The edges that run in each cell of a network, in order, if those of each kind of cell are there that say so.

    What runs has an input, and is used: a cell whose result the next two do not take has none.
    """
    return flowing([of_kind(there, reduces) for reduces in layout(cells)])


def flowing(there: Sequence[Sequence[bool]]) -> list[tuple[int, ...]]:
    """`live_edges` of a network whose every cell says by itself which edges are there."""
    gives, live = [True, True], list[tuple[int, ...]]()
    for own in there:
        live.append(_flowing(own, [node for node in INPUTS if gives[node - 2]]))
        gives.append(bool(live[-1]))
    needed = {len(live) - 1}
    for cell in reversed(range(len(live))):
        if cell not in needed:
            live[cell] = ()
        needed |= {cell - 2 + node for node in used_inputs(live[cell])}
    return live


def used_inputs(edges: Collection[int]) -> list[int]:
    """The input nodes that some of these edges leave."""
    return [node for node in INPUTS if any(EDGES[edge][0] == node for edge in edges)]


def cost(operations: Operations, channels: int = 36, cells: int = 6, classes: int = 10, image_size: int = 32) -> Cost:
    """Parameters and multiply-adds of the stand-alone network, counted as in NAS-Bench-201: BatchNorm is free.

    By default the CIFAR-10 network of DARTS, of 20 cells and without an auxiliary classifier. Only what runs counts.
    """
    stem, width, side = 3 * channels, channels, image_size
    params, multiplies = 29 * stem, 27 * stem * side**2
    before, last = stem, stem
    runs = live_edges([operation != NONE for operation in operations], cells)
    for reduces, live in zip(layout(cells), runs, strict=True):
        width, after = (2 * width, side // 2) if reduces else (width, side)
        own = of_kind(operations, reduces)
        projections = sum((before, last)[node] * width for node in used_inputs(live))
        params += projections + 2 * width * len(used_inputs(live))
        multiplies += projections * side**2
        for edge in live:
            weights, norms = _weights(own[edge], width, reduces and EDGES[edge][0] in INPUTS)
            params += weights + 2 * width * norms
            multiplies += weights * after**2
        before, last, side = last, len(NODES) * width, after
    classifier = last * classes + classes
    return Cost(params + classifier, (multiplies + classifier) / 1e6)


def _weights(operation: str, width: int, halves: bool) -> tuple[int, int]:
    """The weights of an operation's convolutions, and how many BatchNorms it has."""
    if operation == SKIP and halves:
        return width * width, 1
    kernel, number = SEPARABLE.get(operation, (0, 0))
    return number * (kernel**2 * width + width * width), number


def _flowing(there: Sequence[bool], inputs: Collection[int]) -> tuple[int, ...]:
    """The edges of a cell that are there and leave a node which something reaches from these inputs."""
    reached, found = set(inputs), list[int]()
    for edge, (source, target) in enumerate(EDGES):  # the edges into a node come before those that leave it
        if there[edge] and source in reached:
            reached.add(target)
            found.append(edge)
    return tuple(found)


def _read(text: str) -> Operations:
    """The operations that a string names; what else it says is left to comparing it with theirs."""
    found: dict[tuple[int, str, int], str] = {}
    for kind, cell in enumerate(text.strip().split("/")):
        for target, node in enumerate(cell.split("|"), NODES[0]):
            for term in node.split("+"):
                name, _, source = term.partition("~")
                found[kind, source, target] = name
    return tuple(found.get((kind, str(a), b), NONE) for kind in range(len(KINDS)) for a, b in EDGES)


def _string(operations: Operations) -> str:
    return "/".join("|".join(_nodes(of_kind(operations, reduces))) for reduces in (False, True))


def _nodes(operations: Sequence[str]) -> Iterator[str]:
    for node in NODES:
        edges = zip(EDGES, operations, strict=True)
        yield "+".join(f"{o}~{a}" for (a, b), o in edges if b == node and o != NONE) or NONE

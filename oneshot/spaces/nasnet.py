"""The NASNet-like space of VAENAS, appendix A.4: DARTS's two cells, one of eight operations on each of 14 edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from oneshot.cost import Cost, live_facts
from oneshot.space import Arch, Decision, Graph, Space
from oneshot.spaces.cell_operations import CONVOLUTIONS, KNOWN, VAENAS, cost, depth
from oneshot.spaces.cells import (
    EDGES,
    KINDS,
    NAMES,
    NODES,
    NONE,
    OF_NODES,
    SITES,
    Connections,
    live_cells,
    read,
    written,
)
from oneshot.spaces.genotype import genotype, is_genotype, read_genotype

DERIVED = 2
"""Edges that a derived cell keeps into each of its nodes."""


@dataclass(frozen=True)
class NasNet(Space):
    """Pairs of cells with one option on each edge; the normal cell's 14 decisions come first.

    Strings are `sep_conv_3x3~0+skip_connect~1|none|dil_conv_3x3~2|max_pool_3x3~0/...`: for nodes 2 to 5 their edges
    but those with `none`, then the same of the reduction cell. Genotypes are read, too.
    """

    zero: ClassVar[str | None] = NONE
    baseline: ClassVar[str] = "live_parameters"

    def __post_init__(self) -> None:
        unknown = {option for decision in self.decisions for option in decision.options} - set(KNOWN)
        if len(self.decisions) != len(NAMES) or unknown:
            raise ValueError(
                f"a pair of cells has {len(NAMES)} decisions among {KNOWN}; "
                f"got {len(self.decisions)} decisions with unknown options {sorted(unknown)}"
            )

    def parse(self, text: str) -> Arch:
        connections = read_genotype(text) if is_genotype(text) else read(text)
        for name, operations in zip(NAMES, connections, strict=True):
            if len(operations) > 1:
                raise ValueError(
                    f"{text!r} is no pair of cells of {self.name}: expected one operation on an edge, "
                    f"got {' and '.join(operations)} on {name}"
                )
        return self.choosing([operations[0] if operations else NONE for operations in connections], text)

    def format(self, arch: Arch) -> str:
        return written(self.connections(arch))

    def genotype(self, arch: Arch) -> str:
        """As the field writes it, see `oneshot.spaces.genotype`; `parse` reads it back."""
        return genotype(self.connections(arch))

    def connections(self, arch: Arch) -> Connections:
        """The operations on each edge of both cells, zeros left out."""
        return tuple(() if operation == NONE else (operation,) for operation in self.operations(arch))

    def canonical(self, arch: Arch) -> Arch:
        """The architecture without what no network computes: edges that leave a node which nothing reaches.

        And everything where nothing reaches the end of the normal cell, which is the last of a network. Not merged are
        cells that differ in the order of their nodes, sums that a skip passes on, and cells that one cannot tell apart
        because the other one drops an input.
        """
        live = live_cells(self.connections(arch))
        kept = {edge + len(EDGES) * kind for kind, edges in enumerate(live) for edge in edges if live[0]}
        idle = [d.options.index(NONE) if NONE in d.options else 0 for d in self.decisions]
        return tuple(int(i) if k in kept else idle[k] for k, i in enumerate(arch))

    def bucket(self, arch: Arch) -> int | None:
        """None where nothing gets through one of the cells."""
        return 0 if all(live_cells(self.connections(arch))) else None

    def strongest(self, weights: Sequence[Sequence[float]]) -> Arch:
        """The rule of DARTS (section 2.4): the two strongest edges of every node, each with its strongest operation.

        An edge is as strong as its strongest operation that is not zero. Two edges come from different nodes here.
        """
        arch = list(super().strongest(weights))
        for sites in OF_NODES:
            for d in sorted(sites, key=lambda d: -weights[d][arch[d]])[DERIVED:]:
                arch[d] = self.decisions[d].options.index(NONE) if NONE in self.decisions[d].options else arch[d]
        return tuple(arch)

    def graphs(self, options: Sequence[Sequence[str]]) -> dict[str, Graph]:
        return graphs(options)

    def facts(self, arch: Arch) -> dict[str, float]:
        return facts(self.connections(arch), self.cost(arch))

    def cost(self, arch: Arch, *, stem: str = "cifar", **size: int) -> Cost:
        """That of the stand-alone network, see `oneshot.spaces.cell_operations.cost`."""
        return cost(self.connections(arch), stem=stem, **size)


def graphs(options: Sequence[Sequence[str]]) -> dict[str, Graph]:
    """Both cells, from what the last two gave to what this one gives."""
    names = ["c[k-2]", "c[k-1]", *(str(node) for node in NODES)]
    found: dict[str, list[tuple[str, str, str]]] = {}
    for (kind, source, target), operations in zip(SITES, options, strict=True):
        graph = found.setdefault(f"{KINDS[kind]} cell", [])
        graph += [(names[source], names[target], operation) for operation in operations if operation != NONE]
    return {title: [*graph, *((str(node), "c[k]", "") for node in NODES)] for title, graph in found.items()}


def facts(connections: Connections, found: Cost) -> dict[str, float]:
    """All is live, as `cost` counts what runs; convolutions on live edges of the two cells, each counted once."""
    live = (
        connections[edge + len(EDGES) * kind] for kind, edges in enumerate(live_cells(connections)) for edge in edges
    )
    kernels = (CONVOLUTIONS[operation] for operations in live for operation in operations if operation in CONVOLUTIONS)
    return live_facts(found, found, kernels, depth(connections))


def nasnet(options: tuple[str, ...] = VAENAS, name: str = "nasnet") -> NasNet:
    """The space with the same options on every edge."""
    return NasNet(name, tuple(Decision(edge, options) for edge in NAMES))


ALL = nasnet()

"""The cell space of DARTS (arXiv 1806.09055), in two readings: two inputs a node, or any subset of connections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, combinations, product
from math import prod
from typing import TYPE_CHECKING, ClassVar

from oneshot.cost import Cost
from oneshot.space import Arch, Decision
from oneshot.spaces.cell_operations import DARTS, EXTENDED, cost
from oneshot.spaces.cells import NAMES, NONE, OF_NODES, SITES, Connections, orders, read, written
from oneshot.spaces.genotype import genotype, is_genotype, read_genotype
from oneshot.spaces.nasnet import DERIVED, NasNet, facts
from oneshot.spaces.subsets import Subsets

if TYPE_CHECKING:
    import numpy as np

INTO = tuple(node for site in range(len(SITES)) for node, sites in enumerate(OF_NODES) if site in sites)
"""The node that each site leads into, those of the normal cell first."""


@dataclass(frozen=True)
class Darts(NasNet):
    """Pairs of cells as DARTS derives them: two edges into every node, from different nodes, each with one operation.

    Supernets hold zero on every edge, and a mixture may use it; an architecture has it on all edges but two a node.
    """

    encoding: ClassVar[str] = "oneshot.samplers.nodes:ByNode"
    variation: ClassVar[str] = "oneshot.search.nodes:ByNode"

    def parse(self, text: str) -> Arch:
        arch = super().parse(text)
        for sites in OF_NODES:
            count = sum(self.decisions[site].options[arch[site]] != NONE for site in sites)
            if count != DERIVED:
                kind, _, node = SITES[sites[0]]
                raise ValueError(
                    f"{text!r} is no architecture of {self.name}: expected {DERIVED} inputs of every node, "
                    f"got {count} of node {node} of the {('normal', 'reduction')[kind]} cell"
                )
        return arch

    def allows(self, arch: Arch) -> bool:
        options = [d.options for d in self.decisions]
        return super().allows(arch) and all(
            sum(options[site][arch[site]] != NONE for site in sites) == DERIVED for sites in OF_NODES
        )

    @cached_property
    def size(self) -> int:
        """How many architectures there are: 1.04e18 of eight operations."""
        return prod(map(len, self.choices_of_nodes))

    def __iter__(self) -> Iterator[Arch]:
        return (tuple(chain.from_iterable(nodes)) for nodes in product(*self.choices_of_nodes))

    @cached_property
    def choices_of_nodes(self) -> tuple[tuple[Arch, ...], ...]:
        """All that the decisions of one node may be, for each node, in lexicographic order."""
        return tuple(tuple(self._of_node(sites)) for sites in OF_NODES)

    def _of_node(self, sites: tuple[int, ...]) -> list[Arch]:
        options = [self.decisions[site].options for site in sites]
        on = [[i for i, option in enumerate(site) if option != NONE] for site in options]
        off = [[i for i, option in enumerate(site) if option == NONE] for site in options]
        found: list[Arch] = []
        for pair in combinations(range(len(sites)), DERIVED):
            found += product(*(on[k] if k in pair else off[k] for k in range(len(sites))))
        return sorted(found)

    def propose(self, rng: np.random.Generator) -> Arch:
        return tuple(chain.from_iterable(node[rng.integers(len(node))] for node in self.choices_of_nodes))

    def canonical(self, arch: Arch) -> Arch:
        """The first of the architectures that differ in the order of their nodes alone.

        Not merged are sums that a skip passes on, and cells that one cannot tell apart because the other one drops an
        input.
        """
        return first_order(self, self.check(arch))


@dataclass(frozen=True)
class CellSubsets(Subsets):
    """Pairs of cells with any subset of the operations on each edge, at least one into every node (EnTranNAS-DST).

    Strings and genotypes are those of cells; an edge may be named several times.
    """

    baseline: ClassVar[str] = "live_parameters"

    def parse(self, text: str) -> Arch:
        if is_genotype(text):
            return self.of_options(read_genotype(text), text)
        arch = self.of_options(read(text), text)
        if self.format(arch) != text.strip():
            raise ValueError(
                f"{text!r} is no architecture of {self.name}: expected the operations on an edge in the order of "
                f"{', '.join(dict.fromkeys(o for site in self.sites_of for o in site))}"
            )
        return arch

    def format(self, arch: Arch) -> str:
        return written(self.options_on(arch))

    def genotype(self, arch: Arch) -> str:
        """As the field writes it, see `oneshot.spaces.genotype`; `parse` reads it back."""
        return genotype(self.options_on(arch))

    def connections(self, arch: Arch) -> Connections:
        """The operations on each edge of both cells."""
        return self.options_on(arch)

    def canonical(self, arch: Arch) -> Arch:
        """The first of the architectures that differ in the order of their nodes alone."""
        return first_order(self, self.check(arch))

    def facts(self, arch: Arch) -> dict[str, float]:
        return facts(self.options_on(arch), self.cost(arch))

    def cost(self, arch: Arch, *, stem: str = "cifar", **size: int) -> Cost:
        """That of the stand-alone network, see `oneshot.spaces.cell_operations.cost`."""
        return cost(self.options_on(arch), stem=stem, **size)


def first_order(space: Darts | CellSubsets, arch: Arch) -> Arch:
    """The first of the architectures of the space that are this one with its nodes in another order."""
    for reduces in (False, True):
        same = {written(cells) for cells in orders(space.connections(arch), reduces)}
        arch = min(found for text in same if (found := _read(space, text)) is not None)
    return arch


def _read(space: Darts | CellSubsets, text: str) -> Arch | None:
    """None where a restriction of the space lacks it."""
    try:
        return space.parse(text)
    except ValueError:
        return None


def darts(options: tuple[str, ...] = DARTS, name: str = "darts") -> Darts:
    """Two inputs a node, the same options on every edge; zero must be among them."""
    return Darts(name, tuple(Decision(edge, options) for edge in NAMES))


ALL = darts()
EXTENDED_ALL = darts(EXTENDED, "darts-extended")
SUBSETS = CellSubsets.of(ALL, "darts-subsets", INTO)
EXTENDED_SUBSETS = CellSubsets.of(EXTENDED_ALL, "darts-extended-subsets", INTO)

"""Pairs of cells, a normal and a reduction one, as NASNet and DARTS have them (arXiv 1707.07012, 1806.09055).

A cell has six nodes: 0 and 1 are what the cell before last and the last cell give, 2 to 5 are the sums of what comes
along their edges, from any of the nodes before; the cell gives the four sums behind each other. Both cells have 14
edges; a *site* is one of the 28, those of the normal cell first. `Connections` are the operations at each site.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from itertools import permutations
from typing import TypeVar

NONE = "none"
INPUTS = (0, 1)
NODES = range(2, 6)
EDGES = tuple((source, target) for target in NODES for source in range(target))
"""(source node, target node) of each edge of a cell."""
KINDS = ("normal", "reduction")
SITES = tuple((kind, source, target) for kind in range(len(KINDS)) for source, target in EDGES)
"""(kind of cell, source node, target node) of each site."""
NAMES = tuple(f"{KINDS[kind]} edge {source}-{target}" for kind, source, target in SITES)
OF_NODES = tuple(
    tuple(site for site, (k, _, b) in enumerate(SITES) if (k, b) == (kind, node))
    for kind in range(len(KINDS))
    for node in NODES
)
"""The sites that lead into each node, those of the normal cell first."""

Connections = tuple[tuple[str, ...], ...]
Each = TypeVar("Each")


def layout(cells: int) -> tuple[bool, ...]:
    """Which cells of a network reduce: two between three stages of so many normal ones."""
    return ((False,) * cells + (True,)) * 2 + (False,) * cells


def of_kind(sites: Sequence[Each], reduces: bool) -> Sequence[Each]:
    """The half that belongs to the edges of the normal cell, or of the reduction cell."""
    return sites[len(EDGES) :] if reduces else sites[: len(EDGES)]


def live_cells(connections: Connections) -> list[tuple[int, ...]]:
    """The edges of the normal and the reduction cell that something flows along where both inputs are there."""
    return [_flowing([bool(o) for o in of_kind(connections, reduces)], INPUTS) for reduces in (False, True)]


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


def orders(connections: Connections, reduces: bool) -> Iterator[Connections]:
    """The same cells with the nodes of one of them in every order in which each comes behind those that it takes."""
    own = of_kind(connections, reduces)
    for order in permutations(NODES):
        to = dict(zip((*INPUTS, *NODES), (*INPUTS, *order), strict=True))
        moved = {(to[a], to[b]): operations for (a, b), operations in zip(EDGES, own, strict=True) if operations}
        if all(source < target for source, target in moved):
            cell = tuple(moved.get(edge, ()) for edge in EDGES)
            yield (*of_kind(connections, False), *cell) if reduces else (*cell, *of_kind(connections, True))


def written(connections: Connections) -> str:
    """`sep_conv_3x3~0+skip_connect~1|none|...|.../...`: the operations into nodes 2 to 5, each with its source."""
    nodes = ["+".join(f"{o}~{SITES[site][1]}" for site in sites for o in connections[site]) for sites in OF_NODES]
    half = len(NODES)
    return "/".join("|".join(node or NONE for node in part) for part in (nodes[:half], nodes[half:]))


def read(text: str) -> Connections:
    """The operations that such a string names, in its order; ValueError where it is no such string."""
    found: dict[tuple[int, int, int], list[str]] = {site: [] for site in SITES}
    for kind, cell in enumerate(text.strip().split("/")):
        for target, node in enumerate(cell.split("|"), NODES[0]):
            for operation, source in _terms(node):
                found.get((kind, source, target), []).append(operation)
    connections = tuple(tuple(operations) for operations in found.values())
    if written(connections) != text.strip() or any(len(set(ops)) < len(ops) for ops in connections):
        raise ValueError(
            f"{text!r} is no pair of cells; expected the edges into each node by their sources, "
            f"'op~0+op~1|none|op~2+op~3|op~0', of the normal and, behind '/', of the reduction cell"
        )
    return connections


def _terms(node: str) -> Iterator[tuple[str, int]]:
    for term in node.split("+"):
        name, _, source = term.partition("~")
        if name != NONE and source.isascii() and source.isdigit():
            yield name, int(source[:4])


def _flowing(there: Sequence[bool], inputs: Collection[int]) -> tuple[int, ...]:
    """The edges of a cell that are there and leave a node which something reaches from these inputs."""
    reached, found = set(inputs), list[int]()
    for edge, (source, target) in enumerate(EDGES):  # the edges into a node come before those that leave it
        if there[edge] and source in reached:
            reached.add(target)
            found.append(edge)
    return tuple(found)

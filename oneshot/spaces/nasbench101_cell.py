"""The cell of NAS-Bench-101 (arXiv 1902.09635): a directed acyclic graph with an operation on each inner vertex."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

CONV3, CONV1, POOL = OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""In the order of the official labels, on which the hash depends."""

INPUT, OUTPUT = "input", "output"
MAX_VERTICES, MAX_EDGES = 7, 9
INNER = MAX_VERTICES - 2
SUFFIX = "-bn-relu"
GRAPH_KEYS = (("matrix", "operations"), ("module_adjacency", "module_operations"))
"""Names of the two parts in JSON: this project's, and those of the official API's answers."""

EXPECTED = (
    "expected 'conv3x3~0|maxpool3x3~01|output~12' (the operation and source vertices of vertex 1, 2, ...) "
    'or {"matrix": [[0, 1, ...], ...], "operations": ["input", ..., "output"]}'
)

Matrix = list[list[int]]
Order = tuple[int, ...]  # the inner vertices of a cell in the order of another


class Cell(NamedTuple):
    """A graph whose first vertex is the input and last the output, as the official generator writes it.

    Bit `a + b (b - 1) / 2` of `bits` is the edge from vertex a to b; `operations` are the labels of the inner vertices.
    """

    bits: int
    operations: tuple[int, ...]

    @property
    def vertices(self) -> int:
        return len(self.operations) + 2

    def sources(self, vertex: int) -> tuple[int, ...]:
        return sources(self.bits, vertex)

    def graph(self) -> tuple[Matrix, list[str]]:
        """The adjacency matrix, and the operations with `input` and `output`, as the official API takes them."""
        columns = [self.sources(b) for b in range(self.vertices)]
        matrix = [[int(a in column) for column in columns] for a in range(self.vertices)]
        return matrix, [INPUT, *(OPERATIONS[label] for label in self.operations), OUTPUT]

    def __str__(self) -> str:
        names = [*(OPERATIONS[label].removesuffix(SUFFIX) for label in self.operations), OUTPUT]
        return "|".join(f"{name}~{''.join(map(str, self.sources(b)))}" for b, name in enumerate(names, 1))

    def pruned(self) -> Cell | None:
        """The cell without the vertices that are not between input and output; None where these are not connected."""
        live = _live(self.bits, self.vertices)
        return live and Cell(live[0], tuple(self.operations[v - 1] for v in live[1]))

    def trouble(self) -> str:
        """Why this is no cell of the benchmark, empty if it is one; as in the official API, after pruning."""
        pruned = self.pruned()
        if pruned is None:
            return "expected a path from input to output, got none"
        if pruned.vertices > MAX_VERTICES:
            return f"expected at most {MAX_VERTICES} vertices between input and output, got {pruned.vertices}"
        if (edges := pruned.bits.bit_count()) > MAX_EDGES:
            return f"expected at most {MAX_EDGES} edges between input and output, got {edges}"
        return ""

    def canonical(self) -> Cell:
        """The isomorphic cell with the lowest bits, then labels: the one of its hash that the official files hold.

        For a pruned cell. Two of them have equal hashes if and only if this is the same.
        """
        bits, orders = orderings(self.bits, self.vertices)
        return Cell(bits, min(tuple(self.operations[v - 1] for v in order) for order in orders))

    def hash(self) -> str:
        """The official 128-bit hash of a pruned cell, in hexadecimal (`hash_module` of the official code)."""
        count = self.vertices
        into = [self.sources(b) for b in range(count)]
        out = [[b for b in range(count) if a in into[b]] for a in range(count)]
        labels = (-1, *self.operations, -2)
        hashes = [_md5(str((len(out[v]), len(into[v]), labels[v]))) for v in range(count)]
        for _ in range(count):
            near = [["".join(sorted(hashes[w] for w in side[v])) for side in (into, out)] for v in range(count)]
            hashes = [_md5("|".join((*near[v], hashes[v]))) for v in range(count)]
        return _md5(str(sorted(hashes)))


def sources(bits: int, vertex: int) -> tuple[int, ...]:
    """The vertices with an edge to this one."""
    column = bits >> _column(vertex)
    return tuple(a for a in range(vertex) if column >> a & 1)


def read_cell(text: str) -> Cell:
    """The cell of a string or of a JSON object; ValueError says what was expected and what came."""
    text = text.strip()
    if text.startswith("{"):
        return _read_json(text)
    *inner, last = text.split("|")
    bits, labels = 0, []
    for target, token in enumerate([*inner, last], 1):
        name, tilde, digits = token.partition("~")
        name += SUFFIX if name + SUFFIX in OPERATIONS else ""
        known = name in (OPERATIONS if target <= len(inner) else (OUTPUT,))
        if not (known and tilde and all(digit in "0123456789" for digit in digits)):
            raise ValueError(f"{token!r} of {text!r} is no vertex of a NAS-Bench-101 cell; {EXPECTED}")
        if name != OUTPUT:
            labels.append(OPERATIONS.index(name))
        for source in map(int, digits):
            if source >= target:
                raise ValueError(f"vertex {target} of {text!r} has the source {source}; expected vertices before it")
            bits |= 1 << _column(target) + source
    return Cell(bits, tuple(labels))


def read_graph(matrix: Sequence[Sequence[int]], operations: Sequence[str]) -> Cell:
    """The cell of an upper-triangular adjacency matrix and its operations, `input` first and `output` last.

    ValueError says what was expected and what came.
    """
    try:
        rows, names = [list(row) for row in matrix], list(operations)
    except TypeError:
        raise ValueError(
            f"expected a matrix of rows and a list of operations, got {matrix!r}, {operations!r}"
        ) from None
    if len(rows) < 2 or any(len(row) != len(rows) for row in rows):
        raise ValueError(f"expected a square matrix of two rows or more, got rows of {[len(row) for row in rows]}")
    if len(names) != len(rows):
        raise ValueError(f"expected {len(rows)} operations for {len(rows)} vertices, got {len(names)}")
    bits = 0
    for a, row in enumerate(rows):
        for b, entry in enumerate(row):
            if entry not in (0, 1):
                raise ValueError(f"expected a matrix of 0 and 1, got {entry!r} in row {a}, column {b}")
            if entry and a >= b:
                raise ValueError(f"expected an upper-triangular matrix, got an edge in row {a}, column {b}")
            bits |= int(entry) << _column(b) + a
    if names[0] != INPUT or names[-1] != OUTPUT:
        raise ValueError(f"expected operations from 'input' to 'output', got {names[0]!r} to {names[-1]!r}")
    for name in names[1:-1]:
        if name not in OPERATIONS:
            raise ValueError(f"unknown operation {name!r}; expected one of {', '.join(OPERATIONS)}")
    return Cell(bits, tuple(OPERATIONS.index(name) for name in names[1:-1]))


@lru_cache(maxsize=1 << 14)
def orderings(bits: int, vertices: int) -> tuple[int, tuple[Order, ...]]:
    """The lowest bits of all isomorphic unlabelled graphs, and every order of the inner vertices that gives them."""
    into = [frozenset(sources(bits, b)) for b in range(vertices)]
    found: dict[int, list[Order]] = {}
    for order in _topological(into[:-1], ()):
        place = {v: p for p, v in enumerate((0, *order, vertices - 1))}
        renamed = sum(1 << _column(place[b]) + place[a] for b in range(vertices) for a in into[b])
        found.setdefault(renamed, []).append(order)
    lowest = min(found)
    return lowest, tuple(found[lowest])


def _topological(into: Sequence[frozenset[int]], order: Order) -> Iterator[Order]:
    """Every order of the inner vertices, from a beginning of it, in which sources come before their targets."""
    if len(order) == len(into) - 1:
        yield order
    for v in range(1, len(into)):
        if v not in order and into[v] <= {0, *order}:
            yield from _topological(into, (*order, v))


@lru_cache(maxsize=1 << 14)
def _live(bits: int, vertices: int) -> tuple[int, Order] | None:
    """The bits of the pruned graph and the inner vertices that it keeps; None without a path from input to output."""
    into = [sources(bits, b) for b in range(vertices)]
    reached, needed = {0}, {vertices - 1}
    for b in range(1, vertices):
        if not reached.isdisjoint(into[b]):
            reached.add(b)
    for b in reversed(range(vertices)):
        if b in needed:
            needed.update(into[b])
    kept = sorted(reached & needed)
    if vertices - 1 not in kept:
        return None
    place = {v: p for p, v in enumerate(kept)}
    pruned = sum(1 << _column(place[b]) + place[a] for b in kept for a in into[b] if a in place)
    return pruned, tuple(kept[1:-1])


def _column(vertex: int) -> int:
    """The lowest bit of the edges to a vertex."""
    return vertex * (vertex - 1) // 2


def _read_json(text: str) -> Cell:
    try:
        document: Any = json.loads(text)
    except ValueError as error:
        raise ValueError(f"{text!r} is no JSON object ({error}); {EXPECTED}") from None
    for matrix, operations in GRAPH_KEYS:
        if matrix in document and operations in document:
            return read_graph(document[matrix], document[operations])
    raise ValueError(f"{text!r} has no matrix and operations; {EXPECTED}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

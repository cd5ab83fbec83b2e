"""Cells of NAS-Bench-101 against the official code: pruning, limits, hashes, and what is read."""

from __future__ import annotations

import json
from itertools import permutations

import numpy as np
import pytest
import torch
from nasbench_pytorch.model import ModelSpec
from nasbench_pytorch.model.graph_util import hash_module

from oneshot.spaces.nasbench101_cell import (
    CONV1,
    CONV3,
    INPUT,
    MAX_EDGES,
    MAX_VERTICES,
    OPERATIONS,
    OUTPUT,
    POOL,
    Cell,
    orderings,
    read_cell,
    read_graph,
)  # fmt: skip

INCEPTION = (
    [
        [0, 1, 1, 1, 0, 1, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 1],
        [0, 0, 0, 0, 0, 0, 0],
    ],
    [INPUT, CONV1, CONV3, CONV3, CONV3, POOL, OUTPUT],
)
"""The example in the official API's documentation."""


def random_cells(n: int, vertices: tuple[int, ...] = (2, 3, 4, 5, 6, 7, 8, 9)) -> list[Cell]:
    rng = np.random.default_rng(1)
    cells = []
    for _ in range(n):
        count = int(rng.choice(vertices))
        edges = rng.random(count * (count - 1) // 2) < rng.uniform(0.1, 0.7)
        labels = rng.integers(len(OPERATIONS), size=count - 2)
        cells.append(Cell(sum(1 << int(k) for k in np.flatnonzero(edges)), tuple(labels.tolist())))
    return cells


def whole_cells(n: int) -> list[Cell]:
    """Cells of five to seven vertices and at most nine edges from which pruning removes nothing."""
    rng = np.random.default_rng(2)
    cells: list[Cell] = []
    while len(cells) < n:
        count = int(rng.integers(5, 8))
        edges = {(int(rng.integers(b)), b) for b in range(1, count)}
        edges |= {(a, int(rng.integers(a + 1, count))) for a in range(count - 1)}
        labels = tuple(rng.integers(len(OPERATIONS), size=count - 2).tolist())
        if len(edges) <= MAX_EDGES:
            cells.append(Cell(sum(1 << b * (b - 1) // 2 + a for a, b in edges), labels))
    return cells


def official(cell: Cell) -> tuple[list[list[int]], list[str]] | None:
    """The pruned graph; None where the cell is not connected: there the package fails for want of a matrix."""
    matrix, operations = cell.graph()
    try:
        spec = ModelSpec(np.array(matrix), operations)
    except RuntimeError:
        return None
    return torch.as_tensor(spec.matrix).tolist(), list(spec.ops or ())


def official_hash(cell: Cell) -> str:
    """Of a pruned cell; the package's own `hash_spec` no longer works, because its matrix is a tensor."""
    return hash_module(np.array(cell.graph()[0]), [-1, *cell.operations, -2])


def test_pruning_is_the_official_one() -> None:
    found = []
    for cell in random_cells(600):
        pruned = cell.pruned()
        found.append(pruned and pruned.graph())
        assert found[-1] == official(cell)
    assert 100 < found.count(None) < 500
    assert all(cell.pruned() == cell for cell in whole_cells(100))


def test_limits_are_the_official_ones() -> None:
    """`NASBench._check_spec`: on the vertices and edges that pruning leaves."""
    reasons = set()
    for cell in random_cells(600):
        graph, trouble = official(cell), cell.trouble()
        good = graph and len(graph[1]) <= MAX_VERTICES and np.sum(graph[0]) <= MAX_EDGES
        assert bool(good) == (trouble == "")
        reasons.add(trouble.rstrip("0123456789"))
    assert reasons == {
        "",
        "expected a path from input to output, got none",
        "expected at most 7 vertices between input and output, got ",
        "expected at most 9 edges between input and output, got ",
    }


def test_hash_is_the_official_one() -> None:
    for cell in whole_cells(400):
        assert cell.hash() == official_hash(cell)


@pytest.mark.parametrize(
    ("bits", "operations", "expected"),
    [
        (1, (), "043721b9c7fe8c5fad811d47d83132ec"),
        (5, (0,), "b49ac8c578b4561d79ac7087988f1c61"),
        (1101347, (1, 0, 2, 0, 0), "02e5a0247bbdcf2860b7e96f74961594"),
    ],
)
def test_published_hashes(bits: int, operations: tuple[int, ...], expected: str) -> None:
    """The smallest model, a convolution alone, and the best of all."""
    assert Cell(bits, operations).hash() == expected


def renamed(cell: Cell, order: tuple[int, ...]) -> Cell | None:
    """The cell with its inner vertices in this order; None where an edge then goes backwards."""
    matrix = np.array(cell.graph()[0])
    index = [0, *order, cell.vertices - 1]
    moved = matrix[np.ix_(index, index)]
    if np.tril(moved).any():
        return None
    return read_graph(moved.tolist(), [cell.graph()[1][v] for v in index])


def test_canonical_is_the_lowest_of_the_isomorphic_cells_and_they_share_the_hash() -> None:
    symmetric = 0
    for cell in whole_cells(200):
        inner = range(1, cell.vertices - 1)
        same = [c for c in (renamed(cell, order) for order in permutations(inner)) if c is not None]
        assert {c.canonical() for c in same} == {min(same)}
        assert {c.hash() for c in same} == {cell.hash()}
        symmetric += len(orderings(cell.bits, cell.vertices)[1]) > 1
    assert symmetric > 20


def test_canonical_differs_where_the_hash_does() -> None:
    cells = whole_cells(3000)
    hashes = {cell.canonical(): cell.hash() for cell in cells}
    assert len(set(hashes.values())) == len(hashes) > 1500
    assert all(hashes[cell.canonical()] == cell.hash() for cell in cells)


def test_strings_and_graphs_round_trip() -> None:
    for cell in random_cells(300):
        assert read_cell(str(cell)) == cell
        assert read_graph(*cell.graph()) == cell
        matrix, operations = cell.graph()
        assert read_graph(np.array(matrix), np.array(operations)) == cell  # pyright: ignore[reportArgumentType]


def test_the_official_example() -> None:
    cell = read_graph(*INCEPTION)
    assert str(cell) == "conv1x1~0|conv3x3~0|conv3x3~0|conv3x3~3|maxpool3x3~0|output~1245"
    assert cell.pruned() == cell
    assert cell.hash() == official_hash(cell)


def test_full_names_of_operations_are_read() -> None:
    assert read_cell("conv3x3-bn-relu~0|maxpool3x3~10|output~2") == read_cell("conv3x3~0|maxpool3x3~01|output~2")


@pytest.mark.parametrize("keys", [("matrix", "operations"), ("module_adjacency", "module_operations")])
def test_json_is_read(keys: tuple[str, str]) -> None:
    parts = [[0, 1, 1], [0, 0, 1], [0, 0, 0]], ["input", "maxpool3x3", "output"]
    assert read_cell(json.dumps(dict(zip(keys, parts, strict=True)))) == Cell(7, (2,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("conv3x3~0|output", "'output' of .* is no vertex of a NAS-Bench-101 cell; expected 'conv3x3~0"),
        ("conv5x5~0|output~1", "'conv5x5~0' of"),
        ("conv3x3~0|conv3x3~1", "'conv3x3~1' of"),
        ("output~0|output~1", "'output~0' of"),
        ("conv3x3~²|output~1", "'conv3x3~²' of"),
        ("conv3x3~1|output~1", "vertex 1 of .* has the source 1; expected vertices before it"),
        ('{"matrix": [[0, 1], [0, 0]]', "is no JSON object"),
        ('{"matrix": [[0, 1], [0, 0]]}', "has no matrix and operations; expected"),
        ('{"matrix": 3, "operations": []}', "expected a matrix of rows and a list of operations, got 3"),
    ],
)
def test_what_is_no_string(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_cell(text)


ENDS = [INPUT, CONV3, OUTPUT]


@pytest.mark.parametrize(
    ("matrix", "operations", "message"),
    [
        ([[0]], [INPUT], "square matrix of two rows or more, got rows of \\[1\\]"),
        ([[0, 1], [0, 0], [0, 0]], ENDS, "square matrix of two rows or more, got rows of \\[2, 2, 2\\]"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [INPUT, OUTPUT], "expected 3 operations for 3 vertices, got 2"),
        ([[0, 2, 0], [0, 0, 1], [0, 0, 0]], ENDS, "matrix of 0 and 1, got 2 in row 0, column 1"),
        ([[0, 1, 0], [0, float("nan"), 1], [0, 0, 0]], ENDS, "got nan in row 1, column 1"),
        ([[0, 1, 0], [0, 0, 1], [1, 0, 0]], ENDS, "upper-triangular matrix, got an edge in row 2, column 0"),
        ([[0, 1, 0], [0, 1, 1], [0, 0, 0]], ENDS, "upper-triangular matrix, got an edge in row 1, column 1"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [CONV3] * 3, "from 'input' to 'output', got 'conv3x3-bn-relu'"),
        ([[0, 1, 0], [0, 0, 1], [0, 0, 0]], [INPUT, "conv", OUTPUT], "unknown operation 'conv'; expected one of"),
    ],
)  # fmt: skip
def test_what_is_no_graph(matrix: list, operations: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_graph(matrix, operations)

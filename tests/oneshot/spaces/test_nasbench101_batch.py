"""Many cells at once are what each is alone, and all of the published ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from oneshot.samplers.uniform import Uniform
from oneshot.space import Arch
from oneshot.spaces import nasbench101_batch
from oneshot.spaces.nasbench101 import ALL, cost, nasbench101
from oneshot.spaces.nasbench101_batch import Cells, draw_models, models
from oneshot.spaces.nasbench101_cell import CONV1, INPUT, OUTPUT, POOL, Cell

PUBLISHED = {2: 1, 3: 6, 4: 84, 5: 2441, 6: 62010, 7: 359082}
"""Models by their number of vertices."""


@pytest.fixture(scope="module")
def archs() -> list[Arch]:
    """Architectures of every size, some twice: uniform ones are mostly small, models mostly large."""
    rng = np.random.default_rng(0)
    drawn = Uniform(ALL).draw(200, rng) + draw_models(200, rng)
    return [*drawn, ALL.parse("output~0"), ALL.parse("maxpool3x3~0|output~1"), *drawn[:50]]


def test_each_is_what_it_is_alone(archs: list[Arch]) -> None:
    cells = Cells.of(archs)
    alone = [ALL.cell(arch) for arch in archs]
    assert [*cells] == alone
    assert cells.hashes() == [cell.hash() for cell in alone]
    assert [*cells.canonical()] == [cell.canonical() for cell in alone]
    assert cells.archs() == [ALL.from_cell(cell) for cell in alone]
    assert cells.strings() == [ALL.format(arch) for arch in cells.archs()]
    for name, values in cells.facts().items():
        assert values.tolist() == [ALL.facts(arch)[name] for arch in archs]


@pytest.mark.parametrize("sizes", [(128, 3, 10, 32), (12, 2, 7, 16)])
def test_costs_are_those_of_each(archs: list[Arch], sizes: tuple[int, int, int, int]) -> None:
    params, mflops = Cells.of(archs).costs(*sizes)
    expected = [cost(ALL.cell(arch), *sizes) for arch in archs]
    assert params.tolist() == [c.params for c in expected]
    assert mflops.tolist() == [c.mflops for c in expected]


def test_hashes_in_several_chunks(archs: list[Arch], monkeypatch: pytest.MonkeyPatch) -> None:
    cells = Cells.of(archs)
    one_by_one = cells.hashes()
    monkeypatch.setattr(nasbench101_batch, "FEW", 0)
    assert cells.hashes() == one_by_one
    monkeypatch.setattr(nasbench101_batch, "CHUNK", 100)
    assert cells.hashes() == one_by_one


def test_graphs_of_one_size(archs: list[Arch]) -> None:
    for vertices in range(2, 8):
        graphs = [graph for graph in map(ALL.graph, archs) if len(graph[0]) == vertices]
        if graphs:
            matrices, operations = zip(*graphs, strict=True)
            assert [*Cells.from_graphs(matrices, operations)] == [ALL.cell(ALL.from_graph(*g)) for g in graphs]


def test_table_columns(archs: list[Arch]) -> None:
    """Also of cells that pruning changes."""
    cells = [ALL.cell(arch) for arch in archs] + [Cell(0b1101, (1, 2)), Cell(0b101001, (0, 1))]
    columns = zip(*((c.vertices, c.bits, "".join(map(str, c.operations))) for c in cells), strict=True)
    assert [*Cells.from_table(*columns)] == [c.pruned() for c in cells]


def test_nothing_at_all() -> None:
    for cells in (Cells.of([]), Cells.from_table([], [], [])):
        assert len(cells) == 0
        assert cells.hashes() == cells.strings() == []
        assert cells.costs()[0].shape == (0,)


def test_architectures_of_a_restricted_space() -> None:
    space = nasbench101((POOL, CONV1), "nasbench101-light")
    arch = space.parse("conv1x1~0|maxpool3x3~1|output~2")
    assert [*Cells.of([arch], space)] == [space.cell(arch)] == [Cell(0b100101, (1, 2))]
    assert Cells.of([arch], space).archs(space) == [arch]


GOOD = ALL.parse("output~0")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([GOOD, GOOD[:-1]], "row 2: .* is no architecture of nasbench101: expected 26 option indices"),
        ([GOOD, GOOD, (*GOOD[:-1], 3)], "row 3: .* expected 26 option indices"),
        ([(*GOOD[:-1], -1)], "row 1: .* expected 26 option indices"),
        ([(*GOOD[:-1], 0.5)], "row 1: .* expected 26 option indices"),
        ([GOOD, (0,) * 26], "row 2: conv3x3~.*is no cell of NAS-Bench-101: expected a path from input to output"),
        ([(1,) * 26], "row 1: conv1x1~0.* expected at most 9 edges between input and output, got 21"),
    ],
)
def test_what_is_no_architecture(rows: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cells.of(rows)


CHAIN = [[0, 1, 0], [0, 0, 1], [0, 0, 0]]
BACK = [[0, 1, 0], [0, 0, 1], [1, 0, 0]]
NAMES = [INPUT, POOL, OUTPUT]


@pytest.mark.parametrize(
    ("matrices", "operations", "message"),
    [
        ([CHAIN, BACK], [NAMES, NAMES], "row 2: expected an upper-triangular matrix, got an edge in row 2, column 0"),
        ([CHAIN], [[INPUT, "pool", OUTPUT]], "row 1: unknown operation 'pool'"),
        ([CHAIN], [[POOL, POOL, OUTPUT]], "row 1: expected operations from 'input' to 'output', got 'maxpool3x3'"),
        ([CHAIN, [[0, 1], [0, 0]]], [NAMES, NAMES], "expected matrices of one size"),
        ([CHAIN], [NAMES, NAMES], r"from 2x2 to 7x7 .*, got shapes \(1, 3, 3\) and \(2, 3\)"),
        ([np.eye(8, k=1)], [[INPUT, *[POOL] * 6, OUTPUT]], r"from 2x2 to 7x7 .*, got shapes \(1, 8, 8\)"),
        ([[[0, 1, 0], [0, 0, 0], [0, 0, 0]]], [NAMES], "row 1: maxpool3x3~0.* expected a path from input to output"),
    ],
)
def test_what_is_no_graph(matrices: list, operations: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cells.from_graphs(matrices, operations)


@pytest.mark.parametrize(
    ("vertices", "bits", "operations", "message"),
    [
        ([2, 2], [1, 2], ["", ""], "row 2: expected 2 to 7 vertices, .* got 2 vertices, bits 2 and operations ''"),
        ([3], [5], ["3"], "row 1: .* operations '3'"),
        ([3], [5], ["x"], "row 1: .* operations 'x'"),
        ([3], [5], ["00"], "row 1: .* operations '00'"),
        ([3], [5], [None], "row 1: .* operations None"),
        ([8], [1 << 21], ["000000"], "row 1: .* got 8 vertices"),
        ([3], [-1], ["0"], "row 1: .* bits -1"),
        ([3], [1], ["0"], "row 1: .* expected a path from input to output"),
        ([3], [1, 2], ["0"], "got 1 numbers of vertices, 2 bits, 1 operations"),
    ],
)
def test_what_is_no_table(vertices: list, bits: list, operations: list, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cells.from_table(vertices, bits, operations)


def test_all_models_are_enumerated_without_a_table() -> None:
    every = models()
    assert dict(enumerate(np.bincount(every.vertices_N).tolist())) == {0: 0, 1: 0, **PUBLISHED}
    assert len(every) == 423_624
    order = np.lexsort((*every.labels_N5.T[::-1], every.bits_N, every.vertices_N))
    assert (order == np.arange(len(every))).all()
    keys = np.unique(np.column_stack([every.bits_N, every.labels_N5]), axis=0)
    assert len(keys) == len(every)


def test_models_are_drawn_uniformly() -> None:
    """By their number of vertices, of which labelled graphs drawn uniformly mostly have five or less."""
    n = 2000
    vertices = Cells.of(draw_models(n, np.random.default_rng(0))).vertices_N
    for count, number in PUBLISHED.items():
        chance = number / 423_624
        assert abs((vertices == count).sum() - n * chance) < 4 * (n * chance * (1 - chance)) ** 0.5 + 1
    small = Cells.of(Uniform(ALL).draw(n, np.random.default_rng(0))).vertices_N
    assert (small == 7).mean() < 0.01


COLUMNS = ["num_vertices", "adj_bits", "ops", "hash", "trainable_parameters"]


@pytest.fixture(scope="module")
def published(real_data: Path) -> tuple[Cells, dict[str, list]]:
    table = pq.read_table(real_data / "nasbench101.parquet", columns=COLUMNS).to_pydict()
    return Cells.from_table(table["num_vertices"], table["adj_bits"], table["ops"]), table


def test_parameters_equal_the_published_table(published: tuple[Cells, dict[str, list]]) -> None:
    cells, table = published
    assert len(cells) == 423_624
    assert cells.costs()[0].tolist() == table["trainable_parameters"]


def test_published_graphs_are_pruned_and_canonical_and_all_models(published: tuple[Cells, dict[str, list]]) -> None:
    cells, table = published
    canonical, every = cells.canonical(), models()
    assert cells.bits_N.tolist() == table["adj_bits"]
    assert np.array_equal(canonical.bits_N, cells.bits_N)
    assert np.array_equal(canonical.labels_N5, cells.labels_N5)
    order = np.lexsort((*cells.labels_N5.T[::-1], cells.bits_N, cells.vertices_N))
    assert np.array_equal(cells.bits_N[order], every.bits_N)
    assert np.array_equal(cells.labels_N5[order], every.labels_N5)


def test_a_sample_of_hashes_equals_the_published_table(published: tuple[Cells, dict[str, list]]) -> None:
    cells, table = published
    rows = np.random.default_rng(0).choice(len(cells), size=5000, replace=False)
    assert cells.take(rows).hashes() == [table["hash"][row] for row in rows]


@pytest.mark.slow
def test_all_hashes_equal_the_published_table(published: tuple[Cells, dict[str, list]]) -> None:
    cells, table = published
    assert cells.hashes() == table["hash"]

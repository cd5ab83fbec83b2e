"""Files of the official structure, written by independent code, against every value that was put into them."""

from __future__ import annotations

import json
import subprocess
import sys
import tracemalloc
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from nasbench_pytorch.model.graph_util import hash_module
from oneshot.benchmarks.importing.files import import_any
from oneshot.benchmarks.importing.nasbench101 import RUNS, import_official
from oneshot.benchmarks.importing.nasbench101_record import BUDGETS, METRICS
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.score import score
from oneshot.benchmarks.table import Benchmark

from oneshot.spaces.nasbench101 import ALL
from tests.benchmarks.official101 import MODELS, POINT, Point, framed, record

SEVEN, TWO, THREE = MODELS


def trainings(budgets: tuple[int, ...] = BUDGETS, models: tuple[str, ...] = tuple(MODELS)) -> dict[tuple, list[Point]]:
    """(model, epochs, run): its evaluations at the start, half-way and at the end, no two numbers alike."""
    rng = np.random.default_rng(0)
    keys = [(m, e, r) for r, e, m in product(range(RUNS), budgets, models)]  # the runs of a model are not neighbours
    return {key: [dict(zip(POINT, rng.random(5), strict=True)) for _ in range(3)] for key in keys}


def written(folder: Path, contents: list[bytes], name: str = "nasbench_only108.tfrecord") -> Path:
    (folder / name).write_bytes(framed(*contents))
    return folder / name


def file_of(folder: Path, values: dict[tuple, list[Point]]) -> Path:
    return written(folder, [record(model, epochs, points) for (model, epochs, _), points in values.items()])


def refused(folder: Path, contents: list[bytes], message: str) -> None:
    source = written(folder, contents)
    with pytest.raises(ValueError, match=message):
        import_official(source, folder / "t.parquet")
    assert [path.name for path in folder.iterdir()] == [source.name]


@pytest.mark.parametrize("budgets", [(108,), BUDGETS], ids=["only108", "full"])
def test_every_value_arrives(tmp_path: Path, budgets: tuple[int, ...]) -> None:
    values = trainings(budgets)
    table = import_official(file_of(tmp_path, values), tmp_path / "t.parquet")
    assert len(table.columns) == 1 + len(budgets) * 2 * len(METRICS) * (1 + RUNS)
    for (model, epochs, run), points in values.items():
        row = table.row(model)
        for (prefix, point), metric in product([("halfway_", 1), ("", 2)], METRICS):
            assert row[f"{prefix}{metric}_{epochs}_run{run}"] == points[point][metric]
    for model, epochs, metric in product(MODELS, budgets, METRICS):
        mean = np.mean([values[model, epochs, run][2][metric] for run in range(RUNS)])
        assert table.row(model)[f"{metric}_{epochs}"] == pytest.approx(mean, abs=1e-15)
    assert [table.row(model)["trainable_parameters"] for model in MODELS] == [8555530, 882570, 1756298]


def test_the_table_says_what_it_is(tmp_path: Path) -> None:
    source = file_of(tmp_path, trainings((4, 36)))
    table = import_official(source, tmp_path / "t.parquet")
    assert (table.truth, table.default_ceiling("test_accuracy_36")) == ("test_accuracy_36", "validation_accuracy_36")
    assert table.default_ceiling("test_accuracy_4_run1") == "validation_accuracy_4_run1"
    assert table.metadata["space"] == "nasbench101"
    assert table.metadata["source"]["file"] == source.name
    assert len(table.metadata["source"]["sha256"]) == 64
    assert table.strings == [
        "conv3x3~0|maxpool3x3~1|conv3x3~2|conv3x3~0|conv1x1~034|output~25",
        "output~0",
        "maxpool3x3~0|output~01",
    ]
    assert [ALL.format(arch) for arch in table.archs] == table.strings
    stored = pq.read_table(tmp_path / "t.parquet").column("hash").to_pylist()
    assert [key.hex() for key in stored] == sorted(MODELS)


def test_queries_by_isomorphic_matrix_by_string_and_by_hash(tmp_path: Path) -> None:
    values = trainings((108,))
    table = import_official(file_of(tmp_path, values), tmp_path / "t.parquet")
    matrix, operations = ALL.graph(ALL.parse(table.strings[0]))
    order = [0, 4, 1, 2, 3, 5, 6]  # vertex 4, whose only source is the input, comes first
    matrix = [[matrix[a][b] for b in order] for a in order]
    other = ALL.from_graph(matrix, [operations[v] for v in order])
    assert other != table.archs[0]
    asked = [THREE, other, table.strings[0], SEVEN.upper(), TWO]
    frame = table.query(asked)
    assert frame["trainable_parameters"].tolist() == [1756298, 8555530, 8555530, 8555530, 882570]
    assert frame["arch"].tolist() == [table.strings[row] for row in (2, 0, 0, 0, 1)]
    assert other in table
    absent = ALL.parse("conv1x1~0|output~01")
    assert absent not in table
    with pytest.raises(ValueError, match=r"1 of 2 architectures are not among the 3 of t .*: 'conv1x1~0.output~01'"):
        table.rows_of([other, absent])
    with pytest.raises(ValueError, match=r"1 of 1 architectures are not among the 3 of t .*: '0{32}'"):
        table.row("0" * 32)
    with pytest.raises(ValueError, match="is no vertex of a NAS-Bench-101 cell"):
        table.row("0" * 31)


def test_hashes_are_those_of_the_official_code() -> None:
    for name, (digits, inner, _) in MODELS.items():
        size = len(inner) + 2
        matrix = np.array(list(digits), int).reshape(size, size)
        assert hash_module(matrix, [-1, *map(int, inner), -2]) == name


POINTS = trainings((108,))[SEVEN, 108, 0]
GOOD = record(SEVEN, 108, POINTS)
FIVE = "input,maxpool3x3,maxpool3x3,maxpool3x3,output"
BAD = {
    "not JSON": (b"[1, 2", "Expecting ',' delimiter"),
    "not text": (b"\xff\xfe\xfd", "can't decode byte"),
    "nested without end": (b"[" * 100_000, "recursion"),
    "no list": (b'{"a": 1}', r"expected the JSON list \[hash, epochs, adjacency, operations, metrics\], got b'{"),
    "epochs as text": (json.dumps([SEVEN, "108", "", "", ""]).encode(), "expected the JSON list"),
    "no hash": (json.dumps(["x", 108, "", "", ""]).encode(), "expected a hash of 32 hexadecimal digits, got 'x'"),
    "another budget": (record(SEVEN, 5, POINTS), "expected 4, 12, 36, 108 epochs, got 5"),
    "no message": (json.dumps([SEVEN, 108, "", "", "AAAA"]).encode(), "the metrics are no ModelMetrics message"),
    "two evaluations": (record(SEVEN, 108, POINTS[:2]), "start, half-way and at the end, got 2"),
    "parameters": (record(SEVEN, 108, POINTS, parameters=0), "expected a positive number of parameters, got 0"),
    "digits": (record(SEVEN, 108, POINTS, matrix="01"), "expected the 7 x 7 digits 0 or 1 of a matrix, got '01'"),
    "letters": (record(SEVEN, 108, POINTS, matrix="x" * 49), "expected the 7 x 7 digits 0 or 1 of a matrix"),
    "a cycle": (record(TWO, 108, POINTS, matrix="0110"), "expected an upper-triangular matrix, got an edge in row 1"),
    "operations": (record(THREE, 108, POINTS, operations="input,conv5x5,output"), "unknown operation 'conv5x5'"),
    "disconnected": (record(TWO, 108, POINTS, matrix="0000"), "expected a path from input to output, got none"),
    "a loose vertex": (record(THREE, 108, POINTS, matrix="011000000"), "every vertex is connected with input and out"),
    "ten edges": (
        record(TWO, 108, POINTS, matrix="01111" + "00111" + "00011" + "00001" + "00000", operations=FIVE),
        "expected at most 9 edges between input and output, got 10",
    ),
    "a number": (
        record(SEVEN, 108, [*POINTS[:2], {**POINTS[2], "test_accuracy": float("nan")}]),
        "a fraction, got nan",
    ),
    "another graph": (record(THREE, 108, POINTS, matrix="010001000"), f"is 53cee42601ad14d6.*, stored is {THREE}"),
}


@pytest.mark.parametrize("bad", BAD)
def test_a_wrong_record_is_refused_at_its_byte(tmp_path: Path, bad: str) -> None:
    data, message = BAD[bad]
    refused(tmp_path, [GOOD, data], rf"the record at byte {len(GOOD) + 16} of .*only108.tfrecord: .*{message}")


def test_runs_are_complete_and_agree(tmp_path: Path) -> None:
    contents = [record(model, epochs, points) for (model, epochs, _), points in trainings((4, 108)).items()]
    size = sum(len(data) + 16 for data in contents)
    once_more = f"the record at byte {size} of .*: expected 3 runs of 108 epochs of {SEVEN}, this is one more"
    refused(tmp_path, [*contents, GOOD], once_more)
    refused(tmp_path, contents[:-1], f"is not whole: expected 3 runs of 108 epochs of {THREE}, got 2")
    lacks = [data for data in contents if json.loads(data)[:2] != [TWO, 4]]
    refused(tmp_path, lacks, f"is not whole: expected 3 runs of 4 epochs of {TWO}, got 0")
    refused(tmp_path, [], "has no records")
    for changed in ({"parameters": 7}, {"operations": "input,conv3x3-bn-relu,output"}):
        contents[-1] = record(THREE, 108, POINTS, **changed)
        refused(tmp_path, contents, "expected the graph and parameters of the record at byte .* with the same hash")


def test_damage_is_refused(tmp_path: Path) -> None:
    source = file_of(tmp_path, trainings((108,)))
    whole = source.read_bytes()
    for damaged, message in ((whole[:-1], "is cut short"), (whole[:-5] + b"x" + whole[-4:], "is damaged")):
        source.write_bytes(damaged)
        with pytest.raises(ValueError, match=message):
            import_official(source, tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"expected a .tfrecord file or a .parquet table of NAS-Bench-101 graphs, got"):
        import_official(tmp_path / "nasbench.pickle", tmp_path / "t.parquet")
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_memory_does_not_grow_with_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from google_crc32c import value

    monkeypatch.setattr("tests.benchmarks.official101.PATH", b"x" * 100_000)
    values = trainings(BUDGETS)
    contents = [record(model, epochs, points) for (model, epochs, _), points in values.items()]
    source = tmp_path / "large.tfrecord"
    source.write_bytes(framed(*contents, crc32c=value))
    size, heard = source.stat().st_size, []
    del contents
    import_official(source, tmp_path / "t.parquet")
    tracemalloc.start()
    import_official(source, tmp_path / "t.parquet", heard.append)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 10_000_000
    assert peak < 5_000_000
    assert size - 2_000_000 < sum(heard) <= size


def graphs(folder: Path, **changed: list) -> Path:
    """The three models as a Parquet table, in another order."""
    columns = {
        "hash": [THREE, SEVEN, TWO],
        "num_vertices": [3, 7, 2],
        "adj_bits": [7, 1205349, 1],
        "ops": ["2", "02001", ""],
        "trainable_parameters": [1756298, 8555530, 882570],
        "test_accuracy_108": [0.887954, 0.920606, 0.837707],
    }
    pq.write_table(pa.table({**columns, **changed}), folder / "graphs.parquet")
    return folder / "graphs.parquet"


def test_a_table_of_graphs(tmp_path: Path) -> None:
    table = import_official(graphs(tmp_path), tmp_path / "t.parquet")
    assert table.columns == ("trainable_parameters", "test_accuracy_108")
    assert table.values("test_accuracy_108").tolist() == [0.920606, 0.837707, 0.887954]
    assert (table.truth, table.default_ceiling("test_accuracy_108")) == ("test_accuracy_108", None)
    assert table.row(THREE)["trainable_parameters"] == 1756298


def test_a_table_of_graphs_is_called_that_until_it_is_imported(tmp_path: Path) -> None:
    source = graphs(tmp_path)
    words = r"is NAS-Bench-101 as hashes, graphs and values: `oneshot benchmark import NAME .*graphs\.parquet` makes"
    with pytest.raises(ValueError, match=words):
        Benchmark.open(source)
    table = import_any(source, tmp_path / "t.parquet")
    report = score(Predicted(table.strings, np.array([3.0, 1.0, 2.0])), table, bootstraps=20)
    assert report.protocol["truth"] == "test_accuracy_108"
    assert table.query([THREE])["test_accuracy_108"].tolist() == [0.887954]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"hash": [THREE, SEVEN, SEVEN]}, f"row 3 of .*: the hash of output~0 is {TWO}, stored is {SEVEN}"),
        ({"adj_bits": [7, 1205349, 0]}, "row 3 of .*: .* expected a path from input to output, got none"),
        ({"adj_bits": [3, 1205349, 1]}, r"row 1 of .*: .*expected (a path|a cell of which)"),
        ({"adj_bits": [7, 1205349, 3]}, "row 3 of .*: expected a cell of which every vertex is connected"),
        ({"ops": ["3", "02001", ""]}, "row 1 of .*: expected 1 operations among 012, got '3'"),
        ({"ops": ["2", "0200", ""]}, "row 2 of .*: expected 5 operations among 012, got '0200'"),
        ({"hash": [None, SEVEN, TWO]}, "expected string in every row of column 'hash' of"),
        ({"adj_bits": [7, None, 1]}, "expected int64 in every row of column 'adj_bits' of"),
        ({"num_vertices": ["three", "7", "2"]}, "expected int64 in every row of column 'num_vertices' of"),
        ({"num_vertices": [2, 7, 2]}, "row 1 of .*: expected 0 operations among 012, got '2'"),
        ({"hash": ["x", SEVEN, TWO]}, "row 1 of .*: the hash of .* stored is x"),
        ({"test_accuracy_108": [0.8, float("nan"), 0.9]}, "row 2, column 'test_accuracy_108' .*finite number, got nan"),
        ({"hash": [TWO, SEVEN, TWO], "num_vertices": [2, 7, 2], "adj_bits": [1, 1205349, 1], "ops": ["", "02001", ""]},
         "architecture output~0 comes twice, in rows 1 and 3"),
    ],
)  # fmt: skip
def test_wrong_tables_of_graphs_are_refused(tmp_path: Path, changed: dict, message: str) -> None:
    source = graphs(tmp_path, **changed)
    with pytest.raises(ValueError, match=message):
        import_official(source, tmp_path / "t.parquet")
    pq.write_table(pa.table({"hash": [TWO], "ops": [""]}), source)
    with pytest.raises(ValueError, match="has no column num_vertices, adj_bits; its columns are hash, ops"):
        import_official(source, tmp_path / "t.parquet")
    assert [path.name for path in tmp_path.iterdir()] == [source.name]


def test_needs_no_torch() -> None:
    code = "import sys, oneshot.benchmarks.importing.nasbench101 as _; "
    code += "assert not {'torch', 'pandas', 'tensorflow'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).resolve().parents[3])


def test_a_part_of_the_real_table(tmp_path: Path, real_data: Path) -> None:
    plain = pq.read_table(real_data / "nasbench101.parquet")
    plain = plain.take(np.random.default_rng(0).permutation(len(plain))[:10_000])
    pq.write_table(plain, tmp_path / "part.parquet")
    table = import_official(tmp_path / "part.parquet", tmp_path / "t.parquet")
    hashes = plain.column("hash").to_pylist()
    rows = table.rows_of(hashes)  # so many that the strings are looked at first
    np.testing.assert_array_equal(rows, [table.rows_of([text])[0] for text in hashes])
    np.testing.assert_array_equal(rows, np.argsort(np.argsort(hashes)))
    np.testing.assert_array_equal(table.values("test_accuracy_108")[rows], plain.column("test_accuracy_108").to_numpy())
    np.testing.assert_array_equal(table.rows_of(table.strings), np.arange(10_000))
    cells = [ALL.canonical(arch) for arch in table.archs[:300]]
    np.testing.assert_array_equal(table.rows_of(cells), np.arange(300))

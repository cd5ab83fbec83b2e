"""Tables: written whole, found by name, read by column, imported only when every row is right."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oneshot.benchmarks.table import Benchmark, find_table, write

from oneshot.registry import SPACES
from oneshot.spaces.nasbench201 import ALL, CONV, NO_ZERO

FIRST, SECOND = CONV.format((0,) * 6), CONV.format((1,) * 6)


Columns = Callable[..., Benchmark]


@pytest.fixture
def columns(tmp_path: Path) -> Columns:
    """Writes a table `t` of one architecture with columns of these names and this metadata."""

    def made(names: str, **metadata: object) -> Benchmark:
        return write(tmp_path / "t.parquet", [(0,) * 6], {name: [1.0] for name in names.split()}, CONV, metadata)

    return made


def test_a_table_reads_back_what_was_written(table: Benchmark) -> None:
    assert (len(table), table.space, table.name) == (64, CONV, "small")
    assert table.columns == ("digits_test_20", "digits_valid_20", "seconds")
    assert table.metadata == {"space": CONV.name, "protocol": {"epochs": 20}}
    assert [CONV.format(arch) for arch in table.archs] == table.strings
    assert sorted(table.archs) == list(CONV)
    np.testing.assert_array_equal(table.values("seconds"), np.arange(64.0))
    assert table.values("seconds").dtype == np.float64


def test_a_table_shows_what_it_holds(table: Benchmark, columns: Columns) -> None:
    assert repr(table) == f"<Benchmark small: 64 architectures of {CONV.name}>"
    page = table._repr_html_()
    for words in (CONV.name, "digits_test_20", "digits_valid_20", "seconds"):
        assert words in page
    assert "none is named" in columns("seconds")._repr_html_()


def test_query_keeps_the_order_asked_for(table: Benchmark) -> None:
    rows = [7, 3, 50]
    frame = table.query([table.archs[7], table.strings[3], table.archs[50]], ["seconds"])
    assert list(frame.columns) == ["arch", "seconds"]
    assert frame["arch"].tolist() == [table.strings[row] for row in rows]
    assert frame["seconds"].tolist() == rows
    assert list(table.query(table.archs).columns) == ["arch", *table.columns]
    assert table.row(table.strings[3])["seconds"] == 3
    assert table.row(table.strings[3], ["seconds"]) == {"seconds": 3}


def test_unknown_architectures_are_named(tmp_path: Path) -> None:
    half = write(tmp_path / "half.parquet", list(CONV)[:32], {"a": np.arange(32)}, CONV, {})
    assert FIRST in half
    assert (1,) * 6 not in half
    with pytest.raises(ValueError, match=r"1 of 2 architectures are not among the 32 of half .*nor_conv_3x3"):
        half.query([FIRST, SECOND])
    with pytest.raises(ValueError, match="is no NAS-Bench-201 string"):
        half.row("|x~0|")


def test_a_missing_column_lists_the_columns(table: Benchmark) -> None:
    with pytest.raises(ValueError, match=r"small has no column 'accuracy'; its columns are digits_test_20, digits_va"):
        table.values("accuracy")


def test_within_keeps_what_the_smaller_space_parses(tmp_path: Path) -> None:
    archs = [ALL.parse(text) for text in (FIRST, ALL.format((0,) * 6), SECOND)]
    table = write(tmp_path / "mixed.parquet", archs, {"a": [1, 2, 3]}, ALL, {})
    view = table.within(CONV)
    assert view.archs == [(0,) * 6, (1,) * 6]
    assert view.values("a").tolist() == [1, 3]
    assert view.query([(1,) * 6])["a"].tolist() == [3]
    assert view.within(NO_ZERO).strings == [FIRST, SECOND]
    only_none = write(tmp_path / "none.parquet", [(0,) * 6], {"a": [1]}, ALL, {})
    with pytest.raises(ValueError, match="none holds architectures of nasbench201, none of nasbench201-conv"):
        only_none.within(CONV)


def test_a_look_up_stays_light(table: Benchmark) -> None:
    code = (
        "import sys; from oneshot.benchmarks.table import Benchmark; "
        f"print(Benchmark.open({str(table.path)!r}).row({table.strings[9]!r})['seconds']); "
        "assert not {'pandas', 'scipy', 'matplotlib', 'torch'} & set(sys.modules)"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", code], check=True, cwd=root, capture_output=True, text=True)
    assert done.stdout == "9.0\n"


def test_gaps_and_other_number_types_read_as_floats(tmp_path: Path) -> None:
    columns = {
        "gap": [1.5, None],
        "half": np.array([1, 2], np.float16),
        "count": np.array([3, 4], np.uint8),
        "text": ["1", "2"],
    }
    money = pa.array([Decimal("0.25"), None])
    pq.write_table(pa.table({"arch": [FIRST, SECOND], **columns, "money": money}), tmp_path / "t.parquet")
    table = Benchmark.open(tmp_path / "t.parquet")
    assert table.columns == ("gap", "half", "count", "money")
    for name, expected in {"gap": [1.5, np.nan], "half": [1, 2], "count": [3, 4], "money": [0.25, np.nan]}.items():
        np.testing.assert_array_equal(table.values(name), expected)


def test_truth_and_ceiling_by_rule_and_by_declaration(columns: Columns) -> None:
    published = columns("index cifar10_test_200 cifar10_valid_200")
    assert published.default_truth() == "cifar10_test_200"
    assert published.default_ceiling("cifar10_test_200") == "cifar10_valid_200"
    assert published.default_ceiling("cifar100_test_200") is None
    assert columns("test_correct_sum3_108 test_accuracy_108").default_truth() == "test_accuracy_108"
    official = columns("test_accuracy_108 validation_accuracy_108 test_accuracy_108_run0 validation_accuracy_108_run0")
    assert official.default_ceiling("test_accuracy_108") == "validation_accuracy_108"
    assert official.default_ceiling("test_accuracy_108_run0") == "validation_accuracy_108_run0"
    assert official.default_ceiling("validation_accuracy_108") is None
    declared = columns("mine other x_test_200", truth="mine", ceiling="other")
    assert (declared.default_truth(), declared.default_ceiling("mine")) == ("mine", "other")
    assert declared.default_ceiling("x_test_200") is None
    with pytest.raises(ValueError, match="declares no truth; say which of its columns it is: params, latency"):
        columns("params latency").default_truth()


@pytest.mark.parametrize(
    "names",
    [
        "cifar10_test cifar10_test_0 cifar10_test_1 cifar10_test_2",  # a mean and its seeds
        "cifar10_test_12 cifar10_test_200",  # epochs
        "cifar10_test_200 cifar100_test_200",
        "test test_accuracy",
    ],
)
def test_of_several_candidates_none_is_guessed(columns: Columns, names: str) -> None:
    table = columns(f"index {names} cifar10_valid params")
    assert table.truth_candidates == tuple(names.split())
    with pytest.raises(ValueError, match=f"t declares no truth, and {', '.join(names.split())} could each be it; say"):
        table.default_truth()
    declared = columns(names, truth=names.split()[0])
    assert declared.default_truth() == names.split()[0]


def test_seeds_by_their_names_and_by_declaration(columns: Columns) -> None:
    named = columns("x_test x_test_seed3 x_test_run0 x_test_seed12 x_test_seed x_valid_seed3 x_testa_seed1")
    assert named.seed_columns("x_test") == {3: "x_test_seed3", 12: "x_test_seed12", 0: "x_test_run0"}
    assert named.truth_seeds == {}
    assert named.default_truth() == "x_test"
    declared = columns("x_test x_test_0 x_test_1", truth="x_test", truth_seeds={"0": "x_test_0", "1": "x_test_1"})
    assert declared.truth_seeds == declared.seed_columns("x_test") == {0: "x_test_0", 1: "x_test_1"}
    assert declared.seed_columns("x_test_0") == {}


def test_declarations_of_foreign_files_are_checked(tmp_path: Path) -> None:
    def opened(**metadata: object) -> Benchmark:
        table = pa.table({"arch": [FIRST], "a": [1.0]})
        pq.write_table(table.replace_schema_metadata({"oneshot": json.dumps(metadata)}), tmp_path / "t.parquet")
        return Benchmark.open(tmp_path / "t.parquet")

    for truth in ("b", 5, ["a"], {}):
        with pytest.raises(ValueError, match=r"t.parquet declares the truth .*, which is none of its columns a"):
            opened(truth=truth).default_truth()
    for seeds in (["a"], {"x": "a"}, {"0": "b"}, {"0": ["a"]}, 5):
        with pytest.raises(ValueError, match=r"t.parquet declares the seeds .*: expected a column for each seed"):
            opened(truth="a", truth_seeds=seeds).seed_columns("a")
    assert opened(truth="a", ceiling=None).default_ceiling("a") is None


def test_names_find_files_in_order(table: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("given", "environment", "cache/oneshot"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "there.parquet").write_bytes(table.path.read_bytes())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "environment"))
    assert find_table("there", tmp_path / "given").path.parent.name == "given"
    assert find_table("there").path.parent.name == "environment"
    assert find_table("there.parquet").path.parent.name == "environment"
    monkeypatch.delenv("ONESHOT_DATA")
    assert find_table("there").path.parent.name == "oneshot"
    assert find_table(table.path).path == table.path
    with pytest.raises(
        ValueError, match=r"looked for .*cache/oneshot/gone.parquet, .*benchmarks/data/gone.parquet; `oneshot benc"
    ):
        find_table("gone")
    with pytest.raises(ValueError, match=r"looked for /gone/there.parquet;"):
        find_table("/gone/there.parquet")


def test_files_that_are_no_tables(tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 and then nothing")
    with pytest.raises(ValueError, match=r"broken.parquet is no Parquet file, or a damaged one"):
        Benchmark.open(broken)
    pq.write_table(pa.table({"hash": ["x"]}), broken)
    with pytest.raises(
        ValueError, match="has no column 'arch'; its columns are hash; `oneshot benchmark create` makes"
    ):
        Benchmark.open(broken)
    pq.write_table(pa.table({"arch": ["x"]}), broken)
    with pytest.raises(ValueError, match="no known search space has the architecture 'x'; known are nasbench201,"):
        Benchmark.open(broken)
    pq.write_table(pa.table({"arch": pa.array([], pa.string())}), broken)
    with pytest.raises(ValueError, match="has no rows"):
        Benchmark.open(broken)
    pq.write_table(pa.table({"arch": [FIRST]}).replace_schema_metadata({"oneshot": "[1]"}), broken)
    with pytest.raises(ValueError, match="is not one JSON object"):
        Benchmark.open(broken)


def test_foreign_tables_open_in_the_most_general_space(tmp_path: Path) -> None:
    pq.write_table(pa.table({"arch": [FIRST], "a": [1]}), tmp_path / "foreign.parquet")
    assert Benchmark.open(tmp_path / "foreign.parquet").space == ALL
    assert Benchmark.open(tmp_path / "foreign.parquet", CONV).space == CONV


def test_the_catalogue_knows_its_names() -> None:
    assert [SPACES[name] for name in SPACES][:3] == [ALL, NO_ZERO, CONV]
    assert all(SPACES[name].name == name for name in SPACES)
    with pytest.raises(ValueError, match="no search space 'hnas'; there are nasbench201, "):
        SPACES["hnas"]


def test_a_full_disk_leaves_the_old_table(table: Benchmark, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    before = table.path.read_bytes()
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(table.path, [(0,) * 6], {"a": [1]}, CONV, {})
    assert table.path.read_bytes() == before
    assert [path.name for path in table.path.parent.iterdir()] == ["small.parquet"]


@pytest.mark.parametrize(
    ("archs", "columns", "metadata", "message"),
    [
        ([(0,) * 6] * 2, {"a": [1, 2]}, {}, "comes twice, in rows 1 and 2"),
        ([(0,) * 6], {"a": [1, 2]}, {}, "column 'a' needs one number for each of 1 architectures"),
        ([(0,) * 6], {"a": ["x"]}, {}, "column 'a' needs one number"),
        ([(9,) * 6], {"a": [1]}, {}, "is no architecture of nasbench201-conv"),
        ([(0,) * 6], {"a": [1]}, {"truth": "b"}, "the truth 'b' is none of the columns a"),
    ],
)
def test_write_refuses(tmp_path: Path, archs: list, columns: dict, metadata: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "t.parquet", archs, columns, CONV, metadata)
    assert not list(tmp_path.iterdir())


def test_the_published_table(real_data: Path) -> None:
    table = find_table("nasbench201", real_data)
    assert (len(table), table.space, table.truth) == (15625, ALL, None)
    with pytest.raises(ValueError, match=r"cifar10_test_200, cifar100_test_200, imagenet16_test_200, .* could each be"):
        table.default_truth()
    assert table.default_ceiling("cifar10_test_200") == "cifar10_valid_200"
    best = int(np.argmax(table.values("cifar10_test_200")))
    assert table.row(table.archs[best])["cifar10_test_200"] == pytest.approx(94.3733, abs=1e-4)
    assert len(table.within(CONV)) == 64
    assert len(table.within(NO_ZERO)) == 4096


@pytest.mark.parametrize("name", ["space", "protocol", "source", "ceiling", "seeds"])
def test_a_description_of_other_types_is_refused_and_null_is_nothing(tmp_path: Path, name: str) -> None:
    for value, said in ((5, f"the '{name}' that .* must be a "), (None, "")):
        table = pa.table({"arch": [FIRST], "a": [1.0]})
        described = table.replace_schema_metadata({"oneshot": json.dumps({name: value})})
        pq.write_table(described, tmp_path / "t.parquet")
        if said:
            with pytest.raises(ValueError, match=said):
                Benchmark.open(tmp_path / "t.parquet")
        else:
            assert name not in Benchmark.open(tmp_path / "t.parquet").metadata

"""Foreign files become tables, and tables find their rows in each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oneshot.benchmarks.importing.files import import_any, import_table, join
from oneshot.benchmarks.table import Benchmark, write

from oneshot.spaces.nasbench101_cell import Cell
from oneshot.spaces.nasbench201 import ALL, CONV

FIRST, SECOND, THIRD = (CONV.format(arch) for arch in list(CONV)[:3])


def csv(folder: Path, text: str, name: str = "results.csv") -> Path:
    (folder / name).write_text(text)
    return folder / name


@pytest.fixture
def table(tmp_path: Path) -> Benchmark:
    """Three architectures, numbered 5, 6, 7."""
    archs = list(CONV)[:3]
    return write(tmp_path / "base.parquet", archs, {"arch_index": [5, 6, 7], "test": [1.0, 2.0, 3.0]}, CONV, {})


def test_rows_find_each_other_by_architecture(table: Benchmark, tmp_path: Path) -> None:
    other = csv(tmp_path, f"architecture,latency\n{THIRD},9\n{FIRST},4.5\n")
    joined = join(table, [other], tmp_path / "joined.parquet")
    assert joined.columns == ("arch_index", "test", "latency")
    np.testing.assert_array_equal(joined.values("latency"), [4.5, np.nan, 9])
    assert joined.metadata["joined"][0]["file"] == "results.csv"


def test_one_row_a_training_becomes_one_column_a_seed(table: Benchmark, tmp_path: Path) -> None:
    other = csv(tmp_path, "arch_index,run,seed,valid\n6,0,777,50\n5,0,777,40\n6,1,888,51\n")
    joined = join(table, [other], tmp_path / "joined.parquet")
    np.testing.assert_array_equal(joined.values("valid_seed777"), [40, 50, np.nan])
    np.testing.assert_array_equal(joined.values("valid_seed888"), [np.nan, 51, np.nan])
    assert "valid" not in joined.columns


def test_rows_find_each_other_by_hash(tmp_path: Path) -> None:
    cells = [Cell(1, ()), Cell(5, (0,)), Cell(5, (1,))]  # input to output, and chains through one operation
    strings, hashes = [str(cell) for cell in cells], [cell.hash() for cell in cells]
    vertices, bits, ops = [2, 3, 3], [1, 5, 5], ["", "0", "1"]
    graphs = {
        "hash": hashes,
        "num_vertices": vertices,
        "adj_bits": bits,
        "ops": ops,
        "test_accuracy_108": [0.1, 0.2, 0.3],
    }
    pd.DataFrame(graphs).to_parquet(tmp_path / "graphs.parquet")
    other = csv(tmp_path, f"hash,latency\n{hashes[2]},7\n{hashes[0]},8\n")
    joined = import_any(tmp_path / "graphs.parquet", tmp_path / "nb.parquet", joined=[other])
    assert joined.row(hashes[2])["latency"] == 7
    assert joined.row(strings[0]) == pytest.approx({**joined.row(hashes[0])}, nan_ok=True)
    assert joined.keys is not None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("arch_index,latency\n5,1\n9,2\n", "row 2 of .*: base has no arch_index 9"),
        (f"arch,latency\n{FIRST},1\n{FIRST},2\n", "two values of 'latency' for one architecture"),
        ("arch_index,seed,v\n5,777,1\n5,777,2\n", "two values of 'v_seed777' for one architecture"),
        ("arch_index,test\n5,9\n", "base has another column 'test' than"),
        ("number,latency\n5,1\n", "none of the columns by which its rows could find those of base"),
        ("arch_index,latency\n5,nan\n", "no numeric column to join; its columns are 'arch_index', 'latency'"),
        ("arch_index,latency\n6,1\n5,nan\n", "row 2, column 'latency' of .*: expected a finite number"),
        ("arch,latency\n|nor_conv_1x1~0|,1\n", "1 of 1 architectures are not among|no NAS-Bench-201 string"),
    ],
)
def test_join_refuses_and_writes_nothing(table: Benchmark, tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        join(table, [csv(tmp_path, text)], tmp_path / "joined.parquet")
    assert not (tmp_path / "joined.parquet").exists()


def test_import_any_recognises_a_plain_table_and_tells_what_it_does(tmp_path: Path) -> None:
    table = import_any(csv(tmp_path, f"arch,a\n{FIRST},1\n"), tmp_path / "t.parquet", CONV)
    assert table.values("a").tolist() == [1]
    with pytest.raises(ValueError, match=r"there is no folder .*gone to write t\.parquet in"):
        import_any(tmp_path / "results.csv", tmp_path / "gone" / "t.parquet")


def test_an_error_in_a_joined_table_leaves_nothing(tmp_path: Path) -> None:
    source, wrong = csv(tmp_path, f"arch,a\n{FIRST},1\n"), csv(tmp_path, "b\n1\n", "wrong.csv")
    with pytest.raises(ValueError, match="none of the columns by which"):
        import_any(source, tmp_path / "t.parquet", joined=[wrong])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.csv", "wrong.csv"]


def test_the_published_tables_join(real_data: Path, tmp_path: Path) -> None:
    others = [real_data / "nasbench201_seeds.parquet", real_data / "nasbench201_latency.parquet"]
    table = import_any(real_data / "nasbench201.parquet", tmp_path / "nb.parquet", joined=others)
    assert (len(table), table.space) == (15625, ALL)
    seeds = np.stack([table.values(f"cifar10_valid_200_seed{seed}") for seed in (777, 888, 999)])
    np.testing.assert_allclose(np.nanmean(seeds, 0), table.values("cifar10_valid_200"), atol=1e-3)
    assert np.isnan(seeds[2]).sum() == 15625 - 8169
    assert table.values("fpga").min() > 0


def test_import_keeps_numbers_and_provenance(tmp_path: Path) -> None:
    source = csv(tmp_path, f"architecture,accuracy,params,note\n{SECOND},91.5,7,x\n{FIRST},90,8,y\n{SECOND},91.5,7,z\n")
    table = import_table(source, tmp_path / "t.parquet", CONV)
    assert table.strings == [SECOND, FIRST]
    assert table.columns == ("accuracy", "params")
    assert table.values("accuracy").tolist() == [91.5, 90]
    assert table.metadata["source"]["file"] == "results.csv"
    assert len(table.metadata["source"]["sha256"]) == 64
    assert table.metadata["source"]["columns_left_out"] == ["note"]
    again = import_table(tmp_path / "t.parquet", tmp_path / "again.parquet")
    assert (again.space, again.strings) == (CONV, table.strings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"arch,a\n{FIRST},1\n|x~0|,2\n", "row 2 of .*results.csv: '\\|x~0\\|' is no NAS-Bench-201 string"),
        (
            f"arch,a\n{FIRST},1\n{SECOND},2\n{FIRST},3\n",
            "rows 1 and 3 of .* same architecture with different values of 'a': 1.0 and 3.0",
        ),
        (f"arch,a\n{FIRST},1\n{SECOND},nan\n", "row 2, column 'a' of .*: expected a finite number, got"),
        (f"arch,a\n{FIRST},1\n{SECOND},inf\n", "row 2, column 'a' of .*: expected a finite number, got inf"),
        (f"arch,a\n{FIRST},1\n{SECOND},\n", "row 2, column 'a' of .*: expected a finite number, got None"),
        (f"arch,a\n{FIRST},1.5\n{SECOND},9O.1\n", "row 2, column 'a' of .*: expected a finite number, got '9O.1'"),
        (f"arch,a\n{FIRST},1\n,2\n", "row 2 of .* has no architecture"),
        (f"cell,a\n{FIRST},1\n", "has no column 'arch'; its columns are cell, a"),
        (f"arch,a\n{FIRST},x\n", "has no numeric column; its columns are arch, a"),
        (f"arch,a\n{FIRST},1,2\n", "is no well-formed CSV table"),
        ("arch,a\n", "has no rows"),
        ("", "is no well-formed CSV table"),
    ],
)
def test_import_refuses_and_writes_nothing(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        import_table(csv(tmp_path, text), tmp_path / "t.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["results.csv"]


def test_import_refuses_other_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a \.parquet, \.csv, .tsv, .json or .jsonl file"):
        import_table(tmp_path / "table.pth", tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="there is no file"):
        import_table(tmp_path / "gone.csv", tmp_path / "t.parquet")

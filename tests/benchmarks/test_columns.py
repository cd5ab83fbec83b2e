"""Text and numbers of foreign tables, and the rows and columns that errors name."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oneshot.benchmarks.columns import (
    METADATA_KEY,
    architecture_strings,
    finite_numbers,
    first_few,
    first_repeat,
    numeric_columns,
    read_any,
)

HERE = Path("t.csv")


def test_csv_and_parquet_have_the_same_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("arch,accuracy\n010,90.5\n011,91\n")
    table, metadata = read_any(tmp_path / "t.csv")
    assert architecture_strings(table, HERE) == ["010", "011"]  # not numbers
    assert metadata == {}
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: b'{"a": 1}'}), tmp_path / "t.parquet")
    again, metadata = read_any(tmp_path / "t.parquet")
    assert metadata == {"a": 1}
    for each in (table, again):
        np.testing.assert_array_equal(finite_numbers(each, "accuracy", HERE), [90.5, 91])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.txt", b"", r"expected a \.csv or \.parquet file"),
        ("absent.csv", None, "there is no file"),
        ("absent.parquet", None, "there is no file"),
        ("t.parquet", b"PAR1 and nothing", "no Parquet file, or a damaged one"),
        ("t.csv", b"arch,x\na,1\nb\n", "no well-formed CSV table"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_any(tmp_path / name)


@pytest.mark.parametrize("text", [b"not json", b"[1]"])
def test_metadata_of_ours_is_one_object(tmp_path: Path, text: bytes) -> None:
    pq.write_table(pa.table({"arch": ["a"]}).replace_schema_metadata({METADATA_KEY: text}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="is not one JSON object"):
        read_any(tmp_path / "t.parquet")


def test_an_architecture_in_every_row() -> None:
    assert architecture_strings(pa.table({"architecture": ["a", "b"]}), HERE) == ["a", "b"]
    with pytest.raises(ValueError, match=r"t\.csv has no column 'arch'; its columns are x, y"):
        architecture_strings(pa.table({"x": [1], "y": [2]}), HERE)
    for wrong in (None, ""):
        with pytest.raises(ValueError, match=r"row 2 of t\.csv has no architecture"):
            architecture_strings(pa.table({"arch": ["a", wrong]}), HERE)


def test_numbers_are_finite_and_errors_name_row_and_column() -> None:
    table = pa.table({
        "arch": ["1", "2"], "whole": [1, 2], "exact": [Decimal("1.5"), Decimal("2.5")], "gap": [1.0, None],
        "huge": [float("inf"), 1.0], "typed": ["3", "x"], "note": ["x", "3"],
    })  # fmt: skip
    assert numeric_columns(table) == ["whole", "exact", "gap", "huge", "typed"]
    np.testing.assert_array_equal(finite_numbers(table, "exact", HERE), [1.5, 2.5])
    for column, row in (("gap", 2), ("huge", 1), ("typed", 2)):
        with pytest.raises(ValueError, match=f"row {row}, column '{column}' of t.csv: expected a finite number"):
            finite_numbers(table, column, HERE)


def test_repeats_and_names_for_messages() -> None:
    assert first_repeat(["a", "b", "c"]) is None
    assert first_repeat(["a", "b", "c", "b", "a"]) == (1, 3)
    assert first_few(["a", "b"]) == "'a', 'b'"
    assert first_few(["a", "b", "c", "d", "e"]) == "'a', 'b', 'c' and 2 more"

"""Text and numbers of foreign tables, and the rows and columns that errors name."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from oneshot.benchmarks.columns import (
    architecture_strings,
    finite_numbers,
    first_few,
    first_repeat,
    numeric_columns,
)

HERE = Path("t.csv")


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

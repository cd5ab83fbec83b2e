"""Columns in a few numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from oneshot.benchmarks.reporting.summary import BINS, summary
from oneshot.benchmarks.table import write

from oneshot.spaces.nasbench201 import CONV


def test_numbers_by_hand(tmp_path: Path) -> None:
    archs = list(CONV)[:4]
    table = write(tmp_path / "t.parquet", archs, {"a": [0.0, 12.0, np.nan, 1.5], "b": [np.nan] * 4}, CONV, {})
    found = summary(table, "a")
    assert (found["count"], found["min"], found["mean"], found["max"]) == (3, 0.0, 4.5, 12.0)
    assert found["histogram"] == [1, 1] + [0] * (BINS - 3) + [1]
    assert found["best"] == CONV.format(archs[1])
    assert summary(table, "b") == {
        "count": 0, "min": None, "mean": None, "max": None, "histogram": [0] * BINS, "best": None,
    }  # fmt: skip

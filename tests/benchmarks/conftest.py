"""A small table over the 64 cells of convolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.table import Benchmark, write

from oneshot.spaces.nasbench201 import CONV


@pytest.fixture
def table(tmp_path: Path) -> Benchmark:
    """`digits_test_20` and `digits_valid_20` in percent, 64 rows, no two values alike."""
    rng = np.random.default_rng(0)
    archs = [list(CONV)[i] for i in rng.permutation(64)]
    test = 80 + 10 * rng.random(64)
    columns = {"digits_test_20": test, "digits_valid_20": test + rng.normal(0, 1, 64), "seconds": np.arange(64)}
    return write(tmp_path / "small.parquet", archs, columns, CONV, {"protocol": {"epochs": 20}})


@pytest.fixture
def predicted(table: Benchmark) -> Predicted:
    """Noisy predictions for 40 of the 64, in another order, as fractions."""
    rng = np.random.default_rng(1)
    rows = rng.permutation(64)[:40]
    accuracy = (table.values("digits_test_20")[rows] + rng.normal(0, 2, 40)) / 100
    return Predicted([table.strings[row] for row in rows], accuracy, CONV.name, {"seed": 1}, "noisy")

"""A table as an evaluator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oneshot.benchmarks.table import Benchmark, find_table, write
from oneshot.evaluators.table import TableEvaluator, measured

from oneshot.spaces.nasbench201 import CONV

ARCHS = list(CONV)


def small(path: Path, **columns: list[float]) -> Benchmark:
    return write(path / "small.parquet", ARCHS[:3], columns, CONV, {})


def test_what_was_measured_is_the_prediction(tmp_path: Path) -> None:
    table = TableEvaluator(small(tmp_path, mnist_test=[97.0, 98.0, 99.0]), images=100)
    predictions = table([ARCHS[2], ARCHS[0]])
    assert predictions.accuracy.tolist() == [99.0, 97.0]
    assert [value.loss for value in predictions.values] == pytest.approx([0.01, 0.03])
    assert predictions.values[0].standard_error == pytest.approx(0.99498743)
    assert predictions.protocol["truth"] == "mnist_test"


def test_fractions_become_percent(tmp_path: Path) -> None:
    table = TableEvaluator(small(tmp_path, test=[0.25, 0.5, 1.0]))
    assert table(ARCHS[:3]).accuracy.tolist() == [25.0, 50.0, 100.0]


def test_what_was_not_measured(tmp_path: Path) -> None:
    table = TableEvaluator(small(tmp_path, test=[97.0, np.nan, 99.0], ms=[1.5, 2.5, 3.5]), "test")
    assert [table.knows(arch) for arch in ARCHS[:4]] == [True, False, True, False]
    with pytest.raises(ValueError, match=r"was not measured of \|nor_conv_1x1~0\|"):
        table(ARCHS[:3])
    with pytest.raises(ValueError, match="1 of 1 architectures are not among the 3 of small"):
        table([ARCHS[9]])
    latency = measured(table.benchmark, "ms")
    assert [latency(arch) for arch in ARCHS[:3]] == [1.5, 2.5, 3.5]
    assert np.isnan(latency(ARCHS[9]))


def test_columns_that_are_no_accuracies(tmp_path: Path) -> None:
    table = small(tmp_path, test=[97.0, 98.0, 99.0], seconds=[250.0, 300.0, 350.0], empty=[np.nan] * 3)
    with pytest.raises(ValueError, match="seconds of small holds no accuracies: expected 0 to 100, got 250 to 350"):
        TableEvaluator(table, "seconds")
    with pytest.raises(ValueError, match="got nothing measured"):
        TableEvaluator(table, "empty")
    with pytest.raises(ValueError, match="no column 'tset'"):
        TableEvaluator(table, "tset")
    with pytest.raises(ValueError, match="images must be at least 1, got 0"):
        TableEvaluator(table, "test", images=0)


def test_the_shipped_table() -> None:
    table = TableEvaluator(find_table("nasbench201-digits"))
    assert table.truth == "digits_test"
    values = table(table.benchmark.archs).accuracy
    assert values.tolist() == table.benchmark.values("digits_test").tolist()

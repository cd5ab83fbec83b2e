"""Predictions as tables and files."""

from __future__ import annotations

from pathlib import Path

import pytest
from oneshot.benchmarks.scoring.predictions import read_predictions
from oneshot.evaluators.base import Prediction, Predictions

from oneshot.spaces.nasbench201 import CONV

ARCHS = tuple(CONV)[:3]
VALUES = tuple(Prediction(accuracy, 0.5, 400) for accuracy in (50.0, 75.0, 100.0))
PREDICTIONS = Predictions(CONV, ARCHS, VALUES, {"evaluator": "test", "seed": 3})


def test_standard_error_is_binomial() -> None:
    assert [value.standard_error for value in VALUES] == pytest.approx([2.5, 2.1651, 0.0], abs=1e-4)


@pytest.mark.parametrize("suffix", ["parquet", "csv", "json"])
def test_files_are_read_back_by_scoring(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"p.{suffix}"
    PREDICTIONS.save(path)
    read = read_predictions(path)
    assert list(read.archs) == [CONV.format(arch) for arch in ARCHS]
    assert read.accuracy.tolist() == [50.0, 75.0, 100.0]
    if suffix != "csv":
        assert read.space == CONV.name
        assert read.protocol["seed"] == 3


def test_wrong_targets(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"written as \.parquet, \.json or \.csv, got 'p\.xlsx'"):
        PREDICTIONS.save(tmp_path / "p.xlsx")
    with pytest.raises(FileNotFoundError, match="is no folder"):
        PREDICTIONS.save(tmp_path / "nowhere" / "p.csv")
    with pytest.raises(ValueError, match="3 architectures need as many predictions, got 2"):
        Predictions(CONV, ARCHS, VALUES[:2], {})

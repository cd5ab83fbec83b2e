"""Predictions as tables and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oneshot.benchmarks.scoring.predictions import Evaluated, as_predicted, read_predictions
from oneshot.evaluators.base import Prediction, Predictions, Seen, is_balanced

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


def test_predictions_show_themselves_in_a_notebook() -> None:
    archs = tuple(CONV)[:12]
    values = tuple(Prediction(50.0 + place, 0.5, 400) for place in range(12))
    many = Predictions(CONV, archs, values, {"batch_norm": "ema-20"})
    best = CONV.format(archs[11])
    assert repr(many) == f"<Predictions of 12 architectures of {CONV.name}, the best {best} with 61.00 ± 2.44%>"
    html = many._repr_html_()
    assert html.count("<tr>") == 11
    assert html.index(best) < html.index(CONV.format(archs[10])) < html.index(CONV.format(archs[2]))
    assert CONV.format(archs[1]) not in html
    assert "<td>61.00 ± 2.44</td>" in html
    assert f"the best 10 of 12 architectures of {CONV.name}; BatchNorm ema-20; 400 images" in html


def test_few_predictions_and_none() -> None:
    empty = Predictions(CONV, (), (), {})
    assert repr(empty) == f"<Predictions of 0 architectures of {CONV.name}>"
    assert "the best 0 of 0 architectures" in empty._repr_html_()
    raced = Predictions(CONV, ARCHS[:2], (Prediction(50.0, 0.5, 400), Prediction(50.0, 0.5, 1600)), {})
    assert f"the best 2 of 2 architectures of {CONV.name}; 400 to 1,600 images" in raced._repr_html_()


def test_predictions_are_what_scoring_takes() -> None:
    assert isinstance(PREDICTIONS, Evaluated)
    assert as_predicted(PREDICTIONS).accuracy.tolist() == [50.0, 75.0, 100.0]


def test_balanced_accuracy_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import balanced_accuracy_score

    rng = np.random.default_rng(0)
    labels = rng.choice(3, 200, p=[0.8, 0.15, 0.05])
    answers = np.where(rng.random((5, 200)) < 0.6, labels, rng.integers(0, 3, (5, 200)))
    seen = Seen(answers == labels, np.zeros((5, 1)), np.zeros(5))
    expected = [100 * balanced_accuracy_score(labels, row) for row in answers]
    assert [value.balanced for value in seen.predictions(labels)] == pytest.approx(expected)
    assert [value.balanced for value in seen.predictions(np.arange(200) % 3)] == [None] * 5
    assert [value.balanced for value in seen.predictions()] == [None] * 5


def test_what_is_balanced_goes_by_the_counts() -> None:
    assert is_balanced(np.repeat([0, 1], [200, 100]))
    assert is_balanced(np.repeat([0, 1, 2], [11, 6, 3]))  # as chance makes it, of few images
    assert is_balanced(np.array([7, 7, 7]))
    assert not is_balanced(np.repeat([0, 1], [201, 100]))
    assert not is_balanced(np.repeat([3, 8, 9], [30, 5, 30]))


def test_balanced_accuracy_is_a_column_where_there_is_one() -> None:
    plain = Predictions(CONV, ARCHS[:1], VALUES[:1], {})
    assert "balanced_accuracy" not in plain.frame()
    found = Predictions(CONV, ARCHS[:1], (Prediction(90.0, 0.5, 400, 50.0),), {})
    assert found.frame()["balanced_accuracy"].tolist() == [50.0]
    assert list(found.records()[0]) == ["arch", "accuracy", "balanced_accuracy", "loss", "images", "standard_error"]

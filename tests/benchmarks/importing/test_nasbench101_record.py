"""One record against bytes made by hand."""

from __future__ import annotations

from typing import Any

import pytest
from oneshot.benchmarks.importing.nasbench101_record import MEASURED, METRICS, model_metrics, read_training

from oneshot.spaces.nasbench101_cell import Cell
from tests.benchmarks.official101 import MODELS, POINT, record

SEVEN, TWO, THREE = MODELS
POINTS: list[dict[str, Any]] = [{name: (i + 8 * k) / 32 for i, name in enumerate(POINT)} for k in range(3)]


def test_the_message_is_the_official_one() -> None:
    message = model_metrics()
    fields = {field.name: (field.number, field.type) for field in message.DESCRIPTOR.fields}
    assert fields == {"evaluation_data": (1, 11), "trainable_parameters": (2, 5), "total_time": (3, 1)}
    point = message.DESCRIPTOR.fields_by_name["evaluation_data"].message_type
    assert point.full_name == "nasbench.EvaluationData"
    assert {field.name: (field.number, field.type) for field in point.fields} == {
        **{name: (number, 1) for number, name in enumerate(POINT, 1)},
        "checkpoint_path": (6, 9),
    }


def test_a_record_reads_back() -> None:
    training = read_training(record(THREE, 36, POINTS))
    assert training.hash == THREE
    assert (training.epochs, training.cell, training.parameters) == (36, Cell(0b111, (2,)), 1756298)
    read = dict(zip(MEASURED, training.measured, strict=True))
    assert read == {
        "test_accuracy": 20 / 32,
        "validation_accuracy": 19 / 32,
        "train_accuracy": 18 / 32,
        "training_time": 17 / 32,
        "halfway_test_accuracy": 12 / 32,
        "halfway_validation_accuracy": 11 / 32,
        "halfway_train_accuracy": 10 / 32,
        "halfway_training_time": 9 / 32,
    }
    assert read_training(record(SEVEN, 4, POINTS)).cell == Cell(1205349, (0, 2, 0, 0, 1))


@pytest.mark.parametrize("point", [1, 2])
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.01, 1.01])
def test_wrong_numbers_are_refused(point: int, metric: str, value: float) -> None:
    points = [dict(evaluation) for evaluation in POINTS]
    points[point][metric] = value
    if metric == "training_time" and value == 1.01:
        assert value in read_training(record(SEVEN, 108, points)).measured
        return
    which, kind = ("half-way", "final")[point - 1], "seconds" if metric == "training_time" else "a fraction"
    with pytest.raises(ValueError, match=f"expected the {which} {metric} as {kind}, got {value}"):
        read_training(record(SEVEN, 108, points))


@pytest.mark.parametrize("point", [1, 2])
@pytest.mark.parametrize("metric", METRICS)
def test_missing_numbers_are_no_zeros(point: int, metric: str) -> None:
    points = [dict(evaluation) for evaluation in POINTS]
    del points[point][metric]
    with pytest.raises(ValueError, match=f"the {('half-way', 'final')[point - 1]} evaluation has no {metric}"):
        read_training(record(SEVEN, 108, points))


def test_the_bounds_are_fractions() -> None:
    points = [{name: value for name in POINT} for value in (0.5, 1.0, 0.0)]
    assert read_training(record(TWO, 4, points)).measured == (0.0,) * 4 + (1.0,) * 4

"""Averaged ranks against slow rules."""

from __future__ import annotations

import numpy as np
import pytest
from oneshot.benchmarks.scoring.ranks import averaged, checked_weights, distinct, recommended_weights, shares

from oneshot.registry import SPACES
from oneshot.spaces.nasbench201 import ALL


def test_a_share_is_how_many_are_below_with_ties_counted_half() -> None:
    rng = np.random.default_rng(0)
    values, among = rng.integers(0, 9, 40).astype(float), rng.integers(0, 9, 70).astype(float)
    slow = [np.mean([(v > other) + (v == other) / 2 for other in among]) for v in values]
    np.testing.assert_allclose(shares(values, among), slow)
    assert shares(values).mean() == pytest.approx(0.5)
    np.testing.assert_array_equal(shares(values, among)[:7], shares(values[:7], among))  # whatever the company


def test_weights_are_the_shares_of_each_rank() -> None:
    columns = {"a": np.array([3.0, 1.0, 2.0]), "b": np.array([1.0, 1.0, 5.0])}
    expected = 100 * (3 * shares(columns["a"]) + shares(columns["b"])) / 4
    np.testing.assert_allclose(averaged(columns, {"a": 3.0, "b": 1.0}), expected)
    np.testing.assert_allclose(averaged({"a": np.array([1, np.inf, -np.inf])}, {"a": 1.0}), [50, 500 / 6, 100 / 6])


def test_what_ranks_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="b ranks nothing: all 3 are 7"):
        averaged({"a": np.arange(3.0), "b": np.full(3, 7.0)}, {"a": 1.0, "b": 1.0})
    for weight in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="the weight of a must be more than 0"):
            checked_weights({"a": weight})


def test_columns_that_rank_alike_are_one() -> None:
    a = np.array([3.0, 1.0, 2.0])
    found = distinct({"a": a, "b": -a, "c": 10 * a**3, "d": np.ones(3), "e": np.zeros(3)})
    assert found == {"a": ["a", "c"], "b": ["b"], "d": ["d", "e"]}


def test_what_is_recommended_is_accuracy_and_the_best_fact_alike() -> None:
    assert recommended_weights(ALL) == {"accuracy": 1.0, "live_parameters": 1.0}
    assert recommended_weights(SPACES["fairnas"]) == {"accuracy": 1.0, "parameters": 1.0}

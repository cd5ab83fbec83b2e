"""Corrections by few truths: they find what is there, and their intervals hold what they say."""

from __future__ import annotations

import numpy as np
import pytest
from oneshot.benchmarks.scoring import correction
from oneshot.benchmarks.scoring.correction import Scale, conformal_quantile, fit, least_truths, normal_scores
from oneshot.benchmarks.scoring.measures import kendall_tau
from scipy import stats

Columns = dict[str, np.ndarray]


def world(seed: int, count: int = 300, bends: bool = False) -> tuple[Columns, np.ndarray]:
    """A good and a bad feature, and accuracies in percent with heavy tails."""
    rng = np.random.default_rng(seed)
    skill = rng.normal(size=count)
    truth = 90 + 3 * (np.abs(skill) if bends else np.tanh(skill)) + rng.standard_t(4, count) / 2
    return {"good": np.exp(skill + rng.normal(0, 0.3, count)), "bad": rng.normal(size=count)}, np.minimum(truth, 99.9)


def fitted(columns: Columns, truth: np.ndarray, known: np.ndarray, **how: float):
    model = fit({name: v[known] for name, v in columns.items()}, columns, truth[known], **how)  # pyright: ignore
    return model, model(columns, columns, np.zeros(len(truth), bool))


@pytest.mark.parametrize("count", [20, 60])
def test_intervals_hold_the_share_that_they_say(count: int) -> None:
    """Over worlds and draws of known truths; never all, so that they are not endless."""
    inside = []
    for seed in range(25):
        columns, truth = world(seed)
        known = np.random.default_rng(seed).choice(300, count, replace=False)
        _, found = fitted(columns, truth, known, confidence=0.8)
        rest = np.setdiff1d(np.arange(300), known)
        inside.append(np.mean((found.low <= truth)[rest] & (truth <= found.high)[rest]))
    assert 0.76 <= np.mean(inside) <= 0.88


def test_a_correction_ranks_better_than_its_features_and_weighs_them() -> None:
    columns, truth = world(1)
    known = np.arange(60)
    model, found = fitted(columns, truth, known)
    rest = slice(60, None)
    assert kendall_tau(found.mean[rest], truth[rest]) > 0.9 * kendall_tau(columns["good"][rest], truth[rest])
    assert kendall_tau(found.mean, columns["good"]) > 3 * abs(kendall_tau(found.mean, columns["bad"]))
    assert model.protocol["truths"] == 60
    assert set(model.protocol["cross_validated_tau"]) == {"ridge", "gaussian process"}


def test_what_bends_takes_the_gaussian_process() -> None:
    columns, truth = world(2, bends=True)
    model, found = fitted(columns, truth, np.arange(80))
    assert model.protocol["model"] == "gaussian process"
    assert kendall_tau(found.mean[80:], truth[80:]) > 0.4


def test_the_gain_is_the_expected_improvement_over_the_best_known() -> None:
    columns, truth = world(3)
    model, found = fitted(columns, truth, np.arange(40))
    z, deviation = model.fitted(normal_scores(columns, columns, model.names))
    drawn = np.random.default_rng(0).normal(size=(4000, 1)) * deviation * model.spread + z
    slow = np.maximum(model.scale.said(drawn) - truth[:40].max(), 0).mean(0)
    np.testing.assert_allclose(found.gain, slow, atol=0.05)
    assert found.gain.min() >= 0 < found.gain.max()


def test_those_without_a_live_path_are_last_and_have_no_interval() -> None:
    columns, truth = world(4)
    model, _ = fitted(columns, truth, np.arange(40))
    last = np.arange(300) >= 290
    found = model(columns, columns, last)
    assert found.mean[last].max() < min(found.mean[~last].min(), truth[:40].min())
    assert np.isnan(found.low[last]).all()
    assert found.gain[last].max() == 0


def test_an_answer_does_not_depend_on_the_company() -> None:
    columns, truth = world(5)
    model, whole = fitted(columns, truth, np.arange(40))
    part = model({name: v[:7] for name, v in columns.items()}, columns, np.zeros(7, bool))
    np.testing.assert_allclose(part.mean, whole.mean[:7])


@pytest.mark.parametrize(("values", "top"), [([0.1, 0.9], 1.0), ([10.0, 94.0], 100.0), ([-3.0, 5.0], None)])
def test_scales_go_there_and_back(values: list[float], top: float | None) -> None:
    truth = np.array(values)
    scale = Scale.of(truth)
    assert scale.top == top
    np.testing.assert_allclose(scale.said(scale.modelled(truth)), truth)


def test_the_conformal_quantile_by_hand() -> None:
    assert conformal_quantile(np.arange(1.0, 20.0), 0.9) == 18
    few = np.array([1.0, 2.0, 2.0])
    assert conformal_quantile(few, 0.9) == pytest.approx(stats.t.ppf(0.95, 2) * np.sqrt(3))


def test_bad_input() -> None:
    columns, truth = world(6)
    with pytest.raises(ValueError, match=r"by 2 features \(good, bad\) takes at least 10 truths .* got 9"):
        fitted(columns, truth, np.arange(9))
    many = columns | {f"f{i}": np.random.default_rng(i).random(300) for i in range(10)}
    assert least_truths(12) == 14
    with pytest.raises(ValueError, match=r"by 12 features .* takes at least 14 truths .* got 12"):
        fitted(many, truth, np.arange(12))
    with pytest.raises(ValueError, match="truths that differ, all 20 are 5"):
        fitted(columns, np.full(300, 5.0), np.arange(20))
    with pytest.raises(ValueError, match="a feature that ranks: flat are constant"):
        fitted({"flat": np.ones(300)}, truth, np.arange(20))
    with pytest.raises(ValueError, match="a confidence between 0 and 1, got 1"):
        fitted(columns, truth, np.arange(20), confidence=1.0)
    assert set(correction.MODELS) == {"ridge", "gaussian process"}

"""The one table of measures: its two functions agree, its ranges hold, and who reads it shows all of it."""

from __future__ import annotations

import numpy as np
import pytest
from oneshot.benchmarks.scoring.catalogue import MAIN, MEASURES, Measure, all_measures
from oneshot.benchmarks.scoring.measures import Ranking, kendall_tau, true_ranks
from oneshot.benchmarks.scoring.resampled import Everyone, Resamples, Side

EVERY = [pytest.param(measure, id=name) for name, measure in MEASURES.items()]


def tied(seed: int, count: int = 200, levels: int = 9) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true values with many ties."""
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=count)
    return np.round((truth + rng.normal(size=count)) * levels / 4), np.round(truth * levels / 4) + 50


def identity(x: np.ndarray, y: np.ndarray, best: float) -> Resamples:
    once = np.ones((1, len(x)), np.int32)
    return Resamples(Side(x, once), Side(y, once), best)


@pytest.mark.parametrize("levels", [2, 9, 10**9])
@pytest.mark.parametrize("measure", EVERY)
def test_the_identity_resample_is_the_plain_value(measure: Measure, levels: int) -> None:
    for seed in range(5):
        x, y = tied(seed, levels=levels)
        best = float(y.max() + 1)
        (resampled,) = measure.resampled(identity(x, y, best))
        assert resampled == pytest.approx(measure.plain(Ranking(x, y, best)), rel=1e-12, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("levels", [3, 12, 10**9])
@pytest.mark.parametrize("measure", [each for each in EVERY if "rank" not in str(each.id)])
def test_every_resample_is_the_plain_value_of_its_copies(measure: Measure, levels: int) -> None:
    x, y = tied(levels % 97, count=80, levels=levels)
    counts = np.random.default_rng(0).multinomial(80, np.full(80, 1 / 80), 6)
    found = measure.resampled(Resamples(Side(x, counts), Side(y, counts), float(y.max())))
    copies = [np.repeat(np.arange(80), row) for row in counts]
    plain = [measure.plain(Ranking(x[i], y[i], float(y.max()))) for i in copies]
    np.testing.assert_allclose(found, plain, atol=1e-12 if levels < 100 else 1e-9)


def test_true_ranks_stay_those_among_all_evaluated() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=80)
    x, ranks = y + rng.normal(size=80), true_ranks(y)
    counts = rng.multinomial(80, np.full(80, 1 / 80), 6)
    drawn = Resamples(Side(x, counts), Side(y, counts), 9.0)
    copies = [np.repeat(np.arange(80), row) for row in counts]
    ten = [np.sort(ranks[i][np.argsort(-x[i])[:10]]) for i in copies]
    for name, place in (("best_rank_at_10", 0), ("worst_rank_at_10", -1)):
        expected = np.array([row[place] for row in ten])
        np.testing.assert_allclose(MEASURES[f"{name}_absolute"].resampled(drawn), expected)
        np.testing.assert_allclose(MEASURES[name].resampled(drawn), expected / 80)


@pytest.mark.parametrize("measure", EVERY)
def test_values_stay_in_their_range(measure: Measure) -> None:
    for seed in range(10):
        x, y = tied(seed, count=30)
        for predicted in (x, y, -y):
            value = measure.plain(Ranking(predicted, y, float(y.max())))
            assert np.isnan(value) or measure.low - 1e-12 <= value <= measure.high + 1e-12


@pytest.mark.parametrize("measure", EVERY)
def test_the_direction_is_that_of_a_better_prediction(measure: Measure) -> None:
    y = np.arange(100.0)
    best, worst = (measure.plain(Ranking(x, y, 99.0)) for x in (y, -y))
    assert (best < worst) if measure.less_is_better else (best > worst)


def test_the_head_of_many_gives_the_ten_best_of_all() -> None:
    rng = np.random.default_rng(0)
    y = rng.normal(size=500)
    x = y + rng.normal(size=500)
    head = np.argsort(-x)[:40]
    once = np.ones((1, 40), np.int32)
    everyone = Everyone(true_ranks(y)[head], 500, float(y.mean()), float(y.max()))
    drawn = Resamples(Side(x[head], once), Side(y[head], once), 5.0, everyone)
    for measure in (each for each in MEASURES.values() if each.of_ten):
        assert measure.resampled(drawn)[0] == pytest.approx(measure.plain(Ranking(x, y, 5.0)), abs=1e-12)


def test_names_and_titles_are_each_ones_own() -> None:
    assert [name for name, measure in MEASURES.items() if measure.name != name] == []
    assert len({measure.title for measure in MEASURES.values()}) == len(MEASURES) == 15
    names = ["kendall_tau", "kendall_tau_top10", "precision_at_1", "precision_at_5"]
    assert [measure.name for measure in MAIN] == [*names, "improvement_at_10", "regret_at_10"]


def test_all_measures_are_the_rows_of_the_table() -> None:
    x, y = tied(3)
    found, why = all_measures(x, y, float(y.max()))
    assert (list(found), why) == (list(MEASURES), {})
    assert found["kendall_tau"] == kendall_tau(x, y)
    with pytest.raises(ValueError, match="expected finite predicted values, got nan at index 0"):
        all_measures(np.where(np.arange(200) == 0, np.nan, x), y, float(y.max()))

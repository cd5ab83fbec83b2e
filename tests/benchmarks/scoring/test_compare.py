"""Paired differences: closed forms, slow twins, and how often intervals of repeated experiments tell the truth."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from oneshot.benchmarks.scoring.compare import ARCHITECTURES, BOTH, Method, compare, estimate, seed_error
from oneshot.benchmarks.scoring.measures import improvement_curve, kendall_tau, pruning_curve
from oneshot.benchmarks.scoring.postprocess import post_named
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.resampled import Side
from oneshot.benchmarks.scoring.resampled import kendall_tau as resampled_tau
from oneshot.benchmarks.scoring.result import Report, Scores
from oneshot.benchmarks.scoring.score import score, score_all
from oneshot.benchmarks.table import Benchmark
from scipy import stats

from oneshot.spaces.nasbench201 import CONV

ANY = np.arange(3.0)
CURVES = improvement_curve(ANY, ANY), pruning_curve(ANY, ANY)


def scores(value: float, resampled: np.ndarray, measure: str = "kendall_tau") -> Scores:
    return Scores("run", {measure: value}, {}, {}, *CURVES, {measure: resampled})


def method(name: str, values: list[float], origin: str = "", kind: str = "method") -> Method:
    """Runs of which every resample has the same score."""
    return Method(name, tuple(scores(v, np.full(1000, v)) for v in values), origin or name, kind)


def trained(name: str, truth: np.ndarray, counts: np.ndarray, noise: float, seeds: int, rng) -> Method:
    """Runs of one method: a bias of its own, and noise of each run."""
    runs = []
    for _ in range(seeds):
        x = truth + rng.normal(0, noise, len(truth)) * rng.uniform(0.8, 1.2)
        runs.append(scores(kendall_tau(x, truth), resampled_tau(Side(x, counts), Side(truth, counts))))
    return Method(name, tuple(runs), name)


def experiments(noises: tuple[float, float], seeds: int, times: int = 200) -> list[str | None]:
    """Which method each of many repeated experiments found better."""
    found = []
    for repeat in range(times):
        rng = np.random.default_rng(repeat)
        truth = rng.normal(size=60)
        counts = rng.multinomial(60, np.full(60, 1 / 60), 100)
        pair = [trained(name, truth, counts, n, seeds, rng) for name, n in zip("ab", noises, strict=True)]
        found.append(estimate(pair, 0.95, rng).better("kendall_tau"))
    return found


def test_equal_methods_are_seldom_told_apart() -> None:
    found = experiments((1.0, 1.0), seeds=3)
    assert sum(better is not None for better in found) <= 16  # 5% of 200 expected; more than 16 in 1.3% of cases
    assert experiments((1.0, 1.0), seeds=1, times=100).count(None) >= 80


def test_a_clearly_better_method_is_found() -> None:
    found = experiments((0.3, 2.0), seeds=3)
    assert found.count("a") >= 195
    assert found.count("b") == 0


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_seed_intervals_hold_the_truth_as_often_as_they_say(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    missed = 0
    for _ in range(600):
        pair = [method(name, list(rng.normal(0.7, 0.01, seeds))) for name in "ab"]
        missed += estimate(pair, 0.95, rng).better("kendall_tau") is not None
    assert 0.025 < missed / 600 < 0.08


def test_one_method_has_the_interval_of_student() -> None:
    values = [0.70, 0.72, 0.77]
    found = estimate([method("a", values)], 0.95, np.random.default_rng(0))
    half = stats.t.ppf(0.975, 2) * np.std(values, ddof=1) / np.sqrt(3)
    low, high = found.intervals["kendall_tau"]
    assert (low, high) == pytest.approx((0.73 - half, 0.73 + half), abs=0.003)
    assert found.spread["kendall_tau"] == pytest.approx(np.std(values, ddof=1))
    assert (found.over, found.runs, found.values["kendall_tau"]) == (BOTH, (3,), pytest.approx(0.73))
    wild = estimate([method("a", [0.2, 0.9])], 0.95, np.random.default_rng(0))
    assert wild.intervals["kendall_tau"] == (-1.0, 1.0)


def test_errors_of_seeds_have_closed_forms() -> None:
    def error(*methods: Method) -> tuple[float, float, int]:
        return seed_error(methods, [m.each("kendall_tau") for m in methods])

    a, b = method("a", [1.0, 3.0]), method("b", [2.0, 4.0, 6.0])
    spread = np.sqrt((1 + 1 + 4 + 0 + 4) / 3)
    assert error(a, b) == pytest.approx((spread, spread * np.sqrt(1 / 2 + 1 / 3), 3))
    assert error(a) == pytest.approx((np.sqrt(2), 1.0, 1))
    assert error(a, method("one", [9.0])) == pytest.approx((np.sqrt(2), np.sqrt(2) * np.sqrt(1.5), 1))
    assert error(a, method("fixed", [9.0], kind="baseline")) == pytest.approx(error(a))
    made = method("a + isomorphs", [1.5, 3.7], origin="a")
    assert error(made, a) == pytest.approx((np.std([0.5, 0.7], ddof=1), np.std([0.5, 0.7], ddof=1) / np.sqrt(2), 1))
    for unknown in (error(method("a + ensemble", [2.5], origin="a"), a), error(method("x", [1.0]), method("y", [2.0]))):
        assert np.isnan(unknown[0])
        assert unknown[1:] == (0.0, 0)


def test_ranks_are_better_when_less() -> None:
    runs = [Method(name, (scores(v, np.full(99, v), "best_rank_at_10"),), name) for name, v in (("a", 0.1), ("b", 0.2))]
    assert estimate(runs, 0.95, np.random.default_rng(0)).better("best_rank_at_10") == "a"
    assert estimate(runs[::-1], 0.95, np.random.default_rng(0)).better("best_rank_at_10") == "a"


@pytest.fixture
def reports(table: Benchmark, predicted: Predicted) -> dict[str, list[Report]]:
    """Three runs of a good method, two of a bad one, and the good one's ensemble."""
    rng = np.random.default_rng(5)

    def run(noise: float) -> Predicted:
        return replace(predicted, accuracy=predicted.accuracy + rng.normal(0, noise, 40), space=CONV.name)

    good, bad = [run(0.005) for _ in range(3)], [run(0.3) for _ in range(2)]
    every = [*good, *bad, *post_named("ensemble")(good, CONV)]
    found = score_all(every, table, bootstraps=200)
    return {"good": found[:3], "bad": found[3:5], "good + ensemble": found[5:]}


def test_a_comparison_has_methods_baselines_ceiling_and_differences(reports: dict[str, list[Report]]) -> None:
    comparison = compare(reports, {"good + ensemble": "good"})
    names = [found.names[0] for found in comparison.methods]
    advised = ["good + recommended", "bad + recommended"]
    ours, facts = [advised[0], "good", advised[1], "bad", "good + ensemble"], ["parameters", "convolutions"]
    assert names == [*ours, *facts, "digits_valid_20"]
    pairs = [found.names for found in comparison.differences]
    assert pairs[:2] == [tuple(advised), ("good", "bad")]
    processed = [(advised[0], "good"), ("good + ensemble", "good"), (advised[1], "bad")]
    assert sorted(pairs[2:5]) == sorted(processed)
    assert pairs[5:] == [(method, fact) for method in ours[:4] for fact in facts]
    found = dict(zip(pairs, comparison.differences, strict=True))
    first, made, gain = (found[pair] for pair in (("good", "bad"), ("good + ensemble", "good"), processed[0]))
    assert (gain.over, gain.runs) == (BOTH, (3, 3))
    means = {name: np.mean([r.measures["kendall_tau"] for r in each]) for name, each in reports.items()}
    assert first.values["kendall_tau"] == pytest.approx(means["good"] - means["bad"])
    assert (first.better("kendall_tau"), first.over, first.runs) == ("good", BOTH, (3, 2))
    assert made.over == ARCHITECTURES
    document = comparison.to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["differences"][1]["better"]["kendall_tau"] == "good"
    assert document["methods"]["good + recommended"]["each"][0]["kendall_tau"] == pytest.approx(
        reports["good"][0].advised[0].measures["kendall_tau"]
    )
    assert [run["kendall_tau"] for run in document["methods"]["good"]["each"]] == [
        r.measures["kendall_tau"] for r in reports["good"]
    ]
    recorded = document["protocol"]["methods"]["good + ensemble"][0]["protocol"]
    assert recorded["post"][0]["name"] == "ensemble"


def test_differences_are_paired(table: Benchmark, predicted: Predicted) -> None:
    """What all share cancels: the interval of a difference is much narrower than those of the two."""
    close = replace(predicted, accuracy=predicted.accuracy + np.random.default_rng(0).normal(0, 1e-3, 40))
    first, second = score_all([predicted, close], table, bootstraps=300)
    (_, found, *_) = compare({"a": [first], "b": [second]}).differences
    (low, high), (alone_low, alone_high) = found.intervals["kendall_tau"], first.intervals["kendall_tau"]
    assert low <= 0 <= high
    assert high - low < (alone_high - alone_low) / 4
    same = compare({"a": [first], "b": [first]}).differences[0]
    assert set(same.intervals.values()) - {(0.0, 0.0)} == set()
    assert same.better("kendall_tau") is None


def test_the_paired_interval_equals_a_slow_bootstrap(table: Benchmark, predicted: Predicted) -> None:
    rng = np.random.default_rng(3)
    other = replace(predicted, accuracy=predicted.accuracy + rng.normal(0, 0.03, 40))
    first, second = score_all([predicted, other], table, bootstraps=1000)
    slow = []
    for _ in range(1000):
        i = rng.integers(0, 40, 40)
        slow.append(kendall_tau(first.predicted[i], first.truth[i]) - kendall_tau(second.predicted[i], second.truth[i]))
    low, high = np.quantile(slow, [0.025, 0.975])
    found = compare({"a": [first], "b": [second]}).differences[1].intervals["kendall_tau"]
    assert found == pytest.approx((low, high), abs=0.15 * (high - low))


def test_reports_scored_otherwise_are_refused(table: Benchmark, predicted: Predicted) -> None:
    report = score(predicted, table, bootstraps=5)
    with pytest.raises(ValueError, match="were scored with another truth: seconds and digits_test_20"):
        compare({"a": [report], "b": [score(predicted, table, truth="seconds", bootstraps=5)]})
    with pytest.raises(ValueError, match="were scored with another intervals"):
        compare({"a": [report], "b": [score(predicted, table, bootstraps=5, seed=1)]})
    for nothing in ({}, {"a": []}):
        with pytest.raises(ValueError, match="at least one report a method"):
            compare(nothing)


def test_a_comparison_shows_itself_in_a_notebook(reports: dict[str, list[Report]]) -> None:
    comparison = compare(reports, {"good + ensemble": "good"})
    good = comparison.methods[0]
    assert good.names == ("good + recommended",)
    (low, high), tau = good.intervals["kendall_tau"], good.values["kendall_tau"]
    assert repr(comparison).startswith(
        f"<Comparison against digits_test_20 of small, Kendall's tau: good + recommended (×3) {tau:.3f} "
        f"[{low:.3f}, {high:.3f}]; good (×3)"
    )
    html = comparison._repr_html_()
    assert html.count("<table>") == 2
    assert html.count("<tr>") == 2 + len(comparison.methods) + len(comparison.differences)
    for words in ("good (×3) vs bad (×2)", "good + ensemble vs good (×3) †", "* excludes 0.", "truth digits_test_20"):
        assert words in html
    alone = compare({"only": reports["good"][:1]})
    assert alone._repr_html_().count("<table>") == (2 if alone.differences else 1)

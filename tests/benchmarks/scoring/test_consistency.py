"""Agreement of several runs: joined by architecture, correlations, intervals."""

from __future__ import annotations

import numpy as np
import pytest
from oneshot.benchmarks.scoring.consistency import CORRELATIONS, consistency
from oneshot.benchmarks.scoring.measures import kendall_tau, pearson_r, spearman_rho
from oneshot.benchmarks.scoring.predictions import Predicted

NAMES = [f"arch {i:02}" for i in range(40)]


def runs(count: int = 3, noise: float = 0.5) -> list[Predicted]:
    """Noisy views of one ranking, each in an order of its own."""
    rng = np.random.default_rng(0)
    found = []
    for number in range(count):
        order = rng.permutation(40)
        values = order / 8 + rng.normal(0, noise, 40) + 60
        found.append(Predicted([NAMES[i] for i in order], values, "own", {"seed": number}, f"seed-{number}"))
    return found


def test_pairs_are_joined_by_architecture_not_by_row() -> None:
    first, second, third = made = runs()
    found = consistency(made, bootstraps=20)
    assert [pair.runs for pair in found.pairs] == [(0, 1), (0, 2), (1, 2)]
    by_name = [dict(zip(run.archs, run.accuracy, strict=True)) for run in (first, second, third)]
    for pair in found.pairs:
        x, y = (np.array([by_name[i][name] for name in NAMES]) for i in pair.runs)
        assert pair.values["kendall_tau"] == pytest.approx(kendall_tau(x, y))
        assert pair.values["pearson_r"] == pytest.approx(pearson_r(x, y))
        assert pair.values["spearman_rho"] == pytest.approx(spearman_rho(x, y))
    taus = [pair.values["kendall_tau"] for pair in found.pairs]
    assert found.mean["kendall_tau"] == pytest.approx(np.mean(taus))
    assert found.spread["kendall_tau"] == pytest.approx(np.std(taus, ddof=1))


def test_intervals_are_the_plain_bootstrap() -> None:
    """Against resamples that are written out, one by one."""
    made = runs(2, noise=1.5)
    (pair,) = consistency(made, bootstraps=2000).pairs
    by_name = [dict(zip(run.archs, run.accuracy, strict=True)) for run in made]
    x, y = (np.array([values[name] for name in NAMES]) for values in by_name)
    rng, slow = np.random.default_rng(5), {name: [] for name in CORRELATIONS}
    for _ in range(2000):
        drawn = rng.integers(40, size=40)
        for name, measure in zip(CORRELATIONS, (kendall_tau, pearson_r, spearman_rho), strict=True):
            slow[name].append(measure(x[drawn], y[drawn]))
    for name in CORRELATIONS:
        assert pair.intervals[name] == pytest.approx(np.quantile(slow[name], [0.025, 0.975]), abs=0.03)
        assert pair.intervals[name][0] < pair.values[name] < pair.intervals[name][1]


def test_runs_that_share_some_architectures_are_compared_on_these() -> None:
    first, second = runs(2)
    part = Predicted(first.archs[:7], first.accuracy[:7], name="part")
    found = consistency([second, part], bootstraps=5)
    assert set(found.runs[0].archs) == set(first.archs[:7])
    assert found.runs[0].archs == found.runs[1].archs


def test_what_cannot_be_compared() -> None:
    first, second = runs(2)
    few = Predicted([*first.archs[:1], "x", "y"], np.arange(3.0), name="few")
    with pytest.raises(ValueError, match=r"at least 3 architectures that all predict, got 1 \(seed-0 40, few 3\)"):
        consistency([first, few])
    other = Predicted(second.archs, second.accuracy, "other", name="theirs")
    with pytest.raises(ValueError, match="runs of one search space, got seed-0 of own, theirs of other"):
        consistency([first, other])
    with pytest.raises(ValueError, match="at least two runs, got 1"):
        consistency([first])


def test_one_pair_has_no_spread_and_a_constant_no_correlation() -> None:
    first = runs(1)[0]
    flat = Predicted(first.archs, np.ones(40), name="flat")
    document = consistency([first, flat], bootstraps=5).to_dict()
    assert document["pairs"][0]["kendall_tau"] is None
    assert document["spread_of_pairs"]["pearson_r"] is None


def test_it_shows_itself_in_a_notebook() -> None:
    found = consistency(runs(2), bootstraps=20)
    tau, (low, high) = found.pairs[0].values["kendall_tau"], found.pairs[0].intervals["kendall_tau"]
    assert repr(found) == (
        f"<Consistency on 40 architectures, Kendall's tau: seed-0, seed-1 {tau:.3f} [{low:.3f}, {high:.3f}]>"
    )
    html = found._repr_html_()
    assert html.count("<tr>") == 3
    assert f"{tau:.3f}".removeprefix("0") in html
    assert "40 architectures; brackets: 95% intervals" in html

"""Figures show the numbers of the report."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from oneshot.benchmarks.reporting.plots import bulk, improvement_figure, pruning_figure, save, scatter_figure
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.result import Report
from oneshot.benchmarks.scoring.score import score
from oneshot.benchmarks.table import Benchmark


@pytest.fixture
def runs(table: Benchmark, predicted: Predicted) -> list[Report]:
    rng = np.random.default_rng(0)
    noisy = [replace(predicted, accuracy=predicted.accuracy + rng.normal(0, 0.02, 40)) for _ in range(3)]
    return [score(run, table, bootstraps=10) for run in noisy]


def test_improvement_draws_every_predictor_down_to_ten(runs: list[Report]) -> None:
    figure = improvement_figure(runs[0])
    figure.canvas.draw()
    axes = figure.axes[0]
    assert len(axes.lines) == len(runs[0].everyone)
    x, y = axes.lines[0].get_data()
    curve = runs[0].method.improvement
    np.testing.assert_array_equal(x, curve.remaining[curve.remaining >= 10])
    np.testing.assert_array_equal(y, curve.accuracy[curve.remaining >= 10])
    assert axes.get_xlim()[0] > axes.get_xlim()[1]
    right = axes.child_axes[0]
    low, high = axes.get_ylim()
    mean, best = runs[0].truth.mean(), curve.best
    assert right.get_ylim() == pytest.approx([(low - mean) / (best - mean), (high - mean) / (best - mean)])
    assert "digits_test_20, %" in axes.get_ylabel()
    assert len({line.get_color() for line in axes.lines}) == len(axes.lines), "two predictors have one colour"


def test_several_runs_are_a_mean_in_a_band(runs: list[Report]) -> None:
    for at, figure, values in (
        (0, improvement_figure(runs), [run.method.improvement.accuracy[:31] for run in runs]),
        (1, pruning_figure(runs), [run.method.pruning.kendall_tau for run in runs]),
    ):
        axes = figure.axes[0]
        np.testing.assert_allclose(np.asarray(axes.lines[at].get_ydata()), np.mean(values, axis=0))
        band = np.asarray(axes.collections[0].get_paths()[0].vertices)[:, 1]
        assert band.max() == pytest.approx((np.mean(values, axis=0) + np.std(values, axis=0, ddof=1)).max())
        assert "mean of 3 runs" in figure.legends[0].get_texts()[0].get_text()


def test_methods_by_name_are_a_line_each_beside_the_ceiling(runs: list[Report]) -> None:
    axes = improvement_figure({"one": runs[:1], "$two_": runs[1:]}).axes[0]
    assert len(axes.lines) == 3
    assert len({str(line.get_color()) for line in axes.lines}) == 3
    np.testing.assert_allclose(np.asarray(axes.lines[0].get_ydata()), runs[0].method.improvement.accuracy[:31])
    texts = [text.get_text() for text in axes.figure.legends[0].get_texts()]
    assert texts[:2] == ["one", r"\$two_ (×2)"]
    assert texts[2].startswith("ceiling")


def test_reports_of_other_sizes_have_no_common_curve(runs: list[Report], table: Benchmark) -> None:
    other = score(Predicted(table.strings, table.values("seconds")), table, bootstraps=5)
    with pytest.raises(ValueError, match="reports of 40 and 64 architectures have no common curve"):
        improvement_figure([runs[0], other])
    with pytest.raises(ValueError, match="at least one report"):
        pruning_figure([])


def test_scatter_has_one_point_an_architecture(runs: list[Report]) -> None:
    points = scatter_figure(runs[0]).axes[0].collections[0].get_offsets()
    drawn = {tuple(point) for point in np.asarray(points).round(9)}
    assert drawn == set(zip(runs[0].predicted.round(9), runs[0].truth.round(9), strict=True))


def test_scatter_keeps_the_bulk_apart_and_counts_what_is_beyond(runs: list[Report]) -> None:
    report = runs[0]
    plain = scatter_figure(report).axes[0]
    assert "beyond" not in plain.get_title()
    assert plain.get_autoscalex_on()
    assert plain.get_autoscaley_on()
    truth, predicted = report.truth.copy(), report.predicted.copy()
    truth[:2], predicted[[1, 2]] = 10.0, (-1e6, 1e6)  # never learned; never learned and diverged; diverged
    axes = scatter_figure(replace(report, truth=truth, predicted=predicted)).axes[0]
    assert "3 of them beyond the axes" in axes.get_title()
    (left, right), bottom = axes.get_xlim(), axes.get_ylim()[0]
    assert bottom == pytest.approx(truth[2:].min() - 0.05 * np.ptp(truth[2:]))
    assert right - left == pytest.approx(1.1 * np.ptp(predicted[[0, *range(3, 40)]]))
    bulk_drawn, below, right_of = (np.asarray(each.get_offsets()) for each in axes.collections)
    assert len(bulk_drawn) == 37
    assert below[:, 1].tolist() == [bottom, bottom]
    assert below[:, 0].tolist() == [predicted[0], left]
    assert right_of.tolist() == [[right, truth[2]]]


def test_the_bulk_is_within_three_interquartile_ranges_of_the_quartiles() -> None:
    values = np.arange(101.0)  # quartiles 25 and 75, fences -125 and 225
    assert bulk(np.append(values, [-125, 225])) == (-125, 225)
    assert bulk(np.append(values, [-140, 240, np.inf, np.nan])) == (0, 100)
    assert bulk(np.array([1.0, 1, 1, 1, 9])) == (1, 9)
    assert bulk(np.array([np.nan])) == (0, 0)


def test_hostile_names_and_constant_predictions_still_draw(
    table: Benchmark, predicted: Predicted, tmp_path: Path
) -> None:
    report = score(replace(predicted, name="_a$b$ <c>", accuracy=np.ones(40)), table, bootstraps=5)
    for i, figure in enumerate((improvement_figure(report), pruning_figure(report), scatter_figure(report))):
        png, svg = save(figure, tmp_path / str(i))
        assert png.read_bytes().startswith(b"\x89PNG")
        ET.parse(svg)
    assert "_a$b$ &lt;c&gt;" in (tmp_path / "0.svg").read_text()


def test_saved_figures_are_reproducible_and_leave_nothing_else(runs: list[Report], tmp_path: Path) -> None:
    first = [path.read_bytes() for path in save(improvement_figure(runs[0]), tmp_path / "v1.5")]
    second = [path.read_bytes() for path in save(improvement_figure(runs[0]), tmp_path / "v1.5")]
    assert first == second
    assert sorted(path.name for path in tmp_path.glob("v*")) == ["v1.5.png", "v1.5.svg"]

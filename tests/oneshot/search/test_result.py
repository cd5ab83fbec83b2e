"""What a search leaves: settings, result, candidates and figures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oneshot.samplers.uniform import Uniform
from oneshot.search.base import Task
from oneshot.search.figures import front_figure, progress_figure
from oneshot.search.random import Random
from oneshot.search.result import begin, document, write
from oneshot.spaces.nasbench201 import CONV
from tests.oneshot.search.formula import Formula

SETTINGS = {"algorithm": {"name": "random", "population": 10}, "seed": 0, "limits": {}}


@pytest.fixture
def task() -> Task:
    measures = {"params": lambda arch: 1e6 * sum(arch), "ms": lambda arch: float("nan")}
    task = Task(Formula(CONV, lambda arch: 90.0 + sum(arch) - 2 * arch[0]), measures, ("params",))
    Random(10, 3)(task, Uniform(CONV), np.random.default_rng(0))
    return task


def test_files(task: Task, tmp_path: Path) -> None:
    begin(tmp_path / "found", SETTINGS)
    write(tmp_path / "found", task, document(task, SETTINGS))
    written = json.loads((tmp_path / "found" / "result.json").read_text())
    assert written == document(task, SETTINGS)
    assert written["best"]["accuracy"] == max(c.predicted for c in task.found)
    assert written["best"]["ms"] is None
    assert [CONV.parse(row["arch"]) for row in written["front"]] == [c.arch for c in task.front()]
    assert (written["candidates"], written["evaluations"]) == (30, 30)
    rows = pd.read_parquet(tmp_path / "found" / "candidates.parquet")
    assert rows["arch"].tolist() == [CONV.format(c.arch) for c in task.found]
    assert rows["generation"].tolist() == [0] * 10 + [1] * 10 + [2] * 10
    assert list(rows.columns) == list(task.frame().columns) == ["arch", "accuracy", "params", "ms", "generation"]


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    begin(tmp_path / "found", SETTINGS)
    begin(tmp_path / "found", SETTINGS)
    other = {"algorithm": {"name": "nsga2", "population": 10}, "seed": 1, "limits": {}}
    with pytest.raises(ValueError, match=r"algorithm.name 'random' there, 'nsga2' now; seed 0 there, 1 now; choose"):
        begin(tmp_path / "found", other)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(ValueError, match="is not empty and holds no search"):
        begin(tmp_path / "mine", SETTINGS)
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.tex"]


def test_the_progress_figure_never_falls(task: Task) -> None:
    axes = progress_figure(task).axes[0]
    best = np.asarray(axes.lines[0].get_ydata())
    assert np.all(np.diff(best) >= 0)
    assert best[-1] == task.best().predicted
    assert np.shape(axes.collections[0].get_offsets()) == (len(task.found), 2)


def test_the_front_figure_shows_the_front_and_says_what_it_cuts_off(task: Task) -> None:
    task.evaluator.accuracy = lambda arch: 5.0  # pyright: ignore[reportAttributeAccessIssue]
    new = next(arch for arch in CONV if not task.evaluated(arch))
    task.evaluate([new], 3)
    figure = front_figure(task, "params")
    points = sorted((c.costs[0] / 1e6, c.predicted) for c in task.front())
    line = figure.axes[0].lines[0]
    assert np.asarray(line.get_xdata()) == pytest.approx([x for x, _ in points])
    assert np.asarray(line.get_ydata()) == pytest.approx([y for _, y in points])
    assert "candidates (1 below the axis)" in [text.get_text() for text in figure.legends[0].get_texts()]
    low, high = figure.axes[0].get_ylim()
    assert 5.0 < low <= points[0][1] <= points[-1][1] <= high

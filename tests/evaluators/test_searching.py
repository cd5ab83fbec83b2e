"""A search in one call: of a run, its folder, a table, an evaluator."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oneshot.evaluators.supernet import of_run
from oneshot.evaluators.table import TableEvaluator

import oneshot
from oneshot.runs.config import Config
from oneshot.training.recipe import Recipe

CONFIG = Config.of(space="nasbench201-conv", dataset="digits", split="half", channels=2, cells=1)
RECIPE = Recipe(epochs=1, batch_size=324, shift=0, flip=False)


def test_a_run_and_its_folder_are_searched_alike(tmp_path: Path) -> None:
    run = oneshot.fit(CONFIG, RECIPE, tmp_path / "run", quiet=True)
    search = oneshot.Nsga2(population=4, generations=2)
    found = oneshot.run_search(run, search, ["params"], norm="batch")
    again = oneshot.run_search(tmp_path / "run", search, ["params"], norm="batch")
    assert found.found == again.found
    first = found.found[0]
    assert first.predicted == of_run(run, norm="batch")([first.arch]).predicted[0]
    cost = run.space.cost(first.arch, **run.size)  # of this run's network, not the published one
    assert dict(zip(found.measures, first.costs, strict=True)) == {"params": cost.params, "macs": cost.mflops}


def test_a_table_is_searched_among_what_it_has() -> None:
    table = oneshot.table("nasbench201-digits")
    own = {"convolutions": lambda arch: float(table.space.format(arch).count("conv"))}
    algorithm = oneshot.Evolution(population=20, generations=3, top=5, mutations=10, crossovers=10)
    found = oneshot.run_search(table, algorithm, costs=own, limits={"convolutions": 3}, seed=1)
    values = table.values(table.default_truth())
    for candidate in found.found:
        assert candidate.predicted == values[table.rows_of([candidate.arch])[0]]
        assert own["convolutions"](candidate.arch) <= 3
    by_evaluator = oneshot.run_search(TableEvaluator(table), algorithm, costs=own, limits={"convolutions": 3}, seed=1)
    assert by_evaluator.found == found.found


def test_a_search_shows_its_front_or_its_best() -> None:
    table = oneshot.table("nasbench201-digits")
    front = oneshot.run_search(table, oneshot.Nsga2(population=20, generations=2), ["params"])
    page = front._repr_html_()
    assert page.count("<tr>") == 1 + len(front.front())
    assert "params (M)" in page
    assert repr(front) == f"<Task: the front of accuracy against params, of {front.evaluations} evaluated>"
    best = oneshot.run_search(table, oneshot.RandomSearch(population=20, generations=1))
    assert best._repr_html_().count("<tr>") == 1 + 10
    assert best.rows()[1][0] == table.space.format(best.best().arch)


def test_what_is_refused() -> None:
    table, search = oneshot.table("nasbench201-digits"), oneshot.Nsga2(population=4, generations=1)
    with pytest.raises(ValueError, match="no measure 'watts' to search by; there are params, macs"):
        oneshot.run_search(table, search, ["watts"])
    with pytest.raises(ValueError, match="needs a measure besides accuracy"):
        oneshot.run_search(table, search)
    found = oneshot.run_search(table, search, ["params"])
    with pytest.raises(ValueError, match="no measure 'watts' to draw; there are params, macs"):
        oneshot.plot_front(found, "watts")


def test_samples_are_different_architectures() -> None:
    space = oneshot.SPACES["nasbench201-conv"]
    archs = oneshot.sample(space, 20, np.random.default_rng(0))
    assert len(set(archs)) == 20
    assert all(space.allows(arch) for arch in archs)

"""The study of the methods: its plans keep their budgets, and its page says what its searches found."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest
from oneshot.benchmarks.table import find_table

from oneshot.cli import main
from oneshot.runs.config import configured
from oneshot.spaces.nasbench201 import ALL

RESULTS = Path(__file__).resolve().parent.parent / "docs" / "results"


@pytest.fixture
def study(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(RESULTS))
    for name in ("methods", "methods_measures", "methods_plans", "methods_tables"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    import methods  # pyright: ignore[reportMissingImports]

    return methods


def plans() -> Any:
    sys.path.insert(0, str(RESULTS))
    try:
        import methods_plans  # pyright: ignore[reportMissingImports]

        return methods_plans
    finally:
        sys.path.remove(str(RESULTS))


@pytest.mark.parametrize("name", plans().METHODS)
def test_a_plan_keeps_its_budget_and_can_be_trained(name: str) -> None:
    p = plans()
    entry = p.METHODS[name]
    for passes in (p.IMAGES, 3 * p.IMAGES):
        plan = entry.plan(passes)
        assert plan.images == pytest.approx(passes * p.STEPS * p.BATCH, rel=0.04)
        configured({**p.COMMON, **plan.settings})
    configured({**p.COMMON, **entry.plan(1.0).settings})  # however little


@pytest.mark.parametrize("name", plans().METHODS)
def test_the_papers_own_commands_are_commands(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(plans().METHODS[name].paper)
    with pytest.raises(SystemExit) as end:
        main(["train", *words, "--dataset", "cifar10", "--out", "never", "--print_config"])
    assert end.value.code == 0
    assert "epochs:" in capsys.readouterr().out


def test_all_methods_of_a_seed_come_before_the_next(study: Any) -> None:
    each = list(study.jobs(["images", "seconds"], [0, 1], ["spos", "gdas"]))
    assert [(job.budget, job.seed, job.method) for job in each[:4]] == [
        ("images", 0, "spos"), ("images", 0, "gdas"), ("images", 1, "spos"), ("images", 1, "gdas"),
    ]  # fmt: skip
    assert {job.budget for job in each[4:]} == {"seconds"}


def test_seconds_are_counted_by_what_images_cost(study: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(study, "FOUND", tmp_path / "none.parquet")
    job = study.Job("seconds", "gdas", 1)
    with pytest.raises(ValueError, match="gdas by seconds needs a search by images before it"):
        job.plan(tmp_path)
    before = study.Job("images", "gdas", 0).folder(tmp_path)
    before.mkdir()
    (before / "row.json").write_text('{"seconds": 50.0}')
    assert job.plan(tmp_path).settings["epochs"] == round(study.IMAGES * study.SECONDS / 50.0 / 2)


def test_the_page_says_what_the_searches_found(study: Any, real_data: Path) -> None:
    import methods_tables as tables  # pyright: ignore[reportMissingImports]

    texts = [path.read_text() for path in tables.PAGES]
    assert [tables.page(text, tables.found()) for text in texts] == texts
    named = {block[1] for text in texts for block in tables.BLOCK.finditer(text)}
    assert set(tables.blocks(tables.found())) == named


@pytest.mark.parametrize("name", ["gdas", "vaenas-os"])
def test_a_search_that_was_stopped_finds_the_same(
    study: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, real_data: Path, name: str
) -> None:
    """On digits, a kill after the first epoch, before which nothing is saved and after which all is."""
    small = {**study.COMMON, "dataset": "digits", "image_size": 8, "channels": 2, "shift": 0, "flip": False}
    for key, value in {"COMMON": small, "IMAGES": 3.0, "FOUND": tmp_path / "none.parquet"}.items():
        monkeypatch.setattr(study, key, value)
    monkeypatch.setattr(sys.modules["methods_measures"], "RANKED", 8)
    monkeypatch.setattr("oneshot.runs.recording.CHECKPOINT_SECONDS", 0)
    table, job = find_table("nasbench201", real_data, ALL), study.Job("images", name, 0)
    whole = study.work(job, tmp_path / "whole", table)
    append = study.append_line

    def killed(path: Path, line: str) -> None:
        append(path, line)
        raise KeyboardInterrupt

    monkeypatch.setattr(study, "append_line", killed)
    with pytest.raises(KeyboardInterrupt):
        study.work(job, tmp_path / "stopped", table)
    monkeypatch.setattr(study, "append_line", append)
    again = study.work(job, tmp_path / "stopped", table)
    assert len(again["course"]) == whole["epochs"] > 1
    timed = {"seconds", "searched"}
    assert {k: v for k, v in again.items() if k not in timed} == {k: v for k, v in whole.items() if k not in timed}
    assert whole["cifar10"] == table.row(whole["arch"], ["cifar10_test_200"])["cifar10_test_200"]

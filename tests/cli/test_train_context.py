"""Weights that depend on earlier choices, from the command line."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from oneshot.cli import main

TINY = "--preset demo --channels 2 --epochs 2 --batch-size 324"


def oneshot(text: str) -> int:
    return main(shlex.split(text))


def fails(capsys: pytest.CaptureFixture[str], text: str, *words: str) -> None:
    """Exit code 2, one message that says so, and no traceback."""
    try:
        code = oneshot(text)
    except SystemExit as stop:  # the parser's own way
        code = stop.code
    error = capsys.readouterr().err
    assert code == 2
    assert all(word in error for word in words), error
    assert "Traceback" not in error


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "base"
    assert oneshot(f"train {TINY} --out {path}") == 0
    return path


@pytest.mark.parametrize("options", ["--context bias --depth 2 --priors graph", "--context split --split-epoch 1"])
def test_train_and_predict(options: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert oneshot(f"train {TINY} {options} --out {run}") == 0
    config = json.loads((run / "config.json").read_text())
    assert config["context"] in (
        {"name": "bias", "depth": 2, "priors": "graph"},
        {"name": "split", "split_epoch": 1, "priors": "order"},
    )
    for mode in ("inherit", "ema-2"):
        capsys.readouterr()
        assert oneshot(f"predict {run} --sample 3 --batch-norm {mode} --json") == 0
        document = json.loads(capsys.readouterr().out)
        assert document["protocol"]["configuration"]["context"] == config["context"]


def test_init_from(
    base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "bias"
    monkeypatch.chdir(base.parent)
    assert oneshot(f"train {TINY} --context bias --init-from {base.name} --out {run}") == 0
    assert json.loads((run / "config.json").read_text())["init_from"] == str(base)
    assert oneshot(f"train {TINY} --context bias --init-from {base} --out {run}") == 0  # finished: nothing to do
    fails(
        capsys,
        f"train {TINY} --init-from {tmp_path / 'no'} --out {tmp_path / 'x'}",
        "is no run folder: it has no config.json",
    )
    assert not (tmp_path / "x").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--context bias --depth 6", ["depth must be from 1 to 5 for 6 choices, got 6"]),
        ("--context split", ["split_epoch must lie inside the 2 epochs", "got 125"]),
        ("--context split --split-epoch 2", ["split_epoch must lie inside the 2 epochs", "got 2"]),
        ("--split-epoch 1", ["split_epoch is a setting of context split"]),
        ("--context twist", ["no context 'twist'; there are none, bias"]),
    ],
)
def test_bad_input(options: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, f"train {TINY} {options} --out {tmp_path / 'run'}", *words)
    assert not (tmp_path / "run").exists()


def test_a_run_of_another_context_is_not_continued(base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, f"train {TINY} --context bias --out {base}", "another configuration: context.depth None there, 1 now")

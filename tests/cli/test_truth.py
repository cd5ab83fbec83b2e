"""From import to score, search and service: the truth is the one that was named."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from oneshot.cli import main
from oneshot.spaces.nasbench201 import CONV

ARCHS = [CONV.format(arch) for arch in CONV]
SEARCH = "--algorithm random --population 8 --generations 1 --json"


def oneshot(text: str) -> int:
    return main(shlex.split(text))


def fails(capsys: pytest.CaptureFixture[str], text: str, *words: str) -> None:
    assert oneshot(text) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert all(word in error for word in words), error


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with `results.csv`, a mean and its three seeds, and `mean.csv`, which predicts the mean."""
    seeds = 90 + np.random.default_rng(0).normal(size=(64, 3))
    columns = {f"cifar10_test_{seed}": seeds[:, seed] for seed in range(3)}
    table = pd.DataFrame({"arch": ARCHS, "cifar10_test": seeds.mean(1), **columns, "note": "x"})
    table.to_csv(tmp_path / "results.csv", index=False)
    table[["arch", "cifar10_test"]].set_axis(["arch", "accuracy"], axis=1).to_csv(tmp_path / "mean.csv", index=False)
    return tmp_path


def imported(files: Path, options: str = "") -> str:
    assert oneshot(f"benchmark import {files / 'mine.parquet'} {files / 'results.csv'} {options}") == 0
    return str(files / "mine.parquet")


def test_an_undeclared_truth_is_asked_for(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = imported(files)
    candidates = "cifar10_test, cifar10_test_0, cifar10_test_1, cifar10_test_2"
    assert f"no truth is declared; it could be {candidates}: --truth COLUMN" in capsys.readouterr().out
    for command in (f"score {files / 'mean.csv'}", f"search {SEARCH}"):
        fails(capsys, f"{command} --benchmark {table}", f"{candidates} could each be it", "--truth COLUMN")
    assert oneshot(f"score {files / 'mean.csv'} --benchmark {table} --truth cifar10_test --json") == 0
    assert json.loads(capsys.readouterr().out)["kendall_tau"] == pytest.approx(1)
    assert oneshot(f"benchmark show {table}") == 0
    out = capsys.readouterr().out
    assert candidates in out
    assert "largest" not in out
    assert oneshot(f"benchmark show {table} --json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["truth"], shown["truth_candidates"]) == (None, candidates.split(", "))


def test_a_declared_truth_is_the_one_that_is_used(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = imported(files, "--truth cifar10_test --seeds 'cifar10_test_{seed}'")
    assert "\ntruth cifar10_test, seeds 0 1 2\n" in capsys.readouterr().out
    assert oneshot(f"score {files / 'mean.csv'} --benchmark {table} --json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["kendall_tau"], document["protocol"]["truth"]) == (pytest.approx(1), "cifar10_test")
    assert oneshot(f"score {files / 'mean.csv'} --benchmark {table} --truth-seed 2") == 0
    out = capsys.readouterr().out
    assert "truth cifar10_test_2, protocol predicted" in out
    assert " with cifar10_test_2 on 64 architectures" in out
    assert oneshot(f"search --benchmark {table} {SEARCH}") == 0
    assert json.loads(capsys.readouterr().out)["settings"]["evaluator"]["truth"] == "cifar10_test"
    assert oneshot(f"benchmark show {table}") == 0
    out = capsys.readouterr().out
    assert "largest cifar10_test: |" in out
    assert "3 columns of single trainings" in out
    assert oneshot(f"benchmark query {table} '{ARCHS[0]}' --json") == 0
    assert list(json.loads(capsys.readouterr().out)[0]) == ["arch", "cifar10_test"]


def test_a_service_asks_for_the_truth_before_it_starts(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = imported(files)
    tiny = "--preset demo --space nasbench201-conv --channels 2 --epochs 1 --batch-size 324"
    assert oneshot(f"train {tiny} --out {files / 'run'}") == 0
    capsys.readouterr()
    fails(capsys, f"serve {files / 'run'} --benchmark {table} --port 0", "could each be it", "--truth COLUMN")


def test_bad_roles(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = f"benchmark import {files / 'mine.parquet'} {files / 'results.csv'}"
    fails(capsys, f"{command} --truth acc", "the truth 'acc' of mine is none of its columns")
    fails(capsys, f"{command} --truth note", "the truth 'note' of mine holds no numbers")
    fails(capsys, f"{command} --seeds 'x_{{seed}}'", "no column of mine matches 'x_{seed}'")
    fails(capsys, f"{command} --seeds x", "a pattern with one {seed}", "got 'x'")
    assert not (files / "mine.parquet").exists()

"""`oneshot score --self`: run folders, files, both, and what is refused."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest

from oneshot.cli import main

TINY = "--preset demo --channels 2 --epochs 1 --batch-size 324"
HOW = "--batch-norm batch --bootstraps 20 --json"


def oneshot(text: str) -> int:
    return main(shlex.split(text))


def fails(capsys: pytest.CaptureFixture[str], text: str, *words: str) -> None:
    """Exit code 2, one message that says so, and no traceback."""
    assert oneshot(text) == 2
    error = capsys.readouterr().err
    assert all(word in error for word in words), error
    assert "Traceback" not in error


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    folder = tmp_path_factory.mktemp("runs")
    for seed in (0, 1):
        assert oneshot(f"train {TINY} --seed {seed} --out {folder / f'run-{seed}'}") == 0
    return [folder / "run-0", folder / "run-1"]


def test_run_folders_on_a_common_sample(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"score --self {runs[0]} {runs[1]} --sample 6 --sample-seed 3"
    capsys.readouterr()
    assert oneshot(f"{words} {HOW} --out {tmp_path / 'report'}") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["protocol"]["architectures"] == 6
    assert [run["protocol"]["batch_norm"] for run in document["protocol"]["runs"]] == ["batch", "batch"]
    assert [run["protocol"]["configuration"]["seed"] for run in document["protocol"]["runs"]] == [0, 1]
    assert json.loads((tmp_path / "report" / "consistency.json").read_text()) == document
    for seed, run in enumerate(runs):  # the same as by way of files
        command = f"predict {run} --sample 6 --seed 3 --batch-norm batch --out {tmp_path / f'{seed}.parquet'}"
        assert oneshot(command) == 0
    capsys.readouterr()
    assert oneshot(f"score --self {tmp_path / '0.parquet'} {tmp_path / '1.parquet'} {HOW}") == 0
    assert json.loads(capsys.readouterr().out)["pairs"][0]["pearson_r"] == document["pairs"][0]["pearson_r"]
    assert oneshot(f"score --self {tmp_path / '0.parquet'} {runs[1]} {HOW}") == 0  # predicts what the file holds
    assert json.loads(capsys.readouterr().out)["pairs"][0]["pearson_r"] == document["pairs"][0]["pearson_r"]
    assert oneshot(f"{words} --batch-norm batch --bootstraps 20") == 0
    assert "self-consistency, 6 architectures" in capsys.readouterr().out


def test_what_is_refused(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame({"arch": ["a", "b", "c"], "accuracy": [1, 2, 3]}).to_csv(tmp_path / "a.csv", index=False)
    pd.DataFrame({"arch": ["c", "d", "e"], "accuracy": [1, 2, 3]}).to_csv(tmp_path / "b.csv", index=False)
    assert oneshot(f"train {TINY} --space nasbench201-conv --out {tmp_path / 'conv'}") == 0
    capsys.readouterr()
    fails(capsys, f"score --self {tmp_path / 'a.csv'} {tmp_path / 'b.csv'}", "architectures that all predict, got 1")
    fails(capsys, f"score --self {runs[0]} {tmp_path / 'conv'}", "of nasbench201,", "conv of nasbench201-conv")
    fails(capsys, f"score --self {runs[0]}", "at least two run folders or files, got 1")
    fails(capsys, f"score --self {runs[0]} {tmp_path}", "is no run folder")
    fails(capsys, f"score --self {runs[0]} {runs[1]} --benchmark x", "it takes no --benchmark")
    fails(capsys, f"score --self {runs[0]} {runs[1]} --sample -1", "--sample must be at least 0, got -1")
    fails(capsys, f"score --self {runs[0]} {runs[1]} --by arch", "by accuracy or loss, got --by arch")
    fails(capsys, f"score {tmp_path / 'a.csv'}", "expected --benchmark", "or --self")

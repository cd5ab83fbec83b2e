"""Tables as people bring them, through the command line: forms, names of columns, markup, and what has no number."""

from __future__ import annotations

import gzip
import json
import math
import shlex
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oneshot.evaluators.base import Prediction, Predictions

from oneshot.cli import main
from oneshot.spaces.nasbench201 import CONV

ARCHS = [CONV.format(arch) for arch in CONV][:40]


def oneshot(text: str) -> int:
    return main(shlex.split(text))


def fails(capsys: pytest.CaptureFixture[str], text: str, *words: str) -> None:
    assert oneshot(text) == 2
    error = capsys.readouterr().err
    assert len(error.strip().splitlines()) == 1
    assert len(error) < 2500
    assert all(word in error for word in words), error


@pytest.fixture
def folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """With `table.parquet`, whose truth is the row, and `guess.csv`, near it, of columns with other names."""
    truth = np.linspace(60, 95, 40)
    pd.DataFrame({"cell": ARCHS, "test": truth, "acc[/b]x": truth}).to_csv(tmp_path / "t.csv", sep="\t", index=False)
    guess = truth + np.random.default_rng(0).normal(0, 4, 40)
    pd.DataFrame({"cell": ARCHS, "acc": guess}).to_csv(tmp_path / "guess.csv", sep=";", decimal=",", index=False)
    assert oneshot(f"benchmark import {tmp_path}/table.parquet {tmp_path}/t.csv --arch-column cell") == 0
    capsys.readouterr()
    return tmp_path


def scored(folder: Path, file: str, capsys: pytest.CaptureFixture[str], options: str = "") -> dict:
    capsys.readouterr()
    how = f"--benchmark {folder}/table.parquet --no-baselines --bootstraps 20 --json"
    assert oneshot(f"score {folder}/{file} {how} {options}") == 0
    return json.loads(capsys.readouterr().out)


def test_columns_have_the_names_that_are_said(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = scored(folder, "guess.csv", capsys, "--arch-column cell --accuracy-column acc")
    assert 0.6 < found["kendall_tau"] < 1
    assert found["protocol"]["predictions"]["protocol"]["ranked_by"] == "acc"
    frame = pd.read_csv(folder / "guess.csv", sep=";", decimal=",").set_axis(["arch", "accuracy"], axis=1)
    (folder / "p.json.gz").write_bytes(gzip.compress(json.dumps(dict(frame.to_numpy().tolist())).encode()))
    assert scored(folder, "p.json.gz", capsys)["kendall_tau"] == found["kendall_tau"]
    table = f"--benchmark {folder}/table.parquet"
    fails(capsys, f"score {folder}/guess.csv {table}", "no column 'accuracy'", "cell, acc", "--accuracy-column")
    fails(capsys, f"score {folder}/guess.csv {table} --by acc", "no column 'arch'", "--arch-column")
    both = "--by loss --accuracy-column acc"
    fails(capsys, f"score {folder}/guess.csv {table} --arch-column cell {both}", "name two columns; say one")


def test_names_are_shown_as_they_are(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    strange = folder / "d[" / "b]"
    strange.mkdir(parents=True)
    (folder / "table.parquet").rename(strange / "t.parquet")
    assert oneshot(f"benchmark show '{strange}/t.parquet'") == 0
    out = "".join(capsys.readouterr().out.split())
    assert "acc[/b]x" in out
    assert "d[/b]/t.parquet" in out
    fails(capsys, f"benchmark show '{strange}/gone.parquet'", "d[/b]/gone.parquet")


def test_messages_are_not_endless(capsys: pytest.CaptureFixture[str], folder: Path) -> None:
    fails(capsys, f"benchmark query {folder}/table.parquet {'x' * 20_000}", "characters)")
    wide = pd.DataFrame({f"column-{i}": [1] for i in range(5000)})
    wide.to_csv(folder / "wide.csv", index=False)
    fails(capsys, f"benchmark import {folder}/w.parquet {folder}/wide.csv", "no column 'arch'", "and 4980 more")


def test_what_has_no_number_is_left_out_with_a_word(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    values = [Prediction(float(50 + i), 1.0, 64) for i in range(40)]
    values[7] = Prediction.failed("its logits are not finite on 3 of 64 images", 64)
    Predictions(CONV, tuple(map(CONV.parse, ARCHS)), tuple(values), {"evaluator": "supernet"}).save(
        folder / "p.parquet"
    )
    found = scored(folder, "p.parquet", capsys)
    assert math.isclose(found["kendall_tau"], 1)
    assert found["protocol"]["architectures"]["scored"] == 39
    assert "1 of 40 architectures without a prediction" in found["protocol"]["predictions"]["notes"][0]

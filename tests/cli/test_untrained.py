"""`--evaluator NAME --space NAME`: predicted, kept, searched, served and scored without a run; and refused."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pandas as pd
import pytest
from oneshot.evaluators.store import Stored

from oneshot.testing import small_score
from tests.cli.test_commands import DEEP, fails, oneshot
from tests.cli.test_serve import ask, serving

TINY = "--space nasbench201 --channels 4 --dataset digits --batch 4"
SYNFLOW = "--evaluator synflow --space nasbench201 --channels 4 --image-size 8"


def test_scores_are_predicted_kept_and_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out, store = tmp_path / "p.parquet", tmp_path / "s.sqlite"
    words = f"predict --evaluator naswot {TINY} --sample 12 --store {store} --out {out}"
    assert oneshot(words) == 0
    assert "naswot score" in (printed := capsys.readouterr().out)
    assert "%" not in printed
    found = pd.read_parquet(out)
    assert list(found) == ["arch", "score", "images"]
    with closing(sqlite3.connect(store)) as connection:
        rows = dict(connection.execute("SELECT arch, score FROM scores"))
        connection.execute("UPDATE scores SET score = 7")
        connection.commit()
    assert rows == dict(zip(found.arch, found.score, strict=True))
    assert oneshot(f"{words} --json") == 0
    again = json.loads(capsys.readouterr().out)
    assert [row["score"] for row in again["predictions"]] == [7.0] * 12  # nothing was computed twice
    assert again["protocol"]["network"] == {"name": "nasbench201", "channels": 4, "cells": 1, "pool_conv": False}
    assert again["protocol"]["settings"]["batch"] == 4
    assert "recommended" not in again
    assert oneshot(f"{words} --next 3 --next-out {tmp_path / 'next.txt'} --show 0") == 0
    assert len((tmp_path / "next.txt").read_text().split()) == 3


def test_a_file_of_scores_is_scored(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "p.parquet"
    assert oneshot(f"predict --evaluator az-complexity {SYNFLOW[19:]} --sample 300 --out {out}") == 0
    capsys.readouterr()
    few = [row for row in pd.read_parquet(out).arch]
    table = tmp_path / "t.csv"
    pd.DataFrame({"arch": few, "test_accuracy": range(len(few))}).to_csv(table, index=False)
    assert oneshot(f"benchmark import {tmp_path / 't.parquet'} {table}") == 0
    capsys.readouterr()
    assert oneshot(f"score {out} --benchmark {tmp_path / 't.parquet'} --json") == 0
    assert -1 <= json.loads(capsys.readouterr().out)["kendall_tau"] <= 1


def test_an_architecture_may_stand_first(capsys: pytest.CaptureFixture[str]) -> None:
    assert oneshot(f'predict {SYNFLOW} "{DEEP}" --json') == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["arch"] for row in document["predictions"]] == [DEEP]
    assert document["protocol"]["quantity"] == "synflow score"


def test_scores_are_searched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small = "--population 6 --generations 2 --mutations 3 --crossovers 3 --top 3"
    evaluator = SYNFLOW.replace("--channels", "--space.channels").replace("--image-size", "--evaluator.image-size")
    assert oneshot(f"search {evaluator} {small} --max-params 1e6 --out {tmp_path / 'found'} --json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["best"]["params"] <= 1e6
    candidates = pd.read_parquet(tmp_path / "found" / "candidates.parquet")
    assert document["best"]["score"] == candidates.score.max()
    assert "accuracy" not in candidates
    best = small_score("synflow", "nasbench201")
    assert document["settings"]["evaluator"]["evaluator"] == best.protocol["evaluator"]


def test_scores_are_served(tmp_path: Path) -> None:
    options = f"{SYNFLOW} --store {tmp_path / 's.sqlite'}"
    with serving("", options) as (_, url):
        assert ask(f"{url}/v1/model")["protocol"]["quantity"] == "synflow score"
        (row,) = ask(f"{url}/v1/predictions", {"architectures": [DEEP]})["predictions"]
        assert row["accuracy"] is row["interval"] is row["loss"] is None
        assert row["score"] > 0
        assert oneshot(f'predict {url} "{DEEP}" --out {tmp_path / "p.json"}') == 0
    (found,) = json.loads((tmp_path / "p.json").read_text())["predictions"]
    assert found["score"] == row["score"]


def test_stores_of_earlier_versions_take_scores(tmp_path: Path) -> None:
    path, evaluator = tmp_path / "old.sqlite", small_score("synflow", "nasbench201")
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE protocols (key TEXT PRIMARY KEY, document TEXT NOT NULL)")
        columns = "key TEXT, arch TEXT, accuracy REAL NOT NULL, loss REAL NOT NULL, images INTEGER NOT NULL"
        connection.execute(f"CREATE TABLE predictions ({columns}, PRIMARY KEY (key, arch))")
    arch = evaluator.space.parse(DEEP)
    assert Stored(evaluator, path)([arch]).values == Stored(evaluator, path)([arch]).values == evaluator([arch]).values


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("predict --sample 3", ("a run folder", "--evaluator NAME")),
        ("predict --evaluator naswott --space nasbench201 --sample 3", ("no evaluator 'naswott'", "naswot?")),
        ("predict --evaluator naswot --sample 3", ("needs --space",)),
        ("predict --space nasbench201 --sample 3", ("needs --evaluator", "az-nas")),
        (f"predict --evaluator naswot {TINY} --sample 3 --batch-norm ema-3", ("--batch-norm is for a run folder",)),
        (f"predict --evaluator naswot {TINY} --sample 3 --top 2", ("--top needs the network of a run folder",)),
        (f"predict --evaluator naswot {TINY} --sample 3 --batches 3", ("no option --batches",)),
        (f"predict --evaluator naswot {TINY} --evaluator.batch 0 --sample 3", ("batch must be at least 2",)),
        (f"predict --evaluator naswot {TINY} --dataset nowhere --sample 3", ("nowhere",)),
        ("search --evaluator naswot --space nasbench201 --benchmark nasbench201-digits", ("one of these",)),
        ("search --evaluator naswot --space nasbench201 --standalone 2", ("--standalone is for a run folder",)),
        ("serve --port 0", ("a run folder, or --evaluator",)),
    ],
)
def test_what_cannot_be_is_refused(text: str, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, text, *words)


def test_a_network_that_cannot_be_read_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """And others are scored: the file has them."""
    sizes = "--space shufflenet --image-size 32 --channels 8"
    fails(capsys, f"predict --evaluator synflow {sizes} --sample 1", "synflow reads networks of weights and ReLUs")

"""`oneshot search`: on tables, supernets and stand-alone trainings; stopped, continued, and refused."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oneshot.benchmarks.table import find_table, write

from oneshot.spaces.nasbench201 import ALL, cost
from tests.cli.test_commands import TINY, fails, oneshot
from tests.cli.test_stops import count, finish, stop_when

SMALL = "--population 10 --generations 3 --mutations 5 --crossovers 5 --top 4"
DIGITS = f"search --benchmark nasbench201-digits {SMALL}"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    assert oneshot(f"train {TINY} --out {path}") == 0
    return path


def test_a_table_is_searched(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert oneshot(f"{DIGITS} --out {tmp_path / 'found'} --json") == 0
    document = json.loads(capsys.readouterr().out)
    table = find_table("nasbench201-digits")
    candidates = pd.read_parquet(tmp_path / "found" / "candidates.parquet")
    truth = dict(zip(table.strings, table.values("digits_test"), strict=True))
    assert candidates["accuracy"].tolist() == [truth[arch] for arch in candidates["arch"]]
    assert document["evaluations"] == len(candidates) == 30
    assert document["best"]["accuracy"] == candidates["accuracy"].max()
    assert len({ALL.canonical(ALL.parse(arch)) for arch in candidates["arch"]}) == 30
    trained = [cost(ALL.operations(ALL.parse(arch)), channels=8, cells=1).params for arch in candidates["arch"]]
    assert candidates["params"].tolist() == trained
    files = {path.name for path in (tmp_path / "found").iterdir()}
    assert files == {"search.json", "result.json", "candidates.parquet", "progress.png", "progress.svg"}
    assert oneshot(f"{DIGITS} --out {tmp_path / 'found'}") == 0
    assert "the best, of 30 evaluated" in capsys.readouterr().out
    assert json.loads((tmp_path / "found" / "result.json").read_text()) == document


def test_objectives_limits_and_latency(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = find_table("nasbench201-digits")
    latency = np.random.default_rng(0).random(len(table))
    write(tmp_path / "device.parquet", table.archs, {"phone": latency}, ALL, {})
    words = (
        f"{DIGITS} --algorithm nsga2 --objectives latency macs --latency-of {tmp_path / 'device.parquet'}:phone "
        f"--max-params 40000 --max-latency 0.5 --out {tmp_path / 'found'} --json"
    )
    assert oneshot(words) == 0
    document = json.loads(capsys.readouterr().out)
    found = pd.read_parquet(tmp_path / "found" / "candidates.parquet")
    by_arch = dict(zip(table.strings, latency, strict=True))
    assert found["latency"].tolist() == [by_arch[arch] for arch in found["arch"]]
    assert max(found["latency"]) <= 0.5
    assert max(found["params"]) <= 40_000
    front = pd.DataFrame(document["front"])
    assert front["accuracy"].is_monotonic_decreasing
    assert document["settings"]["limits"] == {"params": 40_000, "latency": 0.5}
    assert document["settings"]["costs"]["latency"]["column"] == "phone"
    assert {"front-latency.svg", "front-macs.png"} <= {path.name for path in (tmp_path / "found").iterdir()}


def test_a_supernet_is_searched_from_given_architectures(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = find_table("nasbench201-digits").strings[:4]
    (tmp_path / "start.txt").write_text("\n".join(given) + "\n")
    words = f"search {run} {SMALL} --population 4 --mutations 2 --crossovers 2 --generations 2 --images 50 --json"
    words += " --batch-norm ema-2"
    assert oneshot(f"{words} --start {tmp_path / 'start.txt'} --out {tmp_path / 'found'}") == 0
    document = json.loads(capsys.readouterr().out)
    found = pd.read_parquet(tmp_path / "found" / "candidates.parquet")
    assert sorted(found["arch"][:4]) == sorted(given)
    assert document["settings"]["evaluator"]["evaluator"] == "supernet"
    assert document["settings"]["costs"]["network"] == {"channels": 2, "cells": 1, "classes": 10, "image_size": 8}
    assert oneshot(f"predict {run} '{found['arch'][7]}' --images 50 --batch-norm ema-2 --json") == 0
    alone = json.loads(capsys.readouterr().out)["predictions"][0]["accuracy"]
    assert alone == found["accuracy"][7]
    assert oneshot(f"{words} --start balanced --channels 16") == 0
    assert json.loads(capsys.readouterr().out)["settings"]["costs"]["network"]["channels"] == 16


def test_stand_alone_trainings_are_searched(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = f"search {run} --standalone 1 --algorithm random --population 2 --generations 1 --json"
    assert oneshot(words) == 0
    document = json.loads(capsys.readouterr().out)
    evaluator = document["settings"]["evaluator"]
    assert (evaluator["evaluator"], evaluator["configuration"]["recipe"]["epochs"]) == ("standalone", 1)
    assert count(run / "standalone.sqlite") == document["evaluations"] == 2


def test_a_stopped_search_continues(run: Path, tmp_path: Path) -> None:
    """Killed, then interrupted, then left alone."""

    def words(name: str, store: str) -> str:
        return (
            f"search {run} --algorithm evolution {SMALL} --generations 6 --threads 1 --batch-norm ema-2 "
            f"--out {tmp_path / name} --store {tmp_path / store}"
        )

    assert oneshot(words("whole", "whole.sqlite")) == 0
    for least, sign in ((15, signal.SIGKILL), (35, signal.SIGINT)):
        stop_when(words("cut", "cut.sqlite"), lambda least=least: count(tmp_path / "cut.sqlite") >= least, sign)
        assert least <= count(tmp_path / "cut.sqlite") < 60
        left = [".lock", "search.json"] if sign == signal.SIGKILL else ["search.json"]
        assert sorted(path.name for path in (tmp_path / "cut").iterdir()) == left
    finish(words("cut", "cut.sqlite"))
    assert count(tmp_path / "cut.sqlite") == count(tmp_path / "whole.sqlite") == 60
    for name in ("result.json", "candidates.parquet", "progress.svg"):
        assert (tmp_path / "cut" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_other_settings_do_not_continue_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found"
    assert oneshot(f"{DIGITS} --out {out}") == 0
    fails(capsys, f"{DIGITS} --seed 1 --out {out}", "seed 0 there, 1 now", "choose another folder")
    fails(capsys, f"{DIGITS} --max-macs 5 --out {out}", "limits.macs None there, 5.0 now")
    fails(capsys, f"{DIGITS} --truth digits_valid --out {out}", "'digits_test' there, 'digits_valid' now")
    fails(capsys, f"{DIGITS} --algorithm random --out {out}", "algorithm.name 'evolution' there, 'random' now")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("", ["a run folder, the address of a service, --benchmark NAME, or --evaluator NAME --space NAME"]),
        ("runs/x --benchmark nasbench201-digits", ["one of these"]),
        ("runs/x", ["no run folder"]),
        ("--benchmark nasbench201-digits --algorithm tabu", ["no algorithm 'tabu'", "random, evolution, nsga2"]),
        ("--benchmark nasbench201-digits --standalone 3", ["--standalone needs a run folder"]),
        ("--benchmark nasbench201-digits --truth seconds2", ["no column 'seconds2'"]),
        ("--benchmark nasbench201-digits --max-params 100", ["params at most 100; the lowest drawn: params"]),
        ("--benchmark nasbench201-digits --max-latency 3", ["--latency-of BENCHMARK:COLUMN"]),
        ("--benchmark nasbench201-digits --latency-of phone", ["BENCHMARK:COLUMN or OPERATIONS.json, got 'phone'"]),
        ("--benchmark nasbench201-digits --objectives energy", ["no measure 'energy'", "params, macs"]),
        ("--benchmark nasbench201-digits --population 10", ["more than the population of 10"]),
        ("--benchmark nasbench201-digits --start best", ["no sampler 'best'"]),
        ("--benchmark nasbench201-digits --channels -4", ["channels must be at least 0, got -4"]),
        ("runs/x --standalone -1", ["--standalone must be at least 0"]),
    ],
)
def test_bad_input(options: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, f"search {options}", *words)


def test_rows_of_a_supernet(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, f"search {run} --start rows", "--start rows needs a --benchmark")

"""Real processes, killed in the middle and continued: nothing reported is lost, and the end is the same."""

from __future__ import annotations

import os
import shlex
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pandas as pd

from oneshot.cli import main
from perf.forked import Process

ROOT = Path(__file__).resolve().parents[2]
TRAIN = "train --preset demo --channels 4 --epochs {epochs} --batch-size 64 --threads 1 --out {out}"
CREATE = (
    "benchmark create {out} --space nasbench201-conv --dataset digits --split half --channels 2 --cells 1 "
    "--epochs 2 --batch-size 108 --sample 5 --seeds 0 1 --workers {workers}"
)


def start(text: str) -> Process:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ONESHOT_CHECKPOINT_SECONDS": "0"}
    return Process(["-m", "oneshot", *shlex.split(text)], ROOT, environment)


def finish(text: str) -> str:
    process = start(text)
    _, error = process.communicate(timeout=200)
    assert process.returncode == 0, error
    return error


def stop_when(text: str, ready: Callable[[], bool], sign: int) -> Process:
    process, end = start(text), time.monotonic() + 120
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "never got ready to be stopped"
        time.sleep(0.01)
    process.send_signal(sign)
    process.wait(60)
    return process


def lines(path: Path) -> int:
    return path.read_text().count("\n") if path.exists() else 0


def count(store: Path) -> int:
    """Predictions in the file."""
    if not store.exists():
        return 0
    with closing(sqlite3.connect(store)) as connection:
        try:
            return connection.execute("SELECT COUNT(*) FROM predictions").fetchone()[0]
        except sqlite3.OperationalError:
            return 0


def members(group: int) -> list[str]:
    return subprocess.run(["pgrep", "-g", str(group)], capture_output=True, text=True).stdout.split()


def test_training(tmp_path: Path) -> None:
    """Killed, then interrupted, then left alone; what nobody stops runs here, where sets are in another order."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert main(TRAIN.format(epochs=8, out=whole).split()) == 0
    stop_when(TRAIN.format(epochs=8, out=cut), lambda: lines(cut / "metrics.jsonl") >= 2, signal.SIGKILL)
    assert 2 <= lines(cut / "metrics.jsonl") < 8
    process = stop_when(TRAIN.format(epochs=8, out=cut), lambda: lines(cut / "metrics.jsonl") >= 5, signal.SIGINT)
    assert process.returncode == 130
    assert "the same command continues" in process.communicate()[1]
    assert 5 <= lines(cut / "metrics.jsonl") < 8
    finish(TRAIN.format(epochs=8, out=cut))
    assert (cut / "state-8.safetensors").read_bytes() == (whole / "state-8.safetensors").read_bytes()
    assert lines(cut / "metrics.jsonl") == 8
    assert sorted(p.name for p in cut.iterdir()) == sorted(p.name for p in whole.iterdir())


def test_predicting(tmp_path: Path) -> None:
    run, store = tmp_path / "run", tmp_path / "run" / "predictions.sqlite"
    assert main(TRAIN.format(epochs=1, out=run).split()) == 0
    ask = f"predict {run} --sample 32 --together 4 --batch-norm ema-2 --threads 1 --out {{out}}"

    for least, sign in ((4, signal.SIGKILL), (16, signal.SIGINT)):
        stop_when(ask.format(out=tmp_path / "cut.parquet"), lambda least=least: count(store) >= least, sign)
        assert least <= count(store) < 32
        assert not (tmp_path / "cut.parquet").exists()
    finish(ask.format(out=tmp_path / "cut.parquet"))
    assert main(f"{ask.format(out=tmp_path / 'whole.parquet')} --store {tmp_path / 'other.sqlite'}".split()) == 0
    assert pd.read_parquet(tmp_path / "cut.parquet").equals(pd.read_parquet(tmp_path / "whole.parquet"))


def test_creating_a_benchmark(tmp_path: Path) -> None:
    """Two workers, killed and then interrupted, and one that finds the rest, say what a command does alone."""
    cut, whole = tmp_path / "cut.parquet", tmp_path / "whole.parquet"
    journal = tmp_path / "cut.parquet.journal"
    for least, sign in ((3, signal.SIGKILL), (6, signal.SIGINT)):
        process = stop_when(CREATE.format(out=cut, workers=2), lambda least=least: lines(journal) >= least, sign)
        reported = journal.read_text().splitlines()
        assert not cut.exists()
        end = time.monotonic() + 30
        while members(process.pid):
            assert time.monotonic() < end, "workers outlived their parent"
            time.sleep(0.1)
    refused = start(CREATE.format(out=cut, workers=2).replace("--epochs 2", "--epochs 3"))
    assert "epochs 2 there, 3 now" in refused.communicate(timeout=60)[1]
    assert refused.returncode == 2
    assert journal.read_text().splitlines()[: len(reported)] == reported
    finish(CREATE.format(out=cut, workers=1))
    assert main(CREATE.format(out=whole, workers=1).split()) == 0
    columns = [c for c in pd.read_parquet(whole).columns if c != "seconds"]
    assert pd.read_parquet(cut)[columns].equals(pd.read_parquet(whole)[columns])
    assert not journal.exists()


def test_an_unwritable_folder(tmp_path: Path) -> None:
    process = start(TRAIN.format(epochs=1, out="/proc/oneshot"))
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 2
    assert "/proc/oneshot" in error
    assert "Traceback" not in error


def test_a_full_disk(tmp_path: Path) -> None:
    """Files may not grow beyond a few KB, as on a disk that fills up: exit code 2, and no half-written state."""
    out = tmp_path / "run"
    command = f"{sys.executable} -m oneshot {TRAIN.format(epochs=1, out=out)}"
    process = subprocess.run(
        ["bash", "-c", f"trap '' XFSZ; ulimit -f 16; exec {command}"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 2, process.stderr
    assert "File too large" in process.stderr
    assert not list(out.glob("state-*"))
    assert not list(out.glob(".*"))
    assert not (out / "checkpoint.json").exists()

"""VAENAS-OS from the command line: trained, killed and continued, searched from."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pandas as pd
import pytest
from oneshot.benchmarks.table import find_table

from oneshot.training.bar import _round
from tests.cli.test_commands import fails, oneshot
from tests.cli.test_stops import finish, lines, stop_when

VAE = "--sampler vae --sampler.every 2 --samples 10 --keep 0.8 --iterations 20 --increment 0.2"
TRAIN = f"train --preset demo --channels 2 --batch-size 324 --threads 1 {VAE}"
SEARCH = "--population 8 --generations 2 --mutations 2 --crossovers 2 --top 4 --batch-norm ema-2 --json --threads 1"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    assert oneshot(f"{TRAIN} --epochs 4 --out {path}") == 0
    return path


def found(capsys: pytest.CaptureFixture[str], text: str) -> dict:
    capsys.readouterr()
    assert oneshot(text) == 0
    return json.loads(capsys.readouterr().out)


def test_a_line_a_round(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert oneshot(f"{TRAIN} --epochs 5 --out {run}") == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("sampler")]
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert said == [_round(row) for row in rows if row["epoch"] in (2, 4)]
    assert [row["sampler_epsilon"] for row in rows] == pytest.approx([0, 0, 0.4, 0.6, 0.8])
    assert said[0].startswith(f"sampler after epoch 2: accuracies best {rows[1]['sampler_best']:.2f} %, mean ")
    equal = {"epoch": 9, "sampler_best": 10.0, "sampler_mean": 10.0}
    assert _round(equal) == "sampler after epoch 9: accuracies best 10.00 %, mean 10.00 %, all equal: nothing learned"


def test_killed_in_a_round_and_continued(tmp_path: Path) -> None:
    """At any instant: between rounds, and soon after the fourth epoch's metrics, where the next round is near."""
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert oneshot(f"{TRAIN} --epochs 6 --out {whole}") == 0
    for at in (3, 5):
        stop_when(f"{TRAIN} --epochs 6 --out {cut}", lambda at=at: lines(cut / "metrics.jsonl") >= at, signal.SIGKILL)
    finish(f"{TRAIN} --epochs 6 --out {cut}")
    for name in ("state-6.safetensors", "vae.safetensors", "config.json"):
        assert (cut / name).read_bytes() == (whole / name).read_bytes(), name
    assert lines(cut / "metrics.jsonl") == 6


def test_a_search_begins_with_what_the_run_has_learned(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = found(capsys, f"search {run} --start vae {SEARCH} --store {run / 'own.sqlite'}")
    again = found(capsys, f"search {run} --start vae {SEARCH} --store {run / 'again.sqlite'}")
    of_file = found(capsys, f"search {run} --start {run / 'vae.safetensors'} {SEARCH} --store {run / 'file.sqlite'}")
    assert own == again
    assert own["settings"]["start"].startswith("vae ")
    assert own["settings"]["start"].split()[1] == of_file["settings"]["start"].split()[1]
    assert own["best"] == of_file["best"]
    other = found(capsys, f"search {run} --start vae --seed 1 {SEARCH} --store {run / 'other.sqlite'}")
    assert other["best"] != own["best"] or other["evaluations"] == own["evaluations"]


def test_a_table_is_searched_from_a_vae(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The first population is what the VAE draws of the table's rows, each function once."""
    words = "search --benchmark nasbench201-digits --algorithm random --population 8 --generations 1 --json --out "
    found(capsys, f"{words} {tmp_path / 'a'} --start {run / 'vae.safetensors'}")
    found(capsys, f"{words} {tmp_path / 'b'}")
    ours, plain = (pd.read_parquet(tmp_path / name / "candidates.parquet")["arch"].tolist() for name in "ab")
    assert set(ours) <= set(find_table("nasbench201-digits").strings)
    assert ours != plain


def test_bad_starts(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = "search --benchmark nasbench201-digits --start"
    fails(capsys, f"{table} vae", "--start vae needs a run folder", "vae.safetensors")
    fails(capsys, f"{table} {tmp_path / 'no.safetensors'}", "no.safetensors")
    fails(capsys, f"{table} {run / 'state-4.safetensors'}", "is no file of a VAE")
    plain = tmp_path / "plain"
    assert oneshot(f"train --preset demo --channels 2 --epochs 1 --batch-size 324 --out {plain}") == 0
    fails(capsys, f"search {plain} --start vae", "was trained with sampler balanced, which does not learn")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--epochs 1", "sampler vae learns after every 2 epochs: there must be as many, got 1"),
        ("--method darts", "sampler must be uniform, got vae"),
        ("--samples 15 --keep 0.4", "at least 8 architectures to train a VAE on, got 6: 40% of 15"),
        ("--every 0", "every must be at least 1, got 0"),
    ],
)
def test_bad_options(options: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, f"{TRAIN} --epochs 4 {options} --out {tmp_path / 'run'}", words)
    assert not (tmp_path / "run").exists()

"""`derive`, `export` and `cost`: what was found, as a file, and how long it takes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pandas as pd
import pytest
from oneshot.benchmarks.table import find_table

from oneshot.cli import main
from oneshot.export.extract import load_network
from oneshot.runs.run import open_run

SMALL = "--dataset digits --split half --channels 4 --cells 1 --epochs 2 --batch-size 300 --shift 0 --flip false"
FAST = "--warmup 1 --rounds 5 --backends torch"
ARCH = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|skip_connect~1|nor_conv_3x3~2|"


def run_of(text: str) -> int:
    return main(shlex.split(text))


@pytest.fixture(scope="module")
def darts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "darts"
    assert run_of(f"train --preset darts {SMALL} --out {folder}") == 0
    return folder


@pytest.fixture(scope="module")
def paths(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "paths"
    assert run_of(f"train --preset standalone {SMALL} --out {folder}") == 0
    return folder


def test_derive_says_what_was_found_and_what_a_table_knows(
    darts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = open_run(darts)
    found = run.method.derive()
    assert found is not None
    pd.DataFrame({"arch": [run.space.format(found)], "digits_test": [71.5]}).to_parquet(tmp_path / "known.parquet")
    capsys.readouterr()
    assert run_of(f"derive {darts} --benchmark {tmp_path / 'known.parquet'} --json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["arch"] == run.space.format(found)
    assert document["options"] == list(found)
    cost = run.space.cost(found, channels=4, cells=1, classes=10, image_size=8)
    assert (document["cost"]["params"], document["cost"]["mflops"]) == (cost.params, cost.mflops)
    assert document["truth"]["accuracy"] == 71.5
    assert document["protocol"]["checkpoint"]
    assert run_of(f"derive {darts}") == 0
    assert run.space.format(found) in capsys.readouterr().out


def test_the_shipped_table_is_asked_without_being_named(darts: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = find_table("nasbench201-digits")
    capsys.readouterr()
    assert run_of(f"derive {darts} --json") == 0
    document = json.loads(capsys.readouterr().out)
    known = document["arch"] in table
    assert (document["truth"] is not None) == known
    if known:
        assert document["truth"]["column"] == "digits_test"


def test_export_by_the_ending(darts: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_of(f"export {darts} --out {tmp_path / 'net.safetensors'} --json") == 0
    document = json.loads(capsys.readouterr().out)
    module = load_network(tmp_path / "net.safetensors")
    assert document["arch"] == module.facts["arch"]
    assert document["params"] == sum(p.numel() for p in module.parameters())
    assert document["protocol"]["batch_norm"] == "ema-20"
    assert run_of(f"export {darts} '{ARCH}' --batch-norm reset-ema-2 --out {tmp_path / 'net.pt2'}") == 0
    assert "read back, its logits differ by" in capsys.readouterr().out


def test_costs_of_a_space_and_measured_ones_of_a_run(
    paths: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_of(f"cost nasbench201 '{ARCH}' --channels 4 --cells 1 --image-size 8 --json") == 0
    (plain,) = json.loads(capsys.readouterr().out)["architectures"]
    assert plain["arch"] == ARCH
    out, ops = tmp_path / "latency.parquet", tmp_path / "ops.json"
    measured = f"cost {paths} --sample 4 --measure {FAST} --batch-sizes 1 4 --table {ops} --out {out}"
    assert run_of(f"{measured} --json") == 0
    document = json.loads(capsys.readouterr().out)
    (latencies,) = document["latencies"]
    assert len(latencies["rows"]) == 8
    assert all(row["low"] <= row["median"] <= row["high"] for row in latencies["rows"])
    assert latencies["protocol"]["threads"] == 1
    assert document["table"]["error"]["networks"] == 2  # the others were fitted on
    table = find_table(out)
    assert {"torch_batch1_ms", "torch_batch4_ms", "summed_ms", "params", "mflops"} == set(table.columns)
    assert run_of(measured) == 0  # from the table that is there
    assert "operations; 4 whole networks differ by" in capsys.readouterr().out


def test_a_search_by_latency(paths: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ops = tmp_path / "ops.json"
    assert run_of(f"cost {paths} '{ARCH}' {FAST} --table {ops}") == 0
    search = f"search {paths} --algorithm nsga2 --population 6 --generations 2 --images 64 --batch-size 64"
    capsys.readouterr()
    assert run_of(f"{search} --objectives latency --latency-of {ops} --max-latency 1000 --json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["settings"]["costs"]["latency"]["file"] == str(ops)
    front = [candidate["latency"] for candidate in document["front"]]
    assert front
    assert all(0 < latency <= 1000 for latency in front)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("derive {paths}", "method single-path derives no architecture: name one"),
        ("derive {darts} --draw {tmp}/gone/a.svg", "is no folder"),
        ("derive {darts} --benchmark gone", "found no .parquet file for 'gone'"),
        ("export {paths} --out {tmp}/a.onnx", "derives no architecture"),
        ("export {darts} --out {tmp}/a.pth", "expected a file ending with .safetensors, .onnx, .pt2"),
        ("export {darts} --out {tmp}/gone/a.pt2", "is no folder"),
        ("export {darts} k3e3 --out {tmp}/a.pt2", "'k3e3'"),
        ("export {darts} --batch-norm batch --out {tmp}/a.pt2", "must be another than batch"),
        ("export {tmp} --out {tmp}/a.pt2", "is no run folder"),
        ("cost nasbench201", "say which architectures"),
        ("cost nasbench301 --sample 1", "no search space 'nasbench301'"),
        ("cost nasbench201 k3e3", "'k3e3'"),
        ("cost nasbench201 --sample 1 --channels -1", "channels must be at least 1"),
        ("cost nasbench201 --sample 1 --measure --backends tpu --channels 2 --cells 1", "no backend 'tpu'"),
        ("cost nasbench201 --sample 1 --measure --rounds 1", "rounds must be"),
        ("cost nasbench201 --sample 1 --out {tmp}/a.csv", ".parquet, got 'a.csv'"),
        ("search {paths} --max-latency 1", "needs --latency-of BENCHMARK:COLUMN or OPERATIONS.json"),
        ("search {paths} --max-latency 1 --latency-of {tmp}/gone.json", "gone.json"),
    ],
)
def test_bad_input(
    text: str, words: str, darts: Path, paths: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_of(text.format(darts=darts, paths=paths, tmp=tmp_path)) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".pt2", ".onnx", ".parquet")]

"""`--cluster`: the same results, no Ray left behind, and errors that say what to do."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from oneshot.base.progress import Progress
from oneshot.cli import main
from tests.cli.test_commands import fails
from tests.cli.test_stops import count, start

if TYPE_CHECKING:
    from oneshot.evaluators.actors import Cluster

    from perf.forked import Process

ROOT = Path(__file__).resolve().parents[2]
TRAIN = "train --preset demo --channels 4 --cells 1 --epochs 1 --batch-size 64 --threads 1 --out {}"
CREATE = (
    "benchmark create {} --space nasbench201-conv --dataset digits --split half --channels 2 --cells 1 --epochs 1 "
    "--batch-size 108 --sample 3 --seeds 0 1"
)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cluster") / "run"
    assert main(TRAIN.format(folder).split()) == 0
    return folder


@pytest.fixture
def lent(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Makes commands use actors that are there, which saves their start; what they asked for."""
    asked: list[tuple[Any, ...]] = []

    def lend(*settings: Any) -> nullcontext[Cluster]:
        asked.append(settings)
        return nullcontext(cluster)

    monkeypatch.setattr("oneshot.evaluators.actors.Cluster", lend)
    return asked


def test_predictions_are_the_local_ones(cluster: Cluster, run: Path, tmp_path: Path) -> None:
    ask = f"predict {run} --sample 12 --threads 1 --store {tmp_path}/{{0}}.sqlite --out {tmp_path}/{{0}}.json"
    assert main(ask.format("here").split()) == 0
    assert main([*ask.format("there").split(), "--cluster", "local", "--workers", "2", "--together", "4"]) == 0
    here, there = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("here", "there"))
    assert here == there


def test_a_search_finds_the_same(lent: list[tuple[Any, ...]], run: Path, tmp_path: Path) -> None:
    ask = f"search {run} --algorithm random --population 6 --generations 2 --images 64 --batch-norm ema-2 --threads 1"
    for name, more in (("here", []), ("there", ["--cluster", "local"])):
        out = ["--store", f"{tmp_path}/{name}.sqlite", "--out", f"{tmp_path}/{name}"]
        assert main([*ask.split(), *out, *more]) == 0
    assert lent == [("local", 0, 1, "auto")]
    files = sorted(path.name for path in (tmp_path / "here").iterdir() if path.suffix in (".json", ".csv", ".parquet"))
    assert files
    for name in files:
        assert (tmp_path / "here" / name).read_bytes() == (tmp_path / "there" / name).read_bytes(), name


def test_a_benchmark_is_the_same_and_continues(lent: list[tuple[Any, ...]], tmp_path: Path) -> None:
    here, there = tmp_path / "here.parquet", tmp_path / "there.parquet"
    assert main(CREATE.format(here).split()) == 0
    done = 0

    def stop(self: Progress) -> None:
        nonlocal done
        done += 1
        if done == 2:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Progress, "advance", stop)
        assert main([*CREATE.format(there).split(), "--cluster", "local", "--workers", "2"]) == 130
    assert (tmp_path / "there.parquet.journal").read_text().count("\n") == 3  # the header, and what was reported
    assert main(CREATE.format(there).split()) == 0
    columns = [name for name in pd.read_parquet(here).columns if name != "seconds"]
    assert pd.read_parquet(here)[columns].equals(pd.read_parquet(there)[columns])


def descendants(process: int) -> set[int]:
    """Every process that comes from this one, by /proc."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(status.read_text().rpartition(")")[2].split()[1])
        except OSError:
            continue
    found: set[int] = set()
    new = {process}
    while new:
        found |= new
        new = {child for child, parent in parents.items() if parent in new} - found
    return found - {process}


def stopped(ask: str, store: Path, sign: int) -> tuple[Process, set[int]]:
    """Predicting, until some predictions are there and a signal comes; the process, and those that it had started."""
    process = start(f"{ask} --store {store}")
    end = time.monotonic() + 120
    while count(store) < 4:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "never began"
        time.sleep(0.05)
    started = descendants(process.pid)
    os.killpg(process.pid, sign)  # as a terminal does
    _, error = process.communicate(timeout=30)
    assert "Traceback" not in error
    assert 4 <= count(store) < 400
    return process, started


def test_ctrl_c_keeps_what_came_and_leaves_no_ray(run: Path, tmp_path: Path) -> None:
    pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')
    ask = f"predict {run} --sample 400 --threads 1 --cluster local --workers 1 --together 2"
    process, started = stopped(ask, tmp_path / "p.sqlite", signal.SIGINT)
    assert process.returncode == 130
    assert len(started) > 3  # Ray's own, and the actor
    end = time.monotonic() + 10
    while left := [number for number in started if Path(f"/proc/{number}").exists()]:
        assert time.monotonic() < end, f"Ray's processes {left} are left"
        time.sleep(0.1)


def test_sigterm_keeps_what_came_and_leaves_a_running_ray_alone(cluster: Cluster, run: Path, tmp_path: Path) -> None:
    import ray

    address, cpus = ray.get_runtime_context().gcs_address, ray.available_resources().get("CPU", 0)
    ask = f"predict {run} --sample 400 --threads 1 --cluster {address} --workers 1 --together 2"
    process, _ = stopped(ask, tmp_path / "p.sqlite", signal.SIGTERM)
    assert process.returncode == 143
    end = time.monotonic() + 10
    while ray.available_resources().get("CPU", 0) != cpus:
        assert time.monotonic() < end, "its actor is left"
        time.sleep(0.1)


def test_without_ray_the_error_says_how_to_get_it(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    assert main(["predict", str(run), "--sample", "1", "--cluster", "local"]) == 2
    assert 'a cluster needs Ray, which is not installed: pip install -e ".[ray]"' in capsys.readouterr().err
    assert "\nray =\n" in (ROOT / "setup.cfg").read_text()


def test_a_wrong_address_is_an_error_soon(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("ray", reason='needs Ray: pip install -e ".[ray]"')
    for address, what in (
        ("127.0.0.1:1", "no Ray cluster at 127.0.0.1:1: [Errno 111] Connection refused"),
        ("nowhere", "expected local or the HOST:PORT of a running Ray cluster, got 'nowhere'"),
    ):
        start = time.monotonic()
        assert main(["predict", str(run), "--sample", "1", "--cluster", address]) == 2
        assert time.monotonic() - start < 20
        assert what in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("predict runs/x --sample 3 --top 1 --cluster local", "--top needs the network of a run folder here"),
        ("search --benchmark nasbench201-digits --cluster local", "a table has its answers already"),
        ("search http://127.0.0.1:1 --cluster local", "--cluster is for a run folder; http://127.0.0.1:1 decides that"),
        ("predict http://127.0.0.1:1 x --cluster local", "--cluster is for a run folder; http://127.0.0.1:1 decides"),
        ("predict RUN |none~9| --cluster local", "|none~9|"),
        ("predict RUN --cluster local", "say which architectures"),
        ("predict runs/nowhere --sample 1 --cluster local", "runs/nowhere"),
        ("search --cluster local", "say what to ask"),
    ],
)
def test_what_no_cluster_does_is_refused_before_one_starts(
    run: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: str, said: str
) -> None:
    monkeypatch.setattr("oneshot.evaluators.actors.Cluster.__init__", lambda *_: pytest.fail("a cluster was started"))
    fails(capsys, words.replace("RUN", str(run)), said)

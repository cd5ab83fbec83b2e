"""Trackers stay in step with a run folder: across stops, failures, and what is chosen later."""

from __future__ import annotations

import csv
import json
import os
import socket
import struct
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from oneshot.cli import main
from oneshot.registry import TRACKERS, registered_for_a_while
from oneshot.runs.folder import RunFolder
from oneshot.runs.trackers import base
from oneshot.runs.trackers.base import Tracked, Tracker
from oneshot.runs.trackers.tensorboard import TensorBoard

if TYPE_CHECKING:
    from tests.conftest import SmallDisk

TINY = ["train", "--preset", "demo", "--channels", "2", "--batch-size", "324"]


def row(epoch: int) -> dict[str, Any]:
    return {"epoch": epoch, "phase": "one", "loss": 1.0 / epoch, "seconds": 2.0 * epoch}


class Memory(Tracker):
    """Keeps all that it is told, as a server does that outlives trainings; it may be out of reach."""

    def __init__(self) -> None:
        self.rows: list[dict[str, Any]] = []
        self.configurations: list[Any] = []
        self.ends: list[bool] = []
        self.is_gone = False

    def begin(self, configuration: Mapping[str, Any]) -> int:
        self._ask()
        self.configurations.append(dict(configuration))
        return len(self.rows)

    def log(self, rows: Sequence[Mapping[str, Any]]) -> None:
        self._ask()
        self.rows += map(dict, rows)

    def end(self, finished: bool) -> None:
        self._ask()
        self.ends.append(finished)

    def _ask(self) -> None:
        if self.is_gone:
            raise ConnectionError("no answer")


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    return RunFolder.create(tmp_path / "run", {"seed": 3})


def follow(tracker: Tracker, folder: RunFolder, begin: int, upto: int, epochs: int) -> None:
    """What a training does between `begin` epochs and so many."""
    folder.rewind(begin)
    tracked = Tracked("memory", tracker, folder, epochs)
    tracked.begin(begin)
    for epoch in range(begin + 1, upto + 1):
        folder.log(row(epoch))
        tracked.epoch(row(epoch))
    tracked.end()


def test_nothing_is_logged_twice_or_lost(folder: RunFolder) -> None:
    memory = Memory()
    follow(memory, folder, 0, 3, 6)
    follow(memory, folder, 1, 4, 6)  # the last checkpoint was of the first epoch
    follow(memory, folder, 4, 6, 6)
    follow(memory, folder, 6, 6, 6)
    assert memory.rows == [row(epoch) for epoch in range(1, 7)]
    assert memory.ends == [False, False, True, True]
    late = Memory()
    follow(late, folder, 6, 6, 6)
    assert (late.rows, late.configurations) == (memory.rows, [{"seed": 3}])


def test_one_that_fails_is_told_once_and_made_up_for(folder: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = Memory()
    memory.is_gone = True
    with pytest.warns(UserWarning, match="the tracker memory fails, the training goes on: no answer") as told:
        follow(memory, folder, 0, 2, 3)
    assert len(told) == 1
    memory.is_gone = False
    follow(memory, folder, 2, 3, 3)
    assert memory.rows == [row(epoch) for epoch in range(1, 4)]

    monkeypatch.setattr(base, "RETRY_SECONDS", 0.0)
    other = Memory()
    tracked = Tracked("memory", other, folder, 4)
    tracked.begin(3)
    other.is_gone = True
    with pytest.warns(UserWarning, match="no answer"):
        tracked.epoch(row(4))
    other.is_gone = False
    tracked.end()
    assert (other.rows, other.ends) == ([row(epoch) for epoch in range(1, 5)], [True])


def test_a_failing_one_is_left_alone_for_a_while(folder: RunFolder) -> None:
    memory = Memory()
    memory.is_gone = True
    tracked = Tracked("memory", memory, folder, 9)
    with pytest.warns(UserWarning, match="no answer"):
        tracked.begin(0)
    memory.is_gone = False
    tracked.epoch(row(1))
    assert not memory.rows
    tracked.end()
    assert memory.rows == [row(1)]


def test_curves_of_tensorboard(folder: RunFolder) -> None:
    path = folder.path / "tensorboard"
    follow(TensorBoard(path), folder, 0, 3, 5)
    follow(TensorBoard(path), folder, 2, 5, 5)
    board = EventAccumulator(str(path))
    board.Reload()
    assert board.Tags()["scalars"] == ["loss", "seconds"]
    events = board.Scalars("loss")
    assert [(event.step, event.value) for event in events] == [(e, pytest.approx(1 / e)) for e in range(1, 6)]
    assert events[1].wall_time - events[0].wall_time == pytest.approx(2.0)
    (text,) = board.Tensors("configuration")
    assert b'"seed": 3' in text.tensor_proto.string_val[0]


def test_a_full_disk_names_the_curves(small_disk: SmallDisk) -> None:
    curves = TensorBoard(small_disk.path / "tensorboard")
    curves.begin({})
    small_disk.fill()
    with pytest.raises(OSError, match=r"No space left on device: '.*tensorboard/events\.out\.tfevents"):
        curves.log([{"epoch": 1, "seconds": 1.0, **dict.fromkeys(map(str, range(1000)), 1.0)}])
    curves.end(False)


def test_a_table_gets_columns_as_they_come(folder: RunFolder) -> None:
    table = TRACKERS["csv"]().make(folder.path)
    table.begin({})
    table.log([row(1)])
    table.log([row(2) | {"valid_mean": 50.0}])
    table.log([row(3)])
    with (folder.path / "metrics.csv").open(newline="") as file:
        read = list(csv.DictReader(file))
    assert [each["valid_mean"] for each in read] == ["", "50.0", ""]
    assert [float(each["loss"]) for each in read] == [row(epoch)["loss"] for epoch in (1, 2, 3)]
    follow(TRACKERS["csv"]().make(folder.path), folder, 0, 2, 2)
    assert len((folder.path / "metrics.csv").read_text().splitlines()) == 3


def test_the_command_line_chooses_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    words = [*TINY, "--epochs", "1", "--out", str(out)]
    assert main([*words, "--tracker", "tensorbord"]) == 2
    assert "no tracker 'tensorbord'; there are tensorboard, csv, " in capsys.readouterr().err
    assert main([*words, "--tracker", "csv", "--tracker", "tensorboard"]) == 0
    assert {"metrics.csv", "tensorboard"} <= {path.name for path in out.iterdir()}
    (tmp_path / "some.yaml").write_text("tracker: [csv]")
    assert main([*words[:-1], str(tmp_path / "other"), "--config", str(tmp_path / "some.yaml")]) == 0
    assert (tmp_path / "other" / "metrics.csv").is_file()
    assert not (tmp_path / "other" / "tensorboard").exists()


def test_a_plugin_brings_its_own(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(
        "from dataclasses import dataclass\n"
        "from oneshot.registry import TRACKERS\n"
        "from oneshot.runs.trackers.base import Tracker\n"
        "@TRACKERS.register('lines')\n"
        "@dataclass(frozen=True)\n"
        "class Lines(Tracker):\n"
        "    before: str = ''\n"
        "    def make(self, folder):\n        self.__dict__['folder'] = folder\n        return self\n"
        "    def begin(self, configuration):\n        return 0\n"
        "    def log(self, rows):\n"
        "        with (self.folder / 'lines').open('a') as file:\n"
        "            file.writelines(f\"{self.before}{row['epoch']}\\n\" for row in rows)\n"
    )
    with registered_for_a_while():
        options = ["--plugin", str(tmp_path / "mine.py"), "--tracker", "lines", "--tracker.lines.before", "epoch "]
        assert main([*TINY, "--epochs", "2", "--out", str(tmp_path / "run"), *options]) == 0
    assert (tmp_path / "run" / "lines").read_text() == "epoch 1\nepoch 2\n"


def test_a_library_that_is_missing_is_said_before_anything_is_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("mlflow", "wandb"):
        monkeypatch.setitem(sys.modules, name, None)
        assert main([*TINY, "--out", str(tmp_path / "run"), "--tracker", name]) == 2
        said = f"oneshot train: the tracker {name} needs {name}: pip install 'oneshot-nas[{name}]'\n"
        assert capsys.readouterr().err == said
    assert not (tmp_path / "run").exists()


KILLS = """
import os, signal
from pathlib import Path
from oneshot.training.step import Step
finish, metrics = Step.finish, Path(os.environ["METRICS"])
def kills(self):
    finish(self)
    if metrics.exists() and len(metrics.read_text().splitlines()) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
Step.finish = kills
"""
"""A plugin that kills the process in its third epoch."""


@pytest.fixture
def stopped(tmp_path: Path) -> Callable[..., Path]:
    """A training of four epochs that is killed in the third, each epoch a checkpoint, and started again."""

    def run(*options: str, **environment: str) -> Path:
        out, environment = tmp_path / "run", {**os.environ, "ONESHOT_CHECKPOINT_SECONDS": "0", **environment}
        plugin = tmp_path / "kills.py"
        plugin.write_text(KILLS)
        environment["METRICS"] = str(out / "metrics.jsonl")
        words = [sys.executable, "-m", "oneshot", *TINY, "--epochs", "4", "--out", str(out), *options]
        killed = subprocess.run([*words, "--plugin", str(plugin)], env=environment, capture_output=True, timeout=300)
        assert killed.returncode == -9, killed.stderr.decode()
        done = subprocess.run(words, env=environment, capture_output=True, timeout=300)
        assert done.returncode == 0, done.stderr.decode()
        return out

    return run


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[str]:
    pytest.importorskip("mlflow", reason="pip install 'oneshot-nas[mlflow]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = ["--backend-store-uri", f"sqlite:///{tmp_path}/runs.db", "--artifacts-destination", str(tmp_path / "files")]
    address = ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    with (tmp_path / "server.log").open("wb") as log:
        command = [sys.executable, "-m", "mlflow", "server", *store, *address]
        server = subprocess.Popen(command, stdout=log, stderr=log, cwd=tmp_path)
    try:
        until = time.monotonic() + 240
        while time.monotonic() < until and server.poll() is None:
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(60)


@pytest.mark.long
def test_mlflow_goes_on_in_the_same_run(stopped: Callable[..., Path], mlflow_server: str) -> None:
    out = stopped("--tracker", "mlflow", "--tracker.mlflow.uri", mlflow_server)
    import mlflow  # pyright: ignore[reportMissingImports]

    client = mlflow.MlflowClient(mlflow_server)
    experiment = client.get_experiment_by_name("oneshot")
    (run,) = client.search_runs([experiment.experiment_id])
    assert run.info.run_id == json.loads((out / "tracker-mlflow.json").read_text())["run_id"]
    assert (run.info.run_name, run.info.status) == ("run", "FINISHED")
    assert run.data.params["space.channels"] == "2"
    for name in ("loss", "learning_rate", "seconds"):
        history = client.get_metric_history(run.info.run_id, name)
        kept = [(each["epoch"], each[name]) for each in RunFolder(out).metrics]
        assert sorted((metric.step, metric.value) for metric in history) == kept


@pytest.mark.long
def test_a_server_that_is_gone_does_not_stop_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("mlflow", reason="pip install 'oneshot-nas[mlflow]'")
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{closed.getsockname()[1]}"
        words = [*TINY, "--epochs", "2", "--out", str(tmp_path / "run"), "--tracker", "mlflow"]
        assert main([*words, "--tracker.mlflow.uri", uri]) == 0
    told = [line for line in capsys.readouterr().err.splitlines() if "the tracker mlflow fails" in line]
    assert len(told) == 1
    assert len(RunFolder(tmp_path / "run").metrics) == 2


def records(path: Path) -> Iterator[Any]:
    """What wandb wrote offline: protocol buffers in blocks, as LevelDB has its log."""
    from wandb.proto import wandb_internal_pb2  # pyright: ignore[reportMissingImports]

    content, at, whole = path.read_bytes(), 7, b""
    while at + 7 <= len(content):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", content, at + 4)
        whole = (b"" if kind in (1, 2) else whole) + content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):
            yield wandb_internal_pb2.Record.FromString(whole)


@pytest.mark.long
def test_wandb_goes_on_in_the_same_run(stopped: Callable[..., Path]) -> None:
    pytest.importorskip("wandb", reason="pip install 'oneshot-nas[wandb]'")
    out = stopped("--tracker", "wandb", WANDB_MODE="offline")
    found: list[tuple[int, float]] = []
    for path in sorted(out.glob("wandb/offline-run-*/*.wandb")):
        kinds = {record.WhichOneof("record_type"): record for record in records(path)}
        assert kinds["run"].run.run_id == json.loads((out / "tracker-wandb.json").read_text())["id"]
        assert {update.key for update in kinds["run"].run.config.update} >= {"space", "recipe"}
        for record in records(path):
            if record.WhichOneof("record_type") == "history":
                values = {item.key or item.nested_key[0]: json.loads(item.value_json) for item in record.history.item}
                found.append((record.history.step.num, values["loss"]))
    assert found == [(each["epoch"], each["loss"]) for each in RunFolder(out).metrics]
    assert len(found) == 4

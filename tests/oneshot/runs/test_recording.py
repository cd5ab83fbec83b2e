from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from oneshot.runs.folder import RunFolder
from oneshot.runs.recording import Recorder


def row(epoch: int) -> dict[str, float]:
    return {"epoch": epoch, "loss": 1.0 / epoch, "seconds": 2.0 * epoch}


def record(path: Path, finished: int, upto: int, epochs: int) -> list[int]:
    """The epochs after which the state was asked for."""
    asked = []
    folder = RunFolder(path)
    recorder = Recorder(folder, finished, epochs, {"device": "cpu"})
    for epoch in range(finished + 1, upto + 1):
        recorder(row(epoch), lambda epoch=epoch: asked.append(epoch) or {"w": torch.tensor([float(epoch)])})
    recorder.close()
    return asked


def test_short_epochs_share_a_checkpoint_and_the_last_has_one(tmp_path: Path) -> None:
    assert record(tmp_path, 0, 4, 4) == [4]
    commit = RunFolder(tmp_path).commit
    assert commit is not None
    assert commit["epoch"] == 4
    assert commit["facts"]["seconds"] == 8.0
    assert commit["facts"]["device"] == "cpu"


def test_due_checkpoints_are_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oneshot.runs.recording.CHECKPOINT_SECONDS", 0.0)
    assert record(tmp_path, 0, 2, 4) == [1, 2]
    state, _ = RunFolder(tmp_path).load() or pytest.fail("nothing was saved")
    assert state["w"].item() == 2.0


def test_a_folder_that_went_on_meanwhile_is_left_alone(tmp_path: Path) -> None:
    """A state was read, and before this process could write, another one had trained on."""
    record(tmp_path, 0, 3, 3)
    with pytest.raises(BlockingIOError, match="has 3 epochs by now, not 2: start again"):
        Recorder(RunFolder(tmp_path), 2, 5, {})
    record(tmp_path, 3, 5, 5)


def test_rows_go_on_after_a_stop(tmp_path: Path) -> None:
    record(tmp_path, 0, 3, 5)
    RunFolder(tmp_path).rewind(2)
    record(tmp_path, 2, 5, 5)
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert lines == [row(epoch) for epoch in range(1, 6)]

"""Only the command line changes what the process does with freed memory."""

from __future__ import annotations

from pathlib import Path

import pytest
from oneshot.evaluators.supernet import SupernetEvaluator

from oneshot.cli import main
from oneshot.data.source import Images
from oneshot.methods.single_path import SinglePath
from oneshot.samplers.uniform import Uniform
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe


def test_library_calls_leave_it_and_the_command_line_asks(
    few: tuple[Images, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []
    monkeypatch.setattr("oneshot.base.memory.keep_freed_memory", lambda: asked.append(True))
    net = NasBench201Net(ALL, 2, 1)
    train(net, SinglePath(ALL, Uniform(ALL)), *few, Recipe(epochs=1, batch_size=96))
    SupernetEvaluator(net, ALL, *few, "ema-1", 16)([(3,) * 6])
    assert not asked
    words = "train --preset demo --channels 2 --epochs 1 --batch-size 324 --out"
    assert main([*words.split(), str(tmp_path / "run")]) == 0
    assert asked

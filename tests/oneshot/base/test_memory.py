"""Only the command line, and whoever asks for it, changes what the process does with freed memory."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import pytest
from oneshot.evaluators.supernet import SupernetEvaluator

import oneshot
from oneshot.cli import main
from oneshot.data.source import Images
from oneshot.methods.single_path import SinglePath
from oneshot.samplers.uniform import Uniform
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """What `mallopt` is called with, which does nothing here."""
    calls: list[tuple[int, int]] = []
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setattr("oneshot.base.memory.ctypes", SimpleNamespace(CDLL=lambda _: library))
    library = SimpleNamespace(mallopt=lambda *numbers: calls.append(numbers))
    return calls


def test_a_library_call_leaves_it(few: tuple[Images, Images], asked: list[tuple[int, int]]) -> None:
    net = NasBench201Net(ALL, 2, 1)
    train(net, SinglePath(ALL, Uniform(ALL)), *few, Recipe(epochs=1, batch_size=96))
    SupernetEvaluator(net, ALL, *few, "ema-1", 16)([(3,) * 6])
    assert not asked


def test_who_asks_gets_it(asked: list[tuple[int, int]]) -> None:
    oneshot.keep_freed_memory()
    assert asked == [(-4, 0), (-1, -1)]


@pytest.mark.parametrize(
    "words",
    ["train --preset demo --channels 2 --epochs 1 --batch-size 324 --out run",
     "benchmark create t.parquet --dataset digits --channels 2 --cells 1 --epochs 1 --sample 1 --seeds 0 --threads 1"],
    ids=["train", "create"],
)  # fmt: skip
def test_the_command_line_asks(
    words: str, asked: list[tuple[int, int]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(words.split()) == 0
    assert (-4, 0) in asked
    if words.startswith("train"):
        asked.clear()
        assert main(["predict", "run", "--sample", "1", "--batch-norm", "ema-1", "--images", "16"]) == 0
        assert (-4, 0) in asked

"""A stop in the middle of an epoch: what was kept there goes on bit by bit, and callbacks see every step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from oneshot.data.source import Images
from oneshot.methods.base import Method
from oneshot.methods.darts import Darts, DartsSettings
from oneshot.methods.single_path import SinglePath
from oneshot.runs.folder import WITHIN, RunFolder
from oneshot.samplers.fair import StrictlyFair
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.callbacks import Callback, Moment
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

RECIPE = Recipe(epochs=3, batch_size=16, shift=1, flip=True, cutout=2, learning_rate=0.05, optimizer="muon")
METHODS: dict[str, Callable[[], Method]] = {
    "fair": lambda: SinglePath(ALL, StrictlyFair(ALL)),
    "darts": lambda: Darts(ALL, DartsSettings(arch_learning_rate=0.01)),  # takes held-out batches, too
}


class Stop(Exception):
    pass


class Watch(Callback):
    """Remembers every step, and stops after one of an epoch."""

    def __init__(self, epoch: int = -1, step: int = -1) -> None:
        self.stop, self.seen, self.ended = (epoch, step), list[Moment](), 0

    def step(self, at: Moment) -> None:
        self.seen.append(at)
        if (at.epoch, at.step) == self.stop:
            raise Stop

    def measure(self, epoch: int) -> dict[str, float]:
        return {"measured": 2.0 * epoch}

    def end(self) -> None:
        self.ended += 1


def network() -> NasBench201Net:
    torch.manual_seed(1)
    return NasBench201Net(ALL, 4, 1).to(memory_format=torch.channels_last)  # pyright: ignore


def everything(net: nn.Module, method: Method) -> list[torch.Tensor]:
    return [*net.state_dict().values(), *method.state_dict().values()]


def rows(folder: RunFolder) -> list[dict]:
    """Without what differs from run to run."""
    return [{k: v for k, v in row.items() if k not in ("seconds", "images_per_second")} for row in folder.metrics]


@pytest.mark.parametrize("name", METHODS)
@pytest.mark.parametrize("stop", [(0, 1), (1, 3)])
def test_it_goes_on_where_it_was(
    name: str, stop: tuple[int, int], few: tuple[Images, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = METHODS[name]
    straight, method = network(), make()
    whole, cut = (RunFolder.create(tmp_path / part, {}) for part in ("whole", "cut"))
    train(straight, method, *few, RECIPE, 3, whole, [Watch()])
    for each in ("CHECKPOINT_SECONDS", "WITHIN_SECONDS"):
        monkeypatch.setattr(f"oneshot.runs.recording.{each}", 0.0)
    first = Watch(*stop)
    with pytest.raises(Stop):
        train(network(), make(), *few, RECIPE, 3, cut, [first])
    assert first.ended == 1
    assert (cut.path / WITHIN).is_file()
    torch.manual_seed(99)
    resumed, other, second = network(), make(), Watch()
    train(resumed, other, *few, RECIPE, 3, cut, [second])
    assert [(at.epoch, at.step) for at in (*first.seen, *second.seen)] == [
        (epoch, step + 1) for epoch in range(3) for step in range(first.seen[0].steps)
    ]
    assert [at.done for at in (*first.seen, *second.seen)] == list(range(1, first.seen[0].total + 1))
    for a, b in zip(everything(straight, method), everything(resumed, other), strict=True):
        assert torch.equal(a, b)
    assert rows(cut) == rows(whole)
    assert [row["measured"] for row in rows(cut)] == [2.0, 4.0, 6.0]
    assert not (cut.path / WITHIN).exists()


def test_a_damaged_one_is_told_and_the_epoch_begun_again(
    few: tuple[Images, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oneshot.runs.recording.WITHIN_SECONDS", 0.0)
    folder, make = RunFolder.create(tmp_path / "run", {}), METHODS["fair"]
    with pytest.raises(Stop):
        train(network(), make(), *few, RECIPE, 3, folder, [Watch(0, 2)])
    path = folder.path / WITHIN
    path.write_bytes(path.read_bytes()[:-100])
    watch = Watch()
    with pytest.warns(UserWarning, match=r"within\.safetensors cannot be read .* the epoch is begun again"):
        train(network(), make(), *few, RECIPE, 3, folder, [watch])
    assert (watch.seen[0].epoch, watch.seen[0].step) == (0, 1)
    assert watch.ended == 1


def test_one_of_an_epoch_that_was_finished_since_is_left_alone(
    few: tuple[Images, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oneshot.runs.recording.WITHIN_SECONDS", 0.0)
    folder, make = RunFolder.create(tmp_path / "run", {}), METHODS["fair"]
    with pytest.raises(Stop):
        train(network(), make(), *few, RECIPE, 3, folder, [Watch(0, 2)])
    assert folder.load_within(0) is not None
    assert folder.load_within(1) is None

"""A training in one call, in memory and in a folder."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

import oneshot
from oneshot.runs.config import Config
from oneshot.training.callbacks import OnEpoch
from oneshot.training.recipe import Recipe

CONFIG = Config.of(dataset="digits", split="half", channels=2, cells=1)
RECIPE = Recipe(epochs=2, batch_size=324, shift=0, flip=False)


def test_in_memory_it_is_what_build_and_train_give(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("oneshot.base.progress.time", SimpleNamespace(monotonic=count().__next__))  # slow enough for it
    seen: list[int] = []
    run = oneshot.fit(CONFIG, RECIPE, callbacks=[OnEpoch(lambda row: seen.append(row["epoch"]))])
    by_hand = oneshot.build(CONFIG, RECIPE)
    oneshot.train(by_hand.net, by_hand.method, by_hand.train, by_hand.valid, RECIPE, CONFIG.seed)
    for one, other in zip(run.net.state_dict().values(), by_hand.net.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert (seen, run.epoch, run.folder) == ([1, 2], 2, None)
    assert not run.net.training
    assert [row["epoch"] for row in run.history] == [1, 2]
    assert "train" in capsys.readouterr().err


def test_in_a_folder_it_goes_on_and_the_folder_opens(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    class Stop(Exception):
        pass

    def stop(row: object) -> None:
        raise Stop

    with pytest.raises(Stop):
        oneshot.fit(CONFIG, RECIPE, tmp_path / "run", callbacks=[OnEpoch(stop)], quiet=True)
    run = oneshot.fit(CONFIG, RECIPE, tmp_path / "run", quiet=True)
    opened = oneshot.open_run(tmp_path / "run")
    assert (run.epoch, opened.epoch) == (2, 2)
    assert [row["loss"] for row in run.history] == [row["loss"] for row in opened.history]
    whole = oneshot.fit(CONFIG, RECIPE, quiet=True)
    assert [row["loss"] for row in whole.history] == [row["loss"] for row in run.history]
    assert capsys.readouterr().err == ""
    with pytest.raises(ValueError, match="seed"):
        oneshot.fit(replace(CONFIG, seed=1), RECIPE, tmp_path / "run", quiet=True)


def test_a_run_shows_itself(tmp_path: Path) -> None:
    begun = oneshot.build(CONFIG, RECIPE)
    assert repr(begun) == "<Run of nasbench201 on digits, 0 of 2 epochs>"
    assert "<svg" not in begun._repr_html_()
    run = oneshot.fit(CONFIG, RECIPE, tmp_path / "<run>", quiet=True)
    page = run._repr_html_()
    for words in ("15,625 architectures", "10 classes", "2 of 2 epochs", "loss by epoch", "&lt;run&gt;"):
        assert words in page
    assert f"{run.history[-1]['loss']:.3g}</text>" in page


def test_the_figure_of_a_training_is_its_metrics() -> None:
    run = oneshot.fit(CONFIG, RECIPE, quiet=True)
    axes = oneshot.plot_training(run)
    assert np.asarray(axes.lines[0].get_xydata()).tolist() == [[row["epoch"], row["loss"]] for row in run.history]
    assert axes.get_legend() is None
    both = oneshot.plot_training({"one": run, "two": run}, "learning_rate")
    assert [line.get_label() for line in both.lines] == ["one", "two"]
    assert len({str(line.get_color()) for line in both.lines}) == 2
    with pytest.raises(ValueError, match="has no metric 'speed'; there are "):
        oneshot.plot_training(run, "speed")


def test_a_preset_takes_other_values() -> None:
    config, recipe = oneshot.preset("demo", epochs=3, channels=4)
    assert recipe.epochs == 3
    assert config.but(channels=4) == config
    with pytest.raises(ValueError, match="epoch"):
        oneshot.preset("demo", epoch=3)

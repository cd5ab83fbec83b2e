"""A training that takes long says so after a few steps, and what takes less."""

from __future__ import annotations

import warnings

import pytest

from oneshot.cli import forecast, main
from oneshot.cli.forecast import Forecast, advice
from oneshot.runs.config import configured
from oneshot.runs.presets import PRESETS, RETRAINING, SMALLER, retraining
from oneshot.training.callbacks import Moment
from tests.clock import Clock


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(forecast, "time", clock)
    return clock


def told(clock: Clock, total: int, seconds: float, steps: int = 30, done: int = 0) -> list[tuple[int, str]]:
    """After which step what was said, of a training whose first step takes a minute more than the others."""
    told, callback = [], Forecast("; take another")
    for step in range(done + 1, done + steps + 1):
        clock.now += seconds + (60 if step == done + 1 else 0)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            callback.step(Moment(0, 1, step, total, step, total, 64, lambda: {"loss": 1.0}))
        told += [(step - done, str(warning.message)) for warning in caught]
    return told


def test_days_are_said_once_after_a_few_steps(clock: Clock) -> None:
    assert told(clock, 172_812, 1.0) == [(12, "this training takes about 2.0 days; take another")]
    assert told(clock, 172_812, 1.0, done=100_000) == [(12, "this training takes about 20.2 h; take another")]
    assert told(clock, 172_800, 30.0)[0][0] == 5
    assert told(clock, 10_000_000, 1 / 64, steps=600)[0][0] == 322


def test_half_a_day_is_not_said(clock: Clock) -> None:
    assert not told(clock, 12 * 3600 - 1, 1.0)
    assert not told(clock, 5, 1.0, steps=5)


def test_what_takes_less() -> None:
    assert advice("cpu45", "cpu") == "; --preset cpu45 takes less"
    assert "--device cuda" in advice(None, "cpu")
    assert advice(None, "cuda:0") == ""


def work(name: str) -> float:
    """Roughly, of presets of the same space and images."""
    values = retraining(name, "darts") if name in RETRAINING else PRESETS[name]
    config, recipe = configured(values)
    net = config.space.settings
    return recipe.epochs * ((config.image_size or 32) * net.channels) ** 2 * net.cells


@pytest.mark.parametrize("name", SMALLER)
def test_smaller_presets_are_smaller(name: str) -> None:
    other = SMALLER[name]
    of = RETRAINING if name in RETRAINING else PRESETS
    assert other in of
    assert work(other) < work(name)
    for key in ("space", "dataset"):
        assert of[name].get(key) == of[other].get(key)


def test_the_command_says_it_in_one_line(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(forecast, "LONG", 0.0)
    monkeypatch.setattr(forecast, "ENOUGH", ((1, 0.0),))
    out = tmp_path_factory.mktemp("forecast") / "run"
    words = "train --preset demo --channels 2 --epochs 2 --batch-size 324 --device cpu --out"
    assert main([*words.split(), str(out)]) == 0
    lines = [line for line in capsys.readouterr().err.splitlines() if "takes" in line]
    assert len(lines) == 1
    assert lines[0].startswith("oneshot train: this training takes about 0 s; --device cuda takes less")

"""What is watched while a supernet trains: the same architectures, and a training that does not notice."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from oneshot.evaluators.watch import Watch

from oneshot.runs.presets import preset
from oneshot.runs.run import Run, build
from oneshot.training.callbacks import Callback, OnEpoch
from oneshot.training.loop import train


def run() -> Run:
    config, recipe = preset("demo")
    return build(config.but(**{"space.channels": 4}), replace(recipe, epochs=4, batch_size=100))


def trained(of: Run, *callbacks: Callback) -> list[dict]:
    rows: list[dict] = []
    told = OnEpoch(lambda row: rows.append(dict(row)))
    train(of.net, of.method, of.train, of.valid, of.recipe, 0, None, [*callbacks, told])
    return rows


def test_the_training_does_not_notice() -> None:
    plain, watched = run(), run()
    trained(plain)
    rows = trained(watched, Watch(watched, count=3, times=2, images=100))
    ours, theirs = watched.net.state_dict(), plain.net.state_dict()
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert [row["epoch"] for row in rows if "valid_mean" in row] == [2, 4]
    assert all(0 <= row["valid_mean"] <= row["valid_best"] <= 100 for row in rows if "valid_mean" in row)


def test_the_same_seed_watches_the_same() -> None:
    one, other = Watch(run(), count=5), Watch(run(), count=5)
    assert one.archs == other.archs
    assert len(set(one.archs)) == 5


def test_what_has_no_finite_logits_is_left_out() -> None:
    of = run()
    with torch.no_grad():
        next(of.net.parameters()).fill_(math.nan)
    assert Watch(of, count=2, times=2, images=50).measure(4) == {}
    assert Watch(run(), times=3).measure(4) == {}  # too short a training


def test_nothing_is_no_number() -> None:
    with pytest.raises(ValueError, match="expected at least one of all, got 0, 10, 1000"):
        Watch(run(), count=0)

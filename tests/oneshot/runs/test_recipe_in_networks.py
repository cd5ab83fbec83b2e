"""What a recipe asks of a network: an auxiliary classifier, and paths that are dropped, in every space that can."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
import torch
from torch import nn

from oneshot.nn.auxiliary import AuxiliaryHead
from oneshot.nn.chance import at_progress
from oneshot.registry import SPACES, registered_for_a_while, skeleton_of
from oneshot.runs.config import Config
from oneshot.runs.network import network
from oneshot.runs.run import build
from oneshot.samplers.uniform import distinct
from oneshot.supernets.choices import Choice, register_network
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

CHAINS = {"shufflenet"}
"""Networks without paths beside others."""


def config(space: str) -> Config:
    known, sizes = {f.name for f in fields(skeleton_of(space))}, {"channels": 8, "cells": 1}
    return Config.of(
        space=space, dataset="digits", split="half", **{f"space.{k}": v for k, v in sizes.items() if k in known}
    )


@pytest.mark.parametrize("space", SPACES)
def test_an_auxiliary_classifier_speaks_in_training_alone(space: str) -> None:
    plain, net = (network(config(space), 10, recipe=Recipe(auxiliary=weight)) for weight in (0.0, 0.25))
    (head,) = (m for m in net.modules() if isinstance(m, AuxiliaryHead))
    assert head.weight == 0.25
    assert {k for k in net.state_dict() if not k.startswith("auxiliary.")} == set(plain.state_dict())
    arch = distinct(SPACES[space], 1, np.random.default_rng(0))[0]
    x, gates = torch.randn(4, 3, 16, 16), SPACES[space].gates(arch)
    net.eval()(x, gates)
    assert head.take() is None
    logits = net.train()(x, gates)
    aside = head.take()
    assert aside is not None
    assert aside.shape == logits.shape
    assert aside.isfinite().all()


@pytest.mark.parametrize("space", [name for name in SPACES if name not in CHAINS])
def test_paths_are_dropped_more_and_more(space: str) -> None:
    net = network(config(space), 10, recipe=Recipe(drop_path=0.9))
    arch = distinct(SPACES[space], 1, np.random.default_rng(3))[0]
    x, gates = torch.randn(16, 3, 16, 16), SPACES[space].gates(arch)

    def drawn(progress: float, seed: int) -> torch.Tensor:
        at_progress(net, progress)
        torch.manual_seed(seed)
        return net(x, gates)

    with torch.no_grad():
        net.train()
        assert torch.allclose(drawn(0.0, 0), drawn(0.0, 1), atol=1e-4)
        assert not torch.allclose(drawn(0.9, 0), drawn(0.9, 1), atol=1e-4)
        net.eval()
        assert torch.allclose(drawn(0.9, 0), drawn(0.9, 1), atol=1e-6)


def test_networks_without_a_place_say_so() -> None:
    with pytest.raises(ValueError, match="drop_path must be 0 for shufflenet: its networks have no paths"):
        network(config("shufflenet"), 10, recipe=Recipe(drop_path=0.2))
    with registered_for_a_while():
        register_network(
            "mine", lambda classes: nn.Sequential(Choice("a", {"x": nn.Flatten()}), nn.LazyLinear(classes))
        )
        with pytest.raises(ValueError, match="auxiliary must be 0 for mine: its networks have no place"):
            network(Config.of(space="mine"), 10, recipe=Recipe(auxiliary=0.4))


def test_a_run_trains_with_both_and_the_other_weights_are_those_without() -> None:
    recipe = Recipe(epochs=1, batch_size=216, auxiliary=0.4, drop_path=0.2, gradient_clip=5, shift=0, flip=False)
    run, plain = build(config("nasbench201"), recipe), build(config("nasbench201"), Recipe())
    assert torch.equal(run.net.classifier.weight, plain.net.classifier.weight)  # pyright: ignore
    before = run.net.auxiliary.layers[2].weight.clone()  # pyright: ignore
    train(run.net, run.method, run.train, run.valid, recipe)
    assert not torch.equal(before, run.net.auxiliary.layers[2].weight)  # pyright: ignore


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"schedule": "step"}, "schedule must be cosine or linear, got 'step'"),
        ({"drop_path": 1.0}, "drop_path must be at least 0 and below 1"),
        ({"auxiliary": -1.0}, "auxiliary must be a finite number of at least 0"),
    ],
)
def test_impossible_recipes(values: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Recipe(**values)


def test_both_schedules_at_both_ends_and_in_the_middle() -> None:
    linear = Recipe(epochs=10, learning_rate=0.5, final_learning_rate=0.1, schedule="linear")
    cosine = Recipe(epochs=10, learning_rate=0.5, final_learning_rate=0.1)
    assert [linear.rate(p) for p in (0, 0.25, 1)] == pytest.approx([0.5, 0.4, 0.1])
    assert [cosine.rate(p) for p in (0, 0.5, 1)] == pytest.approx([0.5, 0.3, 0.1])
    warm = Recipe(epochs=10, learning_rate=0.5, final_learning_rate=0.0, schedule="linear", warmup_epochs=5)
    assert [warm.rate(p) for p in (0.25, 0.5, 0.75)] == pytest.approx([0.25, 0.5, 0.25])

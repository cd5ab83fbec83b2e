"""Stand-alone training: reproducible, affine, and the same as training by hand."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest
import torch
from oneshot.evaluators.standalone import Standalone, StandaloneEvaluator

from oneshot.data.load import load
from oneshot.gates import fixed
from oneshot.methods.single_path import SinglePath
from oneshot.runs.config import Config
from oneshot.samplers.uniform import Uniform
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import train
from oneshot.training.precision import used
from oneshot.training.recipe import Recipe

ARCH = (3, 1, 2, 0, 3, 2)
STANDALONE = Standalone(
    Config.of(dataset="digits", split="half", channels=2, cells=1),
    Recipe(epochs=2, batch_size=162, shift=1, flip=False),
)


def test_it_is_the_training_of_that_network() -> None:
    measured = STANDALONE.measure(ARCH, seed=4)
    dataset = load("digits")
    images, valid = dataset.split("half")
    space = ALL.only(ARCH)
    torch.manual_seed(4)
    net = NasBench201Net(space, 2, 1, affine=True).to(memory_format=torch.channels_last)  # pyright: ignore
    train(net, SinglePath(space, Uniform(space)), images, valid, STANDALONE.recipe, 4)
    net.eval()
    with torch.no_grad():
        for part, some in (("valid", valid), ("test", dataset.test)):
            logits = net(some.normalised(some.pixels), fixed(space, (0,) * 6))
            share = (logits.argmax(1) == some.labels).float().mean()
            assert measured[f"{part}_accuracy"] == pytest.approx(100 * float(share))
    assert set(measured) == {"valid_accuracy", "test_accuracy", "valid_loss", "seconds"}


def test_it_repeats_by_seed_and_travels_to_other_processes() -> None:
    other = pickle.loads(pickle.dumps(STANDALONE))
    first, again, third = STANDALONE.measure(ARCH, 0), other.measure(ARCH, 0), other.measure(ARCH, 1)
    assert first["valid_loss"] == again["valid_loss"] != third["valid_loss"]


def test_what_plays_no_part_is_not_in_the_protocol() -> None:
    assert not {"method", "sampler", "context", "seed", "init_from"} & {*STANDALONE.protocol["configuration"]}
    others = STANDALONE.config.but(sampler="fair", context="bias", seed=3, init_from="elsewhere")
    assert replace(STANDALONE, config=others).protocol == STANDALONE.protocol


def test_what_plays_a_part_is_in_the_protocol() -> None:
    protocol, configuration = STANDALONE.protocol, STANDALONE.protocol["configuration"]
    assert configuration["recipe"]["epochs"] == 2
    assert configuration["space"] == {"name": "nasbench201", "channels": 2, "cells": 1, "pool_conv": False}
    assert (configuration["dataset"], configuration["split"], configuration["image_size"]) == ("digits", "half", 0)
    assert StandaloneEvaluator(STANDALONE).protocol == {**protocol, "seed": 0}
    for precision in ("auto", "float32", "bf16"):
        made = replace(STANDALONE, recipe=replace(STANDALONE.recipe, precision=precision))
        assert made.protocol["precision"] == used(precision, torch.device("cpu"))

"""Architectures evaluated together against the slow twin, in every BatchNorm mode and with every kind of weights."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oneshot.evaluators.supernet import SupernetEvaluator
from torch import nn

from oneshot.data.load import load
from oneshot.data.source import Images
from oneshot.nn.choice import split
from oneshot.nn.contexts.attention import Attention, Attention2
from oneshot.nn.contexts.base import ContextWeights, Dependence
from oneshot.nn.contexts.bias import Bias
from oneshot.nn.contexts.shared_bias import SharedBias
from oneshot.nn.contexts.split import Split
from oneshot.nn.operations import nasbench201
from oneshot.samplers.uniform import distinct
from oneshot.space import Space
from oneshot.spaces import fairnas, nasbench101
from oneshot.spaces.nasbench201 import ALL
from oneshot.spaces.sequential import Layer, sequential
from oneshot.supernets.fairnas import FairNasNet
from oneshot.supernets.nasbench101 import NasBench101Net
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.supernets.sequential import SequentialNet
from tests.evaluators.one_by_one import classes_together, logits_of, one_by_one

Few = tuple[Images, Images]
MODES = ("inherit", "batch", "ema-3", "reset-ema-3", "reset-cumulative-3")
SHORT = sequential("short", ("skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3"), 4)


@torch.no_grad()
def shaken(net: Any) -> Any:
    """With statistics and weights as if it had trained: nothing is zero or one by chance."""
    for name, tensor in [*net.named_parameters(), *net.named_buffers()]:
        if name.endswith("running_var"):
            tensor.uniform_(0.5, 2)
        elif tensor.is_floating_point() and tensor.dim() == 1:
            tensor.add_(torch.randn_like(tensor) * 0.3)
        elif "contexts" in name and tensor.is_floating_point():
            tensor.normal_(0, 0.5)
    return net


def chain() -> SequentialNet:
    layers = [Layer(6, 6)] * 4
    head = nn.Sequential(nn.BatchNorm2d(6), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 10))
    return SequentialNet(SHORT, nasbench201(affine=True), layers, nn.Conv2d(3, 6, 3, padding=1), head)


def dependent(kind: type[ContextWeights]) -> tuple[Any, Space]:
    net = NasBench201Net(ALL, 4, 1, dependence=Dependence(kind, 1))
    if kind is Split:
        split(net)
    return net, ALL


NETS: dict[str, Callable[[], tuple[Any, Space]]] = {
    "nasbench201": lambda: (NasBench201Net(ALL, 4, 1), ALL),
    "affine": lambda: (NasBench201Net(ALL, 8, 2, pool_conv=True, affine=True), ALL),
    "sequential": lambda: (chain(), SHORT),
    "fairnas": lambda: (FairNasNet(fairnas.ALL, 2, 10), fairnas.ALL),
    "nasbench101": lambda: (NasBench101Net(nasbench101.ALL, 8, 1), nasbench101.ALL),
    **{kind.__name__: partial(dependent, kind) for kind in (Bias, SharedBias, Attention, Attention2, Split)},
}


@pytest.fixture(params=NETS)
def net_and_space(request: pytest.FixtureRequest) -> tuple[Any, Space]:
    net, space = NETS[request.param]()
    return shaken(net).to(memory_format=torch.channels_last), space


@pytest.mark.parametrize("mode", MODES)
def test_equals_one_by_one(mode: str, net_and_space: tuple[Any, Space], few: Few) -> None:
    net, space = net_and_space
    archs = distinct(space, 6, np.random.default_rng(1))
    got = SupernetEvaluator(net, space, *few, norm=mode, batch_size=32)(archs)
    for mine, slow in zip(got.values, one_by_one(net, space, *few, mode, 32, archs), strict=True):
        assert abs(mine.accuracy - slow.accuracy) <= 100 / 64 + 1e-9
        assert mine.loss == pytest.approx(slow.loss, rel=2e-4)


@pytest.mark.parametrize("mode", ["ema-3", "reset-cumulative-3"])
def test_memory_has_no_influence(mode: str, net_and_space: tuple[Any, Space], few: Few) -> None:
    """All go through the network together, also where nothing may be kept."""
    net, space = net_and_space
    archs = distinct(space, 6, np.random.default_rng(2))
    first, second = (
        SupernetEvaluator(net, space, *few, norm=mode, batch_size=32, memory=mib, together=6)(archs).values
        for mib in (0, 100)
    )
    assert first == second


@pytest.mark.parametrize("mode", ["inherit", "ema-3"])
def test_statistics_go_to_another_group(mode: str, net_and_space: tuple[Any, Space], few: Few) -> None:
    net, space = net_and_space
    archs = distinct(space, 4, np.random.default_rng(3))
    evaluator = SupernetEvaluator(net, space, *few, norm=mode, batch_size=16)
    seen, statistics = evaluator.validate(archs)
    again, same = evaluator.validate([archs[2], archs[0]], slice(32, 64), [statistics[2], statistics[0]])
    assert np.array_equal(again.right, seen.right[[2, 0], 32:])
    assert np.array_equal(again.losses, seen.losses[[2, 0], 2:])
    assert torch.equal(same[1], statistics[0])


def test_real_images_get_the_same_classes(real_data: Path) -> None:
    """But where two logits tie by rounding; `perf/equality.py` does it for a trained network and all images."""
    train, valid = (part.subset(slice(0, 256)) for part in load("cifar10", real_data, 16).split())
    net = shaken(NasBench201Net(ALL, 8, 1)).to(memory_format=torch.channels_last)
    archs = distinct(ALL, 16, np.random.default_rng(3))
    got = classes_together(SupernetEvaluator(net, ALL, train, valid, "reset-cumulative-2", 64), archs)
    for mine, arch in zip(got, archs, strict=True):
        logits = logits_of(net, ALL, train, valid, "reset-cumulative-2", 64, arch)
        first, second = logits.topk(2).values.T
        differ = mine != logits.argmax(1)
        assert (first - second)[differ].lt(1e-4 * logits.abs().max()).all()
        assert differ.sum() <= 1

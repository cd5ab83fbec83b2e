"""An ordinary network is enough: its choices are a space, and whatever there is works with it."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from oneshot.evaluators.standalone import Standalone
from oneshot.evaluators.supernet import SupernetEvaluator, of_run
from torch import nn

from oneshot.nn.sharing import Sharing
from oneshot.registry import SKELETONS, SPACES, registered_for_a_while
from oneshot.runs.config import Config
from oneshot.runs.folder import RunFolder, recorded
from oneshot.runs.run import build, open_run
from oneshot.samplers.uniform import distinct
from oneshot.supernets.choices import Choice, ChoiceNet, register_network, space_of
from oneshot.testing import SkeletonContract, SpaceContract
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

NAMES = ("small-cnn", "small-mlp", "small-vit")
RECIPE = Recipe(epochs=2, batch_size=108, learning_rate=0.05, shift=0, flip=False, precision="float32")


@pytest.fixture(scope="module", autouse=True)
def networks() -> Iterator[None]:
    """Those of the page, registered as long as these tests run."""
    path = Path(__file__).resolve().parents[3] / "docs" / "small_networks.py"
    spec = importlib.util.spec_from_file_location("small_networks", path)
    assert spec is not None
    assert spec.loader is not None
    with registered_for_a_while():
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
        yield


@pytest.fixture
def space(name: str):
    return SPACES[name]


@pytest.mark.parametrize("name", NAMES)
class TestSpace(SpaceContract): ...


@pytest.mark.parametrize("name", NAMES)
class TestSkeleton(SkeletonContract):
    size = 8


@pytest.mark.parametrize("name", NAMES)
class TestWhole:
    def config(self, name: str) -> Config:
        return Config.of(space=name, dataset="digits", split="half")

    def test_trained_opened_and_evaluated(self, name: str, tmp_path: Path) -> None:
        config = self.config(name)
        run = build(config, RECIPE)
        folder = RunFolder.create(tmp_path / "run", recorded(config, RECIPE))
        train(run.net, run.method, run.train, run.valid, RECIPE, 0, folder)
        opened = open_run(folder.path)
        archs = distinct(run.space, 6, np.random.default_rng(0))
        one, other = (of_run(r, "reset-cumulative-2", 108, images=216)(archs) for r in (run, opened))
        assert one.values == other.values
        assert len({value.loss for value in one.values}) > 1

    def test_many_at_once_are_as_one_after_the_other(self, name: str) -> None:
        run = build(self.config(name), RECIPE)
        evaluator = SupernetEvaluator(run.net, run.space, run.train, run.valid.subset(slice(0, 64)), "ema-2", 32)
        archs = distinct(run.space, 8, np.random.default_rng(0))
        together = evaluator(archs)
        assert together.values == tuple(evaluator([arch]).values[0] for arch in archs)

    def test_a_network_of_ones_own_is_trained_alone(self, name: str) -> None:
        standalone = Standalone(self.config(name), RECIPE)
        arch = distinct(standalone.space, 1, np.random.default_rng(0))[0]
        measured = standalone.measure(arch, 0)
        assert 0 <= measured["test_accuracy"] <= 100

    def test_weights_that_depend_on_choices_are_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match=f"context must be none for {name}, got bias: .*nasbench201"):
            build(self.config(name).but(context="bias"), RECIPE)


def test_a_chain_shares_its_common_beginning() -> None:
    net = SKELETONS["small-cnn"]().make(SPACES["small-cnn"], 10).eval()
    ran: list[nn.Module] = []
    for choice in (m for m in net.modules() if isinstance(m, Choice)):
        for option in choice.options:
            option.register_forward_hook(lambda module, inputs, output: ran.append(module))
    gates = [SPACES["small-cnn"].gates(arch) for arch in ((0, 0, 0), (0, 0, 1), (0, 1, 0))]
    with torch.no_grad():
        logits = list(Sharing(net, gates, 1 << 30)(torch.randn(2, 3, 8, 8)))
    assert len(logits) == 3
    assert len(ran) == 1 + 2 + 3


def test_choices_of_one_name_are_one_decision() -> None:
    space = SPACES["small-vit"]
    assert [d.name for d in space.decisions] == ["attention0", "mlp", "attention1"]
    assert space.sites == (0, 1, 2, 1)
    assert space.parse("attention0:heads2,mlp:ratio2,attention1:skip") == (1, 1, 3)
    network = nn.Sequential(Choice("a", {"x": nn.Identity()}), Choice("a", {"y": nn.Identity()}))
    with pytest.raises(ValueError, match="choices named 'a' are one decision: expected the options x, got y"):
        space_of(network)
    with pytest.raises(ValueError, match="needs a network with at least one Choice, got Linear"):
        space_of(nn.Linear(1, 1))
    with pytest.raises(ValueError, match=r"words without ',', ':' and '\|'"):
        space_of(Choice("a b", {"x": nn.Identity()}))


def test_a_stand_alone_network_has_one_option_everywhere() -> None:
    space = SPACES["small-vit"]
    net = SKELETONS["small-vit"]().make(space.only((0, 1, 3)), 10, True)
    assert isinstance(net, ChoiceNet)
    assert [len(choice.options) for choice in net.modules() if isinstance(choice, Choice)] == [1] * 4


def test_settings_of_ones_own() -> None:
    @dataclass(frozen=True)
    class Wide:
        """Some width."""

        width: int = 4

        def make(self, classes: int) -> nn.Module:
            choice = Choice("act", {"relu": nn.ReLU(), "tanh": nn.Tanh()})
            return nn.Sequential(nn.Flatten(), nn.Linear(192, self.width), choice, nn.Linear(self.width, classes))

    register_network("wide", Wide, image_size=8)
    net = Config.of(space="wide", width=7).space.settings.make(SPACES["wide"], 10)
    assert net.network[1].out_features == 7
    assert SPACES["wide"].cost((0,), width=9).params > SPACES["wide"].cost((0,)).params

"""Configurations become objects, and folders become runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import oneshot
from oneshot.base.provenance import environment, fingerprint
from oneshot.registry import SPACES, registered_for_a_while
from oneshot.runs.config import Chosen, Config, document
from oneshot.runs.folder import RunFolder
from oneshot.runs.network import network
from oneshot.runs.run import build, open_run
from oneshot.space import Arch, Decision, Space
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe
from oneshot.training.state import network_state

CONFIG = Config.of(dataset="digits", split="half", channels=2, cells=1)
RECIPE = Recipe(epochs=1, batch_size=324, shift=0, flip=False)


def test_a_run_is_opened_as_it_was_trained(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", document(CONFIG, RECIPE))
    run = build(CONFIG, RECIPE, folder=folder)
    with pytest.raises(ValueError, match=r"holds no checkpoint yet; `oneshot train --out"):
        open_run(folder.path)
    train(run.net, run.method, run.train, run.valid, RECIPE, 0, folder)
    opened = open_run(folder.path)
    assert (opened.config, opened.recipe) == (CONFIG, RECIPE)
    assert not opened.net.training
    for a, b in zip(run.net.state_dict().values(), opened.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)
    commit = folder.commit
    assert commit is not None
    assert opened.provenance() == {
        "configuration": document(CONFIG, RECIPE),
        "checkpoint": commit["sha256"],
        "epoch": 1,
        "data": opened.fingerprint.summary(),
    }


def test_provenance_is_that_of_what_was_loaded(tmp_path: Path) -> None:
    """Not that of a state which a training has saved since."""
    folder = RunFolder.create(tmp_path / "run", document(CONFIG, RECIPE))
    run = build(CONFIG, RECIPE)
    train(run.net, run.method, run.train, run.valid, RECIPE, 0, folder)
    opened = open_run(folder.path)
    before = opened.provenance()
    folder.save(network_state(network(CONFIG, 10)), 2, {})
    assert opened.provenance() == before
    assert before["epoch"] == 1


def test_the_seed_makes_the_weights() -> None:
    nets = [build(CONFIG.but(seed=seed), RECIPE).net for seed in (0, 0, 1)]
    weights = [torch.cat([p.flatten() for p in net.parameters()]) for net in nets]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def test_a_checkpoint_of_another_width_does_not_fit(tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", document(CONFIG, RECIPE))
    run = build(CONFIG, RECIPE)
    train(run.net, run.method, run.train, run.valid, RECIPE, 0, folder)
    config = folder.path / "config.json"
    config.write_text(config.read_text().replace('"channels": 2', '"channels": 3'))
    with pytest.raises(ValueError, match="does not fit this network"):
        open_run(folder.path)


def test_a_space_without_a_network() -> None:
    class Other(Space):
        def parse(self, text: str) -> Arch:
            return ()

        def format(self, arch: Arch) -> str:
            return ""

        def canonical(self, arch: Arch) -> Arch:
            return arch

    with registered_for_a_while():
        SPACES.register("other", Other("other", (Decision("d", ("a",)),)))
        with pytest.raises(ValueError, match="the search space other has no network: register it with"):
            network(Config(space=Chosen("other")), 10)
        assert SPACES["other"].facts((0,)) == {}


def test_options_that_cannot_apply() -> None:
    for recipe in (replace(RECIPE, crop_scale=0.4), replace(RECIPE, color_jitter=0.4)):
        with pytest.raises(ValueError, match=r"for image folders, .*expected 1 and 0, got"):
            build(CONFIG, recipe)
    for space in ("nasbench201", "nasbench101"):
        with pytest.raises(ValueError, match="dropout is a setting of space fairnas"):
            build(CONFIG.but(space=space, dropout=0.2), RECIPE)
    with pytest.raises(ValueError, match="dropout must be at least 0 and below 1, got 1"):
        CONFIG.but(space="fairnas", dropout=1.0)


def test_dropout_reaches_the_network_alone_and_together() -> None:
    config = CONFIG.but(space="fairnas", dropout=0.25)
    for arch in (None, (0,) * 19):
        net = network(config, 10, arch)
        assert [module.p for module in net.modules() if isinstance(module, torch.nn.Dropout)] == [0.25]


def test_the_package_is_lazy_but_whole() -> None:
    for name in oneshot.__all__:
        assert getattr(oneshot, name) is not None
        assert name in dir(oneshot)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = oneshot.nothing  # pyright: ignore


def test_provenance_names_versions() -> None:
    assert {"oneshot", "python", "torch", "numpy", "commit"} <= {*environment()}
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1}) != fingerprint({"a": 2, "b": 2})

"""A training begins in a folder, and goes on there."""

from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from oneshot.data.arrays import KEYS, save
from oneshot.runs.begin import begun
from oneshot.runs.config import Config
from oneshot.runs.data import Known
from oneshot.runs.folder import RunFolder
from oneshot.runs.run import Run, open_run
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

CONFIG = Config.of(dataset="digits", split="half", channels=2, cells=1)
RECIPE = Recipe(epochs=1, batch_size=324, shift=0, flip=False)


def trained(run: Run) -> None:
    train(run.net, run.method, run.train, run.valid, run.recipe, run.config.seed, run.folder)


def test_it_is_recorded_before_it_trains_and_goes_on_where_it_was(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    assert not folder.is_begun
    run = begun(CONFIG, RECIPE, folder)
    known = Known.read(folder.path)
    assert known is not None
    assert (run.epoch, run.epochs, run.commit, known.fingerprint) == (0, 1, None, run.fingerprint)
    assert folder.configuration() == (CONFIG, RECIPE)
    assert folder.space == run.space
    trained(run)
    again = begun(CONFIG, RECIPE, folder)
    assert (again.epoch, again.commit) == (1, folder.commit)
    trained(again)  # to its end, which it has reached: the state is read
    for a, b in zip(run.net.state_dict().values(), again.net.state_dict().values(), strict=True):
        assert torch.equal(a, b)


def test_a_data_set_is_known_by_its_absolute_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (40, 8, 8, 3), np.uint8), np.arange(40) % 4
    (tmp_path / "elsewhere").mkdir()
    save(tmp_path / "some.npz", dict(zip(KEYS, (images, labels, images, labels), strict=True)))
    config, recipe = replace(CONFIG, dataset="some.npz"), replace(RECIPE, batch_size=8)
    monkeypatch.chdir(tmp_path)
    run = begun(config, recipe, RunFolder("run"))
    assert RunFolder("run").config["dataset"] == str(tmp_path / "some.npz")
    trained(run)
    begun(config, recipe, RunFolder("old"))
    old = json.loads(Path("old/config.json").read_text())
    Path("old/config.json").write_text(json.dumps({**old, "dataset": "some.npz"}))
    begun(config, recipe, RunFolder("old"))  # as an earlier version had recorded it
    assert RunFolder("old").config["dataset"] == "some.npz"
    monkeypatch.chdir("elsewhere")
    opened = open_run("../run")
    assert opened.fingerprint == run.fingerprint
    assert opened.provenance()["configuration"]["dataset"] == str(tmp_path / "some.npz")
    begun(replace(config, dataset="../some.npz"), recipe, RunFolder("../run"))
    Path("digits").mkdir()
    assert begun(CONFIG, RECIPE, RunFolder("named")).config.dataset == "digits"


def test_the_folder_of_another_run_is_refused(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    begun(CONFIG, RECIPE, folder)
    with pytest.raises(ValueError, match=r"holds a run of another configuration: recipe\.epochs"):
        begun(CONFIG, replace(RECIPE, epochs=2), folder)
    with pytest.raises(ValueError, match="the data is not what this run was made with"):
        begun(CONFIG, RECIPE, folder_of_other_data(folder))


def folder_of_other_data(folder: RunFolder) -> RunFolder:
    """The same, as if it had been begun with images in another order of classes."""
    known = Known.read(folder.path)
    assert known is not None
    replace(known, fingerprint=replace(known.fingerprint, classes=known.fingerprint.classes[::-1])).write(folder.path)
    return folder


def test_what_is_chosen_is_made_once() -> None:
    assert CONFIG.space.settings is CONFIG.space.settings
    assert (CONFIG.space.part, CONFIG.space.settings.channels) == ("space", 2)


def test_another_process_is_sent_names_alone() -> None:
    """It may have to import the plugins whose settings these are."""
    assert CONFIG.space.settings.channels == 2
    sent = pickle.loads(pickle.dumps(CONFIG))
    assert sent == CONFIG
    assert "settings" not in vars(sent.space)
    assert sent.space.settings == CONFIG.space.settings

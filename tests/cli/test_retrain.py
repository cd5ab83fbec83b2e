"""One architecture trained as a network of its own: kept, resumed, tested once, exported."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from oneshot.evaluators.standalone import Standalone
from safetensors.torch import load_file

import oneshot
from oneshot.cli import main
from oneshot.export.extract import extract
from oneshot.gates import fixed
from oneshot.registry import SPACES
from oneshot.runs.config import Chosen, Config, configured, document, read
from oneshot.runs.folder import RunFolder, recorded
from oneshot.runs.inherit import initialise
from oneshot.runs.network import network
from oneshot.runs.outcome import outcome
from oneshot.runs.presets import RETRAINING, retraining, usual_retraining
from oneshot.runs.run import build, open_run
from oneshot.samplers.uniform import Uniform
from oneshot.training.callbacks import OnEpoch
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

ARCH = "|nor_conv_3x3~0|+|skip_connect~0|nor_conv_1x1~1|+|none~0|skip_connect~1|nor_conv_3x3~2|"
SMALL = "--dataset digits --epochs 3 --batch-size 300 --shift 1 --flip false --cells 1 --channels 4 --threads 1"
RECIPE = Recipe(epochs=1, batch_size=216, learning_rate=0.05, shift=0, flip=False, precision="float32")


def run_of(text: str) -> int:
    return main(shlex.split(text))


def state(folder: Path) -> dict[str, torch.Tensor]:
    (file,) = folder.glob("state-*.safetensors")
    return load_file(file)


@pytest.fixture(scope="module")
def retrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "alone"
    assert run_of(f"retrain '{ARCH}' --preset nasbench201 {SMALL} --out {folder}") == 0
    return folder


@pytest.fixture(scope="module")
def supernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "supernet"
    assert run_of(f"train --preset darts --split half {SMALL} --out {folder}") == 0
    return folder


def test_it_is_an_ordinary_run_that_was_tested_once(retrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, result = open_run(retrained), json.loads((retrained / "test.json").read_text())
    assert run.config.arch == ARCH
    assert run.net.blocks[0].edges[0].options[0].norm.affine  # pyright: ignore
    gates = fixed(run.space, (0,) * 6)
    with torch.no_grad():
        hits = [(run.net(x, gates).argmax(1) == y).float().mean() for x, y in run.dataset.test.batches(500)]
    assert result["test_accuracy"] == pytest.approx(100 * float(hits[0]))
    protocol = result["protocol"]
    assert protocol["evaluator"] == "test images, once, after the last epoch"
    assert protocol["training_images"] == len(run.train) + len(run.valid)  # the preset trains on all
    assert protocol["checkpoint"] == json.loads((retrained / "checkpoint.json").read_text())["sha256"]
    written = (retrained / "test.json").read_bytes()
    assert run_of(f"retrain '{ARCH}' --preset nasbench201 {SMALL} --out {retrained}") == 0
    assert (retrained / "test.json").read_bytes() == written
    assert "looked at once" in capsys.readouterr().out


@pytest.mark.parametrize("name", SPACES)
def test_every_space_has_a_preset_that_its_networks_can_carry(name: str) -> None:
    config, recipe = configured(retraining(usual_retraining(name), name))
    sizes = {
        f.name: 1 if f.name == "cells" else 8 for f in fields(config.space.kind) if f.name in ("channels", "cells")
    }
    small, space = replace(config, space=Chosen(name, sizes, part="space")), SPACES[name]
    (arch,) = Uniform(space).draw(1, np.random.default_rng(0))
    assert list(network(small, 10, arch, recipe).parameters())


def test_there_is_nothing_to_search(retrained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_of(f"search {retrained}") == 2
    arch = RunFolder(retrained).config["arch"]
    said = f"nothing to search: this is a network of {arch} alone; expected a supernet's run"
    assert said in capsys.readouterr().err


def test_a_stop_after_any_epoch_changes_nothing(retrained: Path, tmp_path: Path) -> None:
    values = {**retraining("nasbench201", "nasbench201"), "dataset": "digits", "epochs": 3, "batch_size": 300}
    values |= {"shift": 1, "flip": False, "space.cells": 1, "space.channels": 4, "arch": ARCH}
    config, recipe = configured(values)

    class Stop(Exception):
        pass

    def stop(row: object) -> None:
        raise Stop

    folder = RunFolder.create(tmp_path / "stopped", recorded(config, recipe))
    monkey = pytest.MonkeyPatch()
    monkey.setattr("oneshot.runs.recording.CHECKPOINT_SECONDS", 0.0)
    for _ in range(2):
        run = build(config, recipe)
        with pytest.raises(Stop):
            train(run.net, run.method, run.train, run.valid, recipe, 0, folder, [OnEpoch(stop)])
        with pytest.raises(ValueError, match=r"is tested once, after its last epoch: \d of 3 are done"):
            outcome(open_run(folder.path))
    monkey.undo()
    assert run_of(f"retrain '{ARCH}' --preset nasbench201 {SMALL} --out {folder.path}") == 0
    ours, theirs = state(folder.path), state(retrained)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert (
        json.loads((folder.path / "test.json").read_text())["test_accuracy"]
        == (json.loads((retrained / "test.json").read_text())["test_accuracy"])
    )


def test_what_a_run_has_found_begins_with_what_its_supernet_learned(supernet: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone"
    options = "--dataset digits --epochs 1 --batch-size 300 --shift 0 --flip false"
    assert run_of(f"retrain {supernet} --preset nasbench201 --init-from {supernet} {options} --out {alone}") == 0
    config, recipe = read(RunFolder(alone).config)
    found = open_run(supernet).method.derive()
    assert found is not None
    assert config.arch == SPACES["nasbench201"].format(found)
    run = build(config, recipe)
    initialise(run)
    inherited = extract(supernet, norm="inherit")
    x = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        assert torch.allclose(run.net.eval()(x, fixed(run.space, (0,) * 6)), inherited(x), atol=1e-5)


def test_a_retrained_network_is_exported_with_its_own_statistics(retrained: Path, tmp_path: Path) -> None:
    assert run_of(f"export {retrained} --out {tmp_path / 'net.safetensors'}") == 0
    module, run = oneshot.load_network(tmp_path / "net.safetensors"), open_run(retrained)
    assert module.facts["protocol"]["batch_norm"] == "inherit"
    x = torch.randn(3, 3, 8, 8)
    with torch.no_grad():
        assert torch.allclose(module(x), run.net(x, fixed(run.space, (0,) * 6)), atol=1e-5)


def test_stand_alone_trainings_keep_their_weights_where_asked(tmp_path: Path) -> None:
    config = Config.of(dataset="digits", split="half", channels=2, cells=1)
    kept, gone = Standalone(config, RECIPE, keep=str(tmp_path / "kept")), Standalone(config, RECIPE)
    arch = SPACES["nasbench201"].parse(ARCH)
    ours, theirs = kept.measure(arch, 3), gone.measure(arch, 3)
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}
    assert kept.protocol == gone.protocol
    (folder,) = (tmp_path / "kept").iterdir()
    run = open_run(folder)
    assert (run.config.arch, run.config.seed) == (ARCH, 3)
    assert {**kept.measure(arch, 3), "seconds": 0} == {**ours, "seconds": 0}  # from what is there


@pytest.mark.parametrize("name", RETRAINING)
def test_the_presets_are_whole(name: str) -> None:
    for space in SPACES:
        config, recipe = configured(retraining(name, space))
        assert read(document(config, recipe)) == (config, recipe)


def test_the_presets_are_the_papers() -> None:
    config, recipe = configured(retraining("darts-cifar", "nasnet"))
    assert (config.space.given["channels"], config.space.given["cells"]) == (36, 6)  # 3 x 6 + 2 = 20 cells
    assert (recipe.epochs, recipe.batch_size, recipe.cutout, recipe.gradient_clip) == (600, 96, 16, 5)
    assert (recipe.drop_path, recipe.auxiliary, recipe.learning_rate, recipe.weight_decay) == (0.2, 0.4, 0.025, 3e-4)
    config, recipe = configured(retraining("darts-imagenet", "nasnet"))
    assert (config.space.given["channels"], config.space.given["cells"]) == (48, 4)  # 14 cells
    assert (recipe.schedule, recipe.label_smoothing, recipe.auxiliary, recipe.drop_path) == ("linear", 0.1, 0.4, 0)
    assert (recipe.learning_rate, recipe.weight_decay, recipe.batch_size, recipe.epochs) == (0.5, 3e-5, 1024, 250)


def test_runs_without_the_younger_options_go_on(tmp_path: Path) -> None:
    config = recorded(Config.of(dataset="digits", split="half", channels=2, cells=1), RECIPE)
    older = json.loads(json.dumps(config))
    del older["arch"], older["method"]["images"]
    for name in ("schedule", "auxiliary", "drop_path"):
        del older["recipe"][name]
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text(json.dumps(older))
    assert RunFolder.create(tmp_path / "run", config).config == config


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("retrain '|none~0|' --out {new}", "no known search space has the architecture '|none~0|'"),
        ("retrain k3e3 --space nasbench201 --out {new}", "'k3e3'"),
        ("retrain {tmp} --out {new}", "is no run folder"),
        ("retrain '{arch}' --preset darts-cifar2 --out {new}", "no preset 'darts-cifar2' for one architecture; there"),
        ("retrain '{arch}' --preset nasbench201 --context bias --out {new}", "there is no setting 'context'"),
        ("retrain '{arch}' --preset nasbench201 --cells 0 --out {new}", "cells must be"),
        ("retrain '{arch}' --preset nasbench201 --cells 1 --init-from {run} --channels 8 --dataset digits --out {new}",
         "inherited weights need a network of the supernet's own sizes, got channels 8 here, 4 there"),
        ("train --arch '{arch}' --context bias --dataset digits --out {new}", "context must be none for one"),
        ("train --arch k3e3 --dataset digits --out {new}", "'k3e3'"),
    ],
)  # fmt: skip
def test_bad_input(text: str, words: str, supernet: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    new = tmp_path / "new"
    assert run_of(text.format(arch=ARCH, new=new, tmp=tmp_path, run=supernet)) == 2
    error = capsys.readouterr().err
    assert words in error
    assert "Traceback" not in error
    assert not new.exists()


def test_images_that_also_test_are_not_trained_on(make_folder: Callable[[], Path], tmp_path: Path) -> None:
    config = Config.of(dataset=str(make_folder()), split="valid-is-test", image_size=8, **{"method.images": "all"})
    with pytest.raises(ValueError, match="images must be train with split valid-is-test"):
        build(config, Recipe(batch_size=4))


@pytest.fixture
def make_folder(tmp_path: Path) -> Callable[[], Path]:
    from PIL import Image

    def make() -> Path:
        for i in range(24):
            part = tmp_path / "pictures" / ("train" if i < 16 else "valid") / f"class{i % 2}"
            part.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (9, 9), (i, i, i)).save(part / f"{i}.png")
        return tmp_path / "pictures"

    return make

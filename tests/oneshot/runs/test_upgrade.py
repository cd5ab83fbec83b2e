"""Run folders that the last version of flat configurations wrote, as it wrote them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from oneshot.evaluators.supernet import SupernetEvaluator
from safetensors.torch import load_file

from oneshot.cli import main
from oneshot.runs.config import Config, document, read
from oneshot.runs.data import Known
from oneshot.runs.folder import RunFolder
from oneshot.runs.presets import preset
from oneshot.runs.run import build, open_run
from oneshot.runs.upgrade import LATER, renamed, upgraded
from oneshot.training.loop import Training
from oneshot.training.recipe import Recipe

FLAT = Path(__file__).parent / "flat"
RECIPE = Recipe(epochs=2, batch_size=64, shift=0, flip=False)
DIGITS: dict[str, Any] = {"dataset": "digits", "split": "half", "split_by": "position", "channels": 2, "cells": 1}
RUNS = {
    "balanced": Config.of(**DIGITS, sampler="balanced", bucket_weights=(1, 2, 4), context="bias", depth=2),
    "darts": Config.of(**DIGITS, method="darts"),
}
TRAIN = ["train", "--preset", "standalone", "--dataset", "digits", "--split", "half", "--channels", "2", "--cells", "1"]
TRAIN += ["--epochs", "2", "--batch-size", "64", "--shift", "0", "--flip", "false", "--threads", "1"]
OPTIONS = {
    "balanced": ["--sampler", "balanced", "--bucket-weights", "[1,2,4]", "--context", "bias", "--depth", "2"],
    "darts": ["--method", "darts"],
}
DERIVED = "|skip_connect~0|+|nor_conv_3x3~0|avg_pool_3x3~1|+|nor_conv_3x3~0|skip_connect~1|nor_conv_1x1~2|"
"""What the version that wrote it derived."""


@pytest.fixture
def flat(tmp_path: Path) -> Path:
    """Copies, so that nothing is written beside what is tested."""
    return Path(shutil.copytree(FLAT, tmp_path / "flat"))


def of_file(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


@pytest.mark.parametrize("name", RUNS)
def test_it_is_the_configuration_that_it_was(name: str, flat: Path) -> None:
    assert document(*read(RunFolder(flat / name).config)) == document(RUNS[name], RECIPE)
    assert RunFolder(flat / name).space.name == "nasbench201"


@pytest.mark.parametrize("name", RUNS)
def test_it_opens_and_predicts_what_was_predicted(name: str, flat: Path) -> None:
    run, there = open_run(flat / name), of_file(flat / name / "predictions.json")
    evaluator = SupernetEvaluator(
        run.net, run.space, run.train, run.valid, there["protocol"]["batch_norm"], 64, precision="float32"
    )
    found = evaluator([run.space.parse(row["arch"]) for row in there["predictions"]])
    assert len(found.values) == 5
    for value, row in zip(found.values, there["predictions"], strict=True):
        assert value.images == row["images"]
        assert value.accuracy == pytest.approx(row["accuracy"], abs=100 / row["images"] + 1e-9)
        assert value.loss == pytest.approx(row["loss"], rel=1e-3)
    assert run.provenance()["checkpoint"] == there["protocol"]["checkpoint"]
    assert "data" not in run.provenance()  # what was stored stays found


def test_it_derives_what_it_derived(flat: Path) -> None:
    run = open_run(flat / "darts")
    found = run.method.derive()
    assert found is not None
    assert run.space.format(found) == DERIVED


@pytest.mark.parametrize("name", RUNS)
def test_all_of_a_checkpoint_is_taken_over(name: str, flat: Path) -> None:
    """Momentum and Adam's moments, too: what a training begins with is what was saved, tensor by tensor."""
    run, folder = build(RUNS[name], RECIPE), RunFolder(flat / name)
    loaded = folder.load()
    assert loaded is not None
    training = Training(run.net, run.method, run.train, run.valid, RECIPE)
    training.load(loaded[0], loaded[1]["epoch"])
    written, state = load_file(flat / name / "state-2.safetensors"), training.state()
    assert renamed(written).keys() == state.keys()
    assert all(torch.equal(value, state[key]) for key, value in renamed(written).items())
    assert sum(key.startswith("arch.") for key in written) == (18 if name == "darts" else 0)


@pytest.mark.parametrize("name", RUNS)
def test_the_same_options_continue_it(name: str, flat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Finished, it stays as it is; with a commit and a state of the first, the second epoch is trained (again)."""
    folder = flat / name
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert main([*TRAIN, *OPTIONS[name], "--out", str(folder)]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()} == before
    assert (f"derived architecture: {DERIVED}" in capsys.readouterr().out) == (name == "darts")

    commit = folder / "checkpoint.json"
    (folder / "state-2.safetensors").rename(folder / "state-1.safetensors")
    commit.write_text(json.dumps({**of_file(commit), "epoch": 1, "file": "state-1.safetensors"}))
    assert main([*TRAIN, *OPTIONS[name], "--out", str(folder)]) == 0
    assert [row["epoch"] for row in RunFolder(folder).metrics] == [1, 2]
    assert of_file(commit)["epoch"] == 2
    assert (folder / "state-2.safetensors").read_bytes() != before["state-2.safetensors"]
    assert (folder / "config.json").read_bytes() == before["config.json"]
    known = Known.read(folder)
    assert known is not None
    assert (known.since_epoch, known.fingerprint.split.by, known.changes) == (1, "position", ())


@pytest.mark.parametrize("name", RUNS)
def test_other_options_are_refused_by_their_name(name: str, flat: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TRAIN, *OPTIONS[name], "--channels", "3", "--out", str(flat / name)]) == 2
    assert "another configuration: space.channels 2 there, 3 now" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"another configuration: recipe\.epochs 2 there, 3 now"):
        RunFolder.create(flat / name, document(RUNS[name], Recipe(epochs=3, batch_size=64, shift=0, flip=False)))
    RunFolder.create(flat / name, document(RUNS[name], RECIPE))


def test_keys_of_no_version_are_refused_by_their_name() -> None:
    config = of_file(FLAT / "balanced" / "config.json")
    with pytest.raises(ValueError, match=r"not of this version: .*'flavour'"):
        upgraded({**config, "flavour": 1})
    with pytest.raises(ValueError, match=r"not of this version: .*epochs must be a int, got '9'"):
        upgraded({**config, "epochs": "9"})
    with pytest.raises(ValueError, match=r"no sampler 'balance'; there are .*did you mean balanced"):
        upgraded({**config, "sampler": "balance"})


@pytest.mark.parametrize("name", RUNS)
def test_the_first_flat_configurations_lack_some_keys(name: str) -> None:
    config = of_file(FLAT / name / "config.json")
    plain = {**config, "sampler": "uniform", "context": "none", "bucket_weights": [], "depth": 1}
    older = {key: value for key, value in plain.items() if key not in LATER}
    assert len(plain) - len(older) == len(LATER) == 17
    assert upgraded(older) == upgraded(plain)


def test_values_move_to_the_component_that_they_belong_to() -> None:
    config = of_file(FLAT / "darts" / "config.json")
    vae = {"vae_every": 3, "vae_samples": 40, "vae_keep": 0.25, "vae_iterations": 7, "vae_increment": 0.5}
    cases: list[tuple[dict[str, Any], str, dict[str, Any]]] = [
        ({"arch_learning_rate": 0.1, "arch_weight_decay": 0.2}, "method",
         {"name": "darts", "order": "first", "arch_learning_rate": 0.1, "arch_weight_decay": 0.2}),
        ({"method": "single-path", "sampler": "vae", **vae, "vae_epsilon": 0.75}, "sampler",
         {"name": "vae", "every": 3, "samples": 40, "keep": 0.25, "iterations": 7, "increment": 0.5, "most": 0.75}),
        ({"context": "split", "split_epoch": 1, "priors": "graph"}, "context",
         {"name": "split", "split_epoch": 1, "priors": "graph"}),
        ({"context": "attention-2", "depth": 3, "priors": "graph"}, "context",
         {"name": "attention-2", "depth": 3, "priors": "graph"}),
        ({"space": "nasbench201-no-zero", "pool_conv": True}, "space",
         {"name": "nasbench201-no-zero", "channels": 2, "cells": 1, "pool_conv": True}),
        ({"space": "nasbench101", "method": "single-path"}, "space",
         {"name": "nasbench101", "channels": 2, "cells": 1}),
        ({"space": "fairnas", "dropout": 0.25}, "space", {"name": "fairnas", "channels": 2, "dropout": 0.25}),
        ({"space": "shufflenet", "dropout": 0.5}, "space", {"name": "shufflenet", "channels": 2, "dropout": 0.5}),
        ({"label_smoothing": 0.1}, "recipe", {**document(*preset("standalone"))["recipe"], "epochs": 2,
         "batch_size": 64, "shift": 0, "flip": False, "label_smoothing": 0.1}),
    ]  # fmt: skip
    for changes, part, expected in cases:
        assert upgraded({**config, **changes})[part] == expected
    nasnet = upgraded({**config, "space": "nasnet"})["space"]
    assert (nasnet["name"], nasnet["channels"], nasnet["cells"]) == ("nasnet", 2, 1)


def test_configurations_of_today_stay_as_they_are() -> None:
    for name in ("paper", "cpu45", "darts", "vaenas-narrow", "fairnas-standalone"):
        assert upgraded(document(*preset(name))) == document(*preset(name))

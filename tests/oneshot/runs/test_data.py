"""A run knows its data: recorded when it is made, compared when it is used, part of what predictions are kept by."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oneshot.evaluators.predict import predict
from oneshot.evaluators.store import Stored
from oneshot.evaluators.supernet import of_folder
from PIL import Image

from oneshot.cli import main
from oneshot.data.arrays import save
from oneshot.runs.config import Config
from oneshot.runs.data import Known
from oneshot.runs.fit import check_fit
from oneshot.runs.folder import RunFolder, recorded
from oneshot.runs.network import network
from oneshot.runs.run import build, open_run
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

RECIPE = Recipe(epochs=1, batch_size=16, shift=0, flip=False)
ARCHS = ["|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"]
TRAIN = "--channels 2 --cells 1 --batch-size 16 --shift 0 --flip false --device cpu --threads 1 --image-size 8"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("valid", 6), ("test", 3)):
        for name in "ab":
            for i in range(count):
                path = tmp_path / "images" / part / name / f"{i:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).save(path)
    return tmp_path / "images"


def trained(folder: Path, out: Path) -> Path:
    config = Config.of(dataset=str(folder), image_size=8, channels=2, cells=1)
    made = RunFolder.create(out, recorded(config, RECIPE))
    run = build(config, RECIPE, folder=made)
    train(run.net, run.method, run.train, run.valid, RECIPE, 0, made)
    return out


def oneshot(words: str) -> int:
    return main(words.split())


def test_it_is_recorded_and_what_differs_is_refused(folder: Path, tmp_path: Path) -> None:
    run = trained(folder, tmp_path / "run")
    known = Known.read(run)
    assert known is not None
    assert (known.since_epoch, known.changes) == (0, ())
    assert known.fingerprint.split.name == "given"  # what auto stands for, because there is a valid/
    before = predict(run, ARCHS, norm="ema-1", batch_size=16)
    assert before.protocol["data"] == known.fingerprint.summary()
    (folder / "train" / "a" / "03.png").unlink()
    with pytest.raises(ValueError, match=r"run: the data is not what this run was made with: train: 40 images were"):
        open_run(run)
    after = predict(run, ARCHS, norm="ema-1", batch_size=16, accept_data=True)
    assert after.protocol["data"]["accepted"][0] == "train: 40 images were there, 39 are, of a 20, now 19"
    assert after.protocol["data"]["fingerprint"] != before.protocol["data"]["fingerprint"]


def as_after_one_epoch(run: Path) -> None:
    """A run that is to be continued."""
    loaded = RunFolder(run).load()
    assert loaded is not None
    RunFolder(run).save(loaded[0], 1, loaded[1]["facts"])


def test_stored_predictions_belong_to_their_data(tmp_path: Path) -> None:
    """Exchanged labels must not find what was predicted of the others."""
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8), np.arange(60) % 2
    arrays = {"train_images": images, "train_labels": labels, "test_images": images[:9], "test_labels": labels[:9]}
    data = save(tmp_path / "a.npz", arrays)
    run = trained(data, tmp_path / "run")
    first = Stored(of_folder(run, norm="ema-1", batch_size=16), tmp_path / "p.sqlite")
    arch = [first.space.parse(ARCHS[0])]
    first(arch)
    save(data, {**arrays, "train_labels": 1 - labels})
    with pytest.raises(ValueError, match="train: other labels"):
        of_folder(run)
    other = Stored(of_folder(run, norm="ema-1", batch_size=16, accept_data=True), tmp_path / "p.sqlite")
    assert (first.count(), other.count(), other.known(arch)) == (1, 0, {})


def test_a_run_of_an_earlier_version_opens_and_gets_one_when_it_is_trained_on(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    assert oneshot(f"train --dataset {folder} --split standard --epochs 2 {TRAIN} --out {run}") == 0
    content = json.loads((run / "config.json").read_text())
    del content["split_by"]  # as earlier versions wrote it
    (run / "config.json").write_text(json.dumps(content))
    (run / "data.json").unlink()
    opened = open_run(run)
    assert opened.data is None
    order = np.random.default_rng(0).permutation(40)
    expected = [sorted(str(path) for path in (folder / "train").rglob("*.png"))[i] for i in order[36:]]
    assert list(opened.valid.places) == expected  # pyright: ignore[reportAttributeAccessIssue]
    as_after_one_epoch(run)
    assert oneshot(f"train --dataset {folder} --epochs 2 {TRAIN} --out {run}") == 0
    known = Known.read(run)
    assert known is not None
    assert (known.since_epoch, known.fingerprint.split.by) == (1, "position")
    assert open_run(run).provenance()["data"]["recorded_since_epoch"] == 1


def test_commands_refuse_other_data_and_accept_it_on_demand(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, asked = tmp_path / "run", f"--dataset {folder} {TRAIN} --out {tmp_path}/run"
    assert oneshot(f"train --epochs 2 {asked}") == 0
    (folder / "valid" / "b" / "00.png").unlink()
    as_after_one_epoch(run)
    few = "--algorithm random --population 2 --generations 1"
    commands = {
        "train": f"train --epochs 2 {asked}",
        "predict": f"predict {run} --sample 2 --batch-norm ema-1 --batch-size 16 --device cpu --json",
        "search": f"search {run} {few} --batch-norm ema-1 --batch-size 16 --device cpu --json",
        "standalone": f"search {run} --standalone 1 {few} --device cpu --json",
        "score": f"score --self {run} {run} --sample 2 --device cpu",
        "serve": f"serve {run} --port 0 --device cpu",
        "derive": f"derive {run} --device cpu",
        "export": f"export {run} {ARCHS[0]} --out {tmp_path}/x.safetensors --device cpu",
        "cost": f"cost {run} {ARCHS[0]} --measure",
    }
    for words in commands.values():
        capsys.readouterr()
        assert oneshot(words) == 2
        said = capsys.readouterr().err.strip()
        assert "valid: 12 images were there, 11 are, of b 6, now 5" in said
        assert "--accept-data goes on all the same" in said
        assert len(said.splitlines()) == 1
    for name in ("predict", "search"):
        assert oneshot(f"{commands[name]} --accept-data") == 0
        assert "valid: 12 images were there" in capsys.readouterr().out
    assert oneshot(f"{commands['train']} --accept-data") == 0
    said = open_run(run).provenance()["data"]
    assert "accepted" not in said
    assert [change["epoch"] for change in said["changed"]] == [1]
    assert said["changed"][0]["differences"][0].startswith("valid: 12 images were there, 11 are")


def test_a_batch_larger_than_the_data_leaves_nothing_behind(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"--dataset {folder} --epochs 1 {TRAIN.replace('--batch-size 16', '--batch-size 64')}"
    assert oneshot(f"train {words} --out {tmp_path}/run") == 2
    assert oneshot(f"benchmark create {tmp_path}/t.parquet {words} --space nasbench201 --sample 1 --seeds 0") == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert [line.partition(": ")[2] for line in said] == [
        "a batch of 64 images needs as many training images, got 40"
    ] * 2
    assert [path.name for path in tmp_path.iterdir() if path != folder] == []


def test_what_cannot_be_read_is_named_before_there_is_a_run(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("valid/a/00.png", "test/b/01.png", "train/b/19.png"):
        (folder / name).write_bytes((folder / name).read_bytes()[:60])
    assert oneshot(f"train --dataset {folder} --epochs 1 {TRAIN} --out {tmp_path}/run") == 2
    said = capsys.readouterr().err.strip()
    assert "3 of 58 images cannot be read" in said
    assert all(name in said for name in ("valid/a/00.png", "test/b/01.png", "train/b/19.png"))
    assert len(said.splitlines()) == 1
    assert not (tmp_path / "run").exists()


def test_a_file_that_says_something_else_is_refused(folder: Path, tmp_path: Path) -> None:
    run = trained(folder, tmp_path / "run")
    for odd in ("[]", "{}", "nothing", '{"fingerprint": 1, "changes": [], "since_epoch": 0}', '{"changes": 3}'):
        (run / "data.json").write_text(odd)
        with pytest.raises(ValueError, match=r"data\.json"):
            open_run(run)


@pytest.mark.parametrize(("size", "fits"), [(27, 24), (30, 28), (9, 8), (32, None), (8, None)])
def test_images_must_fit_the_network(size: int, fits: int | None) -> None:
    """Cells of NAS-Bench-201 halve their images twice, and add what was halved in two ways."""
    config = Config.of(channels=2, cells=1)
    net, space = network(config, 10), config.search_space
    if fits is None:
        check_fit(net, space, (size, size), 2)
        return
    with pytest.raises(ValueError, match=rf"images of {size}x{size} pixels do not fit .*; {fits}x{fits} ones do"):
        check_fit(net, space, (size, size), 2)


def test_checking_the_fit_leaves_the_network_and_chance_alone() -> None:
    config = Config.of(channels=2, cells=1)
    net, space = network(config, 10), config.search_space
    before, state = {key: value.clone() for key, value in net.state_dict().items()}, torch.get_rng_state()
    check_fit(net, space, (8, 8), 1)
    with pytest.raises(ValueError, match=r"batches of one image of 4x4 pixels .* --batch-size must be at least 2"):
        check_fit(net, space, (4, 4), 1)
    assert net.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[key], value) for key, value in net.state_dict().items())


def test_a_size_that_does_not_fit_leaves_no_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words: Any = f"train --dataset {folder} --epochs 1 {TRAIN} --out {tmp_path}/run".replace("size 8", "size 27")
    assert oneshot(words) == 2
    assert "images of 27x27 pixels do not fit" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    shutil.rmtree(folder)

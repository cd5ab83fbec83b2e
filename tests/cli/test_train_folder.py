"""Image folders through the command line: train, stop, continue, predict, make a table, score; and bad folders."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import time
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from oneshot.cli import main
from oneshot.data.source import Dataset
from tests.cli.test_stops import members, start

SMALL = "--channels 2 --image-size 32 --epochs {epochs} --warmup-epochs 1 --batch-size 16 --threads 1"
CLASSES, TRAIN, VALID = 3, 12, 4


def oneshot(text: str) -> int:
    return main(shlex.split(text))


@pytest.fixture(scope="module")
def pictures(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some digits as files of 64 pixels."""
    root, seen = tmp_path_factory.mktemp("folder") / "pictures", [0] * CLASSES
    for pixels, label in zip(digits.pool.pixels.numpy(), digits.pool.labels.tolist(), strict=True):
        if label < CLASSES and seen[label] < TRAIN + VALID:
            part = "train" if seen[label] < TRAIN else "valid"
            path = root / part / f"digit {label}" / f"{seen[label]:02d}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).resize((64, 64)).save(path)
            seen[label] += 1
    return root


def test_the_recipe_of_table_5_from_training_to_score(
    pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run, table, small = tmp_path / "run", tmp_path / "t.parquet", SMALL.format(epochs=2)
    assert oneshot(f"train --preset fairnas --dataset {pictures} {small} --out {run}") == 0
    config = json.loads((run / "config.json").read_text())
    assert (config["split"], config["dataset"]) == ("valid-is-test", str(pictures))
    assert (config["recipe"]["crop_scale"], config["recipe"]["interpolation"]) == (0.4, "bilinear")
    assert config["space"] == {"name": "fairnas", "channels": config["space"]["channels"], "dropout": 0}

    alone = f"benchmark create {table} --preset fairnas-standalone --dataset {pictures} {small} --sample 3 --seeds 1"
    assert oneshot(alone) == 0
    frame = pd.read_parquet(table)
    assert {"pictures_test", "pictures_test_seed1"} <= {*frame.columns}
    assert "pictures_valid" not in frame.columns

    for which in ("--sample 1", f"--from {table}"):
        out = tmp_path / "p.parquet"
        assert oneshot(f"predict {run} {which} --batch-norm ema-2 --threads 1 --out {out}") == 0
    predicted = pd.read_parquet(out)
    assert [*predicted["arch"]] == [*frame["arch"]]
    assert set(predicted["images"]) == {CLASSES * VALID}
    correct = predicted["accuracy"].to_numpy() * CLASSES * VALID / 100
    assert correct == pytest.approx(correct.round())
    capsys.readouterr()
    assert oneshot(f"score {out} --benchmark {table} --bootstraps 20 --json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["ceiling"] is None
    assert document["protocol"]["truth"] == "pictures_test"


def test_a_stop_leaves_no_process_and_the_next_run_continues(pictures: Path, tmp_path: Path) -> None:
    """Ctrl-C reaches a whole group of processes, those that read images too."""
    words = f"train --preset fairnas --dataset {pictures} {SMALL.format(epochs=5)} --out "
    cut, whole = tmp_path / "cut", tmp_path / "whole"
    process = start(words + shlex.quote(str(cut)))
    end, metrics = time.monotonic() + 120, cut / "metrics.jsonl"
    while not (metrics.exists() and metrics.read_text().count("\n") >= 1 and len(members(process.pid)) > 1):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < end, "never got ready to be stopped"
    os.killpg(process.pid, signal.SIGINT)
    error = process.communicate(timeout=60)[1]
    assert process.returncode == 130, error
    assert "the same command continues" in error
    assert "Traceback" not in error
    end = time.monotonic() + 20
    while members(process.pid):
        assert time.monotonic() < end, "processes outlived their parent"
        time.sleep(0.05)
    assert 1 <= metrics.read_text().count("\n") < 5
    assert oneshot(words + str(cut)) == 0
    assert oneshot(words + str(whole)) == 0
    assert (cut / "state-5.safetensors").read_bytes() == (whole / "state-5.safetensors").read_bytes()


def damage(folder: Path) -> None:
    path = folder / "train" / "digit 1" / "05.png"
    path.write_bytes(path.read_bytes()[:60])


def misname(folder: Path) -> None:
    (folder / "valid" / "digit 2").rename(folder / "valid" / "digit two")


def empty(folder: Path) -> None:
    shutil.rmtree(folder / "train" / "digit 0")
    (folder / "train" / "digit 0").mkdir()


def flatten(folder: Path) -> None:
    for path in list((folder / "train").rglob("*.png")):
        path.rename(folder / "train" / f"{path.parent.name} {path.name}")
    for path in (folder / "train").glob("digit ?"):
        path.rmdir()


def unlabel(folder: Path) -> None:
    shutil.rmtree(folder / "valid")


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (damage, "1 of 48 images cannot be read"),
        (misname, "valid has the class 'digit two', which is none of the 3 of train/"),
        (empty, "train/digit 0 holds no image"),
        (flatten, "train, got 36 images and no folder"),
        (unlabel, "needs validation images of the data set's own, bad has none"),
    ],
)
def test_bad_folders_are_one_line(
    harm, words: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(pictures, tmp_path / "bad")
    harm(tmp_path / "bad")
    small = SMALL.format(epochs=2)
    assert oneshot(f"train --preset fairnas --dataset {tmp_path / 'bad'} {small} --out {tmp_path / 'run'}") == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not (tmp_path / "run" / "checkpoint.json").exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--preset demo --crop-scale 0.4", "crop_scale and color_jitter are for image folders"),
        ("--preset demo --dropout 0.2", "dropout is a setting of space fairnas"),
        ("--preset demo --interpolation random", "crop_scale must be below 1"),
        ("--preset fairnas --dataset {pictures} --split given", "pictures has no test images beside its validation"),
        ("--preset fairnas --dataset nowhere", "or of a folder with train/ and valid/"),
    ],
)
def test_options_that_cannot_apply_make_no_run(
    options: str, words: str, pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert oneshot(f"train {options.format(pictures=pictures)} --out {tmp_path / 'run'}") == 2
    assert words in capsys.readouterr().err
    assert not (tmp_path / "run").exists()

"""What a fingerprint says: nothing of data that is the same, and of any other what differs."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from oneshot.data.arrays import KEYS, save
from oneshot.data.fingerprint import Fingerprint, differences, in_words
from oneshot.data.folder import load_folder
from oneshot.data.load import load

Change = Callable[[Path], Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("valid", 5), ("test", 5)):
        for name in ("ant", "bee", "cat"):
            for i in range(count):
                path = tmp_path / "insects" / part / name / f"{i:02}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(path)
    return tmp_path / "insects"


def of(folder: Path, split: str = "given") -> Fingerprint:
    return load_folder(folder, 8, workers=0).fingerprint(split)


def test_a_copy_elsewhere_is_the_same(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "elsewhere")
    assert of(folder) == of(tmp_path / "elsewhere")
    assert of(folder).digest == of(tmp_path / "elsewhere").digest
    assert differences(of(folder), of(tmp_path / "elsewhere")) == []


def swapped(folder: Path) -> None:
    """Two images of one class exchange their names."""
    one, two = (folder / "train" / "ant" / name for name in ("00.png", "01.png"))
    content = one.read_bytes()
    one.write_bytes(two.read_bytes())
    two.write_bytes(content + b" ")


CHANGES: dict[str, tuple[Change, str]] = {
    "an image is gone": (
        lambda f: (f / "train/bee/03.png").unlink(),
        "train: 60 images were there, 59 are, of bee 20, now 19; its split was given by image (60 train, 15 validate",
    ),
    "an image more": (
        lambda f: shutil.copy(f / "valid/cat/00.png", f / "valid/cat/99.png"),
        "valid: 15 images were there, 16 are, of cat 5, now 6; its split was",
    ),
    "a file has another name": (
        lambda f: (f / "train/ant/00.png").rename(f / "train/ant/x.png"),
        "train: other images",
    ),
    "a file has another content": (swapped, "train: other sizes of the files"),
    "an image is of another class": (
        lambda f: (f / "train/ant/00.png").rename(f / "train/bee/x.png"),
        "train: of ant 20, now 19, bee 20, now 21",
    ),
    "a class has another name": (
        lambda f: [(f / part / "cat").rename(f / part / "Cat") for part in ("train", "valid", "test")],
        "class 0 was 'ant', is 'Cat'; train: other images",
    ),
    "a class is gone": (
        lambda f: [shutil.rmtree(f / part / "bee") for part in ("train", "valid", "test")],
        "it had 3 classes, has 2 (without bee); train: 60 images were there, 40 are",
    ),
    "test images are gone": (lambda f: shutil.rmtree(f / "test"), "its test images are gone"),
}


@pytest.mark.parametrize("name", CHANGES)
def test_what_differs_is_said(name: str, folder: Path) -> None:
    change, words = CHANGES[name]
    before = of(folder, "auto")
    change(folder)
    found = differences(before, of(folder, "auto"))
    assert words in in_words(found)
    assert before.digest != of(folder, "auto").digest


ARRAYS: dict[str, tuple[Callable[[dict[str, np.ndarray]], Any], str]] = {
    "a pixel": (lambda a: np.bitwise_xor.at(a["train_images"], (3, 0, 0, 0), 1), "train: other images"),
    "exchanged labels": (lambda a: a["train_labels"].__setitem__([0, 1], [1, 0]), "train: other labels"),
    "another order": (lambda a: [a.update({k: a[k][::-1]}) for k in KEYS[:2]], "train: other images"),
    "test labels": (lambda a: a["test_labels"].__setitem__(0, 1), "test: of 0 7, now 6, 1 7, now 8"),
    "brighter": (
        lambda a: a.update(train_images=a["train_images"] // 2 + 100),
        "the mean of its pixels was",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_arrays_are_known_by_their_content(name: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    arrays = {
        "train_images": rng.integers(0, 256, (60, 6, 6, 3), dtype=np.uint8), "train_labels": np.arange(60) % 3,
        "test_images": rng.integers(0, 256, (21, 6, 6, 3), dtype=np.uint8), "test_labels": np.arange(21) % 3,
    }  # fmt: skip
    change, words = ARRAYS[name]
    before = load(str(save(tmp_path / "a.npz", arrays))).fingerprint("half")
    change(arrays)
    now = load(str(save(tmp_path / "a.npz", arrays))).fingerprint("half")
    assert words in in_words(differences(before, now))


def test_a_split_is_part_of_it(folder: Path) -> None:
    dataset = load_folder(folder, 8, workers=0)
    said = in_words(differences(dataset.fingerprint("half"), dataset.fingerprint("half", "position")))
    assert said.startswith("its split was half by image (")
    assert "is half by position (30 train, 30 validate" in said


def test_many_differences_are_named_in_a_sentence(folder: Path) -> None:
    before = of(folder)
    other = replace(before, format="npz", classes=("x", "y", "z"), parts={}, mean=(1.0, 1.0, 1.0), std=(1.0, 1.0, 1.0))
    said = in_words(differences(before, other))
    assert said.endswith("; and 2 more")
    assert said.count(";") == 5


def test_it_is_read_as_it_was_written(folder: Path) -> None:
    found = of(folder)
    assert Fingerprint.read(json.loads(json.dumps(found.document()))) == found
    for odd in (None, [], {}, {**found.document(), "parts": 3}, {**found.document(), "more": 1}):
        with pytest.raises(ValueError, match="expected the fingerprint of a data set, got"):
            Fingerprint.read(odd)

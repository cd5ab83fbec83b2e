"""Image folders as people have them: what is a class, what is an image, what is neither."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from oneshot.data.folder import load_folder
from oneshot.data.listing import class_names, image_files
from oneshot.data.load import load
from oneshot.data.split import resolved


def fill(folder: Path, *names: str, count: int = 3, suffix: str = ".png") -> None:
    for name in names:
        (folder / name).mkdir(parents=True, exist_ok=True)
        for i in range(count):
            Image.new("L", (4, 4), i).save(folder / name / f"{i:02}{suffix}", format="PNG")


def test_what_archives_interpreters_and_notebooks_leave_behind_is_no_class_and_no_image(tmp_path: Path) -> None:
    fill(tmp_path, "train/a", "train/b", "valid/a")
    fill(tmp_path, "train/__MACOSX/a", "train/__pycache__", "train/.ipynb_checkpoints", "valid/__MACOSX", count=1)
    fill(tmp_path, "train/a/.ipynb_checkpoints", "train/b/__MACOSX", count=1)
    for stray in ("train/a/._00.png", "train/a/.DS_Store", "train/a/Thumbs.db", "train/notes.txt"):
        (tmp_path / stray).write_text("no image")
    dataset = load_folder(tmp_path, 4, workers=0)
    assert dataset.class_names == ("a", "b")
    assert [len(part) for part in dataset.parts().values()] == [6, 3]
    assert image_files(tmp_path / "train" / "a") == ["00.png", "01.png", "02.png"]
    assert class_names(tmp_path / "train") == ["a", "b"]


@pytest.mark.parametrize("name", ["valid", "val", "validation"])
def test_validation_images_of_its_own_are_used_unless_told_otherwise(name: str, tmp_path: Path) -> None:
    fill(tmp_path, "train/a", "train/b", "test/a", count=20)
    fill(tmp_path, f"{name}/a", f"{name}/b")
    dataset = load_folder(tmp_path, 4, workers=0)
    assert [len(part) for part in dataset.split("auto")] == [40, 6]
    assert sum(len(part) for part in dataset.split("half")) == 40
    for path in (tmp_path / "test").rglob("*.png"):
        path.unlink()
    (tmp_path / "test" / "a").rmdir()
    (tmp_path / "test").rmdir()
    assert resolved(load_folder(tmp_path, 4, workers=0), "auto") == "valid-is-test"


def test_two_folders_of_validation_images_are_one_too_many(tmp_path: Path) -> None:
    fill(tmp_path, "train/a", "train/b", "valid/a", "val/a")
    with pytest.raises(ValueError, match="has valid and val: which of them validates"):
        load_folder(tmp_path)


@pytest.mark.parametrize("root", ["", "train"])
def test_one_folder_a_class_is_enough(root: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By share: a tenth tests, and of the rest a tenth validates; who does what depends on nobody else."""
    fill(tmp_path / "flat" / root, "bird", "cat", "dog", count=60)
    monkeypatch.chdir(tmp_path)
    dataset = load("flat", image_size=4)
    assert dataset.class_names == ("bird", "cat", "dog")
    train, valid = dataset.split("auto")
    parts = [set(part.places) for part in (train, valid, dataset.test)]
    assert len(set.union(*parts)) == sum(map(len, parts)) == 180
    assert len(dataset.test) == pytest.approx(18, abs=4 * (180 * 0.09) ** 0.5)
    (tmp_path / "flat" / root / "cat" / "07.png").unlink()
    again = load("flat", image_size=4)
    gone = {path for side in parts for path in side if path.endswith("cat/07.png")}
    assert [set(part.places) for part in (*again.split("auto"), again.test)] == [side - gone for side in parts]


@pytest.mark.parametrize("suffix", [".gif", ".jfif", ".JPEG", ".Png"])
def test_endings_of_images(suffix: str, tmp_path: Path) -> None:
    fill(tmp_path, "train/a", "train/b", "test/a", suffix=suffix)
    dataset = load_folder(tmp_path, 4, workers=0)
    assert np.unique(dataset.pool.in_memory().pixels.numpy()).tolist() == [0, 1, 2]


def test_a_class_alone_is_none(tmp_path: Path) -> None:
    fill(tmp_path, "train/a", "valid/a")
    with pytest.raises(ValueError, match=r"at least two classes, .* got the class 'a' alone"):
        load_folder(tmp_path)


def test_a_folder_of_something_else_is_no_data_set(tmp_path: Path) -> None:
    (tmp_path / "papers" / "drafts").mkdir(parents=True)
    (tmp_path / "papers" / "drafts" / "a.txt").write_text("no image")
    with pytest.raises(ValueError, match="is no image folder: expected train/ and valid/ or test/ with a folder for"):
        load_folder(tmp_path / "papers")

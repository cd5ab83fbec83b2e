"""Data set files by themselves; what `load` makes of them is tested with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oneshot.data.arrays import KEYS, digits, read, save
from oneshot.data.load import load


def test_what_is_saved_is_read_and_other_keys_are_left_alone(tmp_path: Path) -> None:
    arrays = digits()
    path = save(tmp_path / "digits.npz", {**arrays, "lossless": np.ones(3)})
    again = read(path)
    assert list(again) == list(KEYS)
    assert all(np.array_equal(again[key], arrays[key]) for key in KEYS)
    assert [p.name for p in tmp_path.iterdir()] == ["digits.npz"]


def test_digits_are_three_equal_channels_of_all_classes() -> None:
    arrays = digits()
    shapes = [arrays[key].shape for key in KEYS]
    assert shapes == [(1297, 8, 8, 3), (1297,), (500, 8, 8, 3), (500,)]
    assert all(arrays[key].dtype == np.uint8 for key in KEYS)
    assert (arrays["train_images"] == arrays["train_images"][..., :1]).all()
    assert arrays["train_images"].max() == 255
    assert len(np.unique(arrays["test_labels"])) == 10


def test_digits_of_an_installation_without_the_file_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from_file = digits()
    monkeypatch.setattr(Path, "is_file", lambda path: False)
    by_import = digits()
    assert all(np.array_equal(from_file[key], by_import[key]) for key in KEYS)


def test_a_missing_file_is_no_readable_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.npz is no readable \.npz file"):
        read(tmp_path / "none.npz")


def saved(folder: Path, labels: np.ndarray, test: np.ndarray | None = None, **others: np.ndarray) -> str:
    """A data set of the labels, each image one colour."""
    count = len(labels)
    images = np.repeat(np.arange(count, dtype=np.uint8), 4 * 4 * 3).reshape(count, 4, 4, 3)
    tested = labels if test is None else test
    whole = dict(zip(KEYS, (images, labels, images[: len(tested)], tested), strict=True)) | others
    return str(save(folder / "some.npz", whole))


@pytest.mark.parametrize("kind", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"])
@pytest.mark.parametrize("shape", [(9,), (9, 1)])
def test_labels_are_integers_of_any_type(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    labels = (np.arange(9) % 3).astype(kind).reshape(shape)
    dataset = load(saved(tmp_path, labels))
    assert (dataset.classes, dataset.class_names) == (3, ("0", "1", "2"))
    assert dataset.pool.labels.tolist() == dataset.test.labels.tolist() == (np.arange(9) % 3).tolist()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("names", [[0, 1, 2], [1, 2, 3], [7, 8, 9], [2**63, 2**63 + 1, 2**63 + 2]])
def test_classes_are_the_distinct_labels_in_order(names: list[int], tmp_path: Path) -> None:
    dataset = load(saved(tmp_path, np.array(names, np.uint64)[[2, 0, 1, 1]], np.array(names[1:], np.uint64)))
    assert dataset.class_names == tuple(map(str, names))
    assert [part.labels.tolist() for part in (dataset.pool, dataset.test)] == [[2, 0, 1, 1], [1, 2]]


@pytest.mark.parametrize("names", [[0, 5, 9], [0, 1, 100_000]])
def test_numbers_that_are_missing_in_between_are_said(names: list[int], tmp_path: Path) -> None:
    words = rf"the labels are {names[0]}, {names[1]}, {names[2]}, so there are 3 classes; the numbers missing"
    with pytest.warns(UserWarning, match=words):
        dataset = load(saved(tmp_path, np.array(names)[[0, 1, 2, 0]]))
    assert (dataset.classes, dataset.pool.labels.tolist()) == (3, [0, 1, 2, 0])


def test_labels_that_are_none_are_refused(tmp_path: Path) -> None:
    for labels, words in (
        (np.zeros(5, np.int64), "at least two classes, got the label 0 for every training image"),
        (np.array([0, 1, -1]), "train_labels must not be negative, got -1"),
        (np.array([0.0, 1.0]), "train_labels must be 2 integers, got float64"),
        (np.zeros((4, 2), np.int64), r"train_labels must be 4 integers, got int64 \(4, 2\)"),
    ):
        with pytest.raises(ValueError, match=words):
            load(saved(tmp_path, labels))
    with pytest.raises(ValueError, match="test_labels has 2, which no training image has: the labels are 0, 1, so"):
        load(saved(tmp_path, np.array([0, 1]), np.array([1, 2])))


@pytest.mark.parametrize("shape", [(-1, 8, 8), (-1, 8, 8, 1)])
def test_grey_images_have_three_equal_channels(shape: tuple[int, ...], tmp_path: Path) -> None:
    arrays = digits()
    grey = {key: a[..., 0].reshape(shape) if key.endswith("images") else a for key, a in arrays.items()}
    found = read(save(tmp_path / "grey.npz", grey))
    assert all(np.array_equal(found[key], arrays[key]) for key in KEYS)


def test_validation_images_of_its_own_validate(tmp_path: Path) -> None:
    images = np.full((4, 4, 4), 200, np.uint8)
    labels = np.array([0, 1, 1, 0])
    path = saved(tmp_path, np.arange(10) % 2, val_images=images, val_labels=labels)
    train, valid = load(path).split("auto")
    assert [len(train), len(valid)] == [10, 4]
    assert valid.pixels.unique().tolist() == [200]
    with pytest.raises(ValueError, match="has val_labels alone: expected val_images and val_labels, or none of them"):
        load(saved(tmp_path, np.arange(10) % 2, val_labels=labels))


def test_keys_of_other_tools_are_named(tmp_path: Path) -> None:
    arrays = digits()
    names = ("x_train", "y_train", "x_test", "y_test")
    np.savez(tmp_path / "keras.npz", **dict(zip(names, (arrays[key] for key in KEYS), strict=True)))
    with pytest.raises(ValueError, match=r"got x_train, .*; save x_train as train_images, .*y_test as test_labels"):
        read(tmp_path / "keras.npz")

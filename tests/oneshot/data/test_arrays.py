"""Data set files by themselves; what `load` makes of them is tested with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from oneshot.data.arrays import KEYS, digits, read, save


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


def test_a_missing_file_is_no_readable_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none\.npz is no readable \.npz file"):
        read(tmp_path / "none.npz")

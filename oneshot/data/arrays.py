"""Data set files: an `.npz` of images and labels, read with checks, and the digits that come with scikit-learn.

`train_images` and `test_images` are uint8 [N, H, W, 3], or grey without the last dimension or with 1; `train_labels`
and `test_labels` [N] or [N, 1] integers of any type. `val_images` and `val_labels`, if there are any, validate.
"""

from __future__ import annotations

import importlib.util
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from oneshot.base.files import replacing
from oneshot.base.npz import arrays_of

PARTS = ("train", "test", "val")
KEYS = ("train_images", "train_labels", "test_images", "test_labels")
VALIDATION = ("val_images", "val_labels")
OTHERS = {
    f"{letter}_{theirs}": f"{ours}_{kind}"
    for letter, kind in (("x", "images"), ("X", "images"), ("y", "labels"))
    for theirs, ours in (("train", "train"), ("test", "test"), ("val", "val"), ("valid", "val"))
}
"""What other tools call the same."""


def save(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write a data set file, whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    return path


def digits() -> dict[str, np.ndarray]:
    """The 1,797 digits of scikit-learn as 8x8 images with three equal channels: 1,297 to train on, 500 to test."""
    table = _table_of_digits()
    grey = np.round(table[:, :64].reshape(-1, 8, 8) * (255 / 16)).astype(np.uint8)
    labels = table[:, 64].astype(np.uint8)
    images = np.repeat(grey[..., None], 3, axis=3)
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[500:], order[:500]
    return dict(zip(KEYS, (images[train], labels[train], images[test], labels[test]), strict=True))


def _table_of_digits() -> np.ndarray:
    """[1797, 65], pixels and the label: read from scikit-learn's file, for importing scikit-learn takes seconds."""
    installed = importlib.util.find_spec("sklearn")
    if installed is not None and installed.origin is not None:
        path = Path(installed.origin).parent / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return np.column_stack([pixels, labels])  # pyright: ignore[reportArgumentType, reportCallIssue]


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a data set file; ValueError where it cannot be read, lacks a key, or holds something else."""
    arrays, names = arrays_of(path, (*KEYS, *VALIDATION))
    _check_keys(path, names, arrays)
    return {key: _labels(path, key, array, arrays) if key.endswith("labels") else _pixels(path, key, array)
            for key, array in arrays.items()}  # fmt: skip


def classes_of(name: str, labels: Mapping[str, np.ndarray]) -> tuple[tuple[str, ...], dict[str, np.ndarray]]:
    """The distinct training labels in their order, and every label as its place among them, int64 [N].

    A number that is missing in between is a warning. ValueError for fewer than two classes, and for a label that no
    training image has.
    """
    values, train = np.unique(labels["train"], return_inverse=True)
    if len(values) < 2:
        raise ValueError(f"{name}: expected at least two classes, got the label {values[0]} for every training image")
    found = {"train": train.reshape(-1).astype(np.int64)}
    for part in labels.keys() - {"train"}:
        odd = np.setdiff1d(labels[part], values)
        if len(odd):
            raise ValueError(f"{name}: {part}_labels has {odd[0]}, which no training image has: {_listed(values)}")
        found[part] = np.searchsorted(values, labels[part]).astype(np.int64)
    if int(values[-1]) - int(values[0]) >= len(values):
        warnings.warn(f"{name}: {_listed(values)}; the numbers missing in between are no classes", stacklevel=2)
    return tuple(map(str, values.tolist())), {part: found[part] for part in labels}


def _listed(values: np.ndarray) -> str:
    shown = [*values[:5].tolist(), *(["..."] if len(values) > 6 else []), *values[max(5, len(values) - 1) :].tolist()]
    return f"the labels are {', '.join(map(str, shown))}, so there are {len(values)} classes"


def _check_keys(path: Path, names: Sequence[str], arrays: Mapping[str, np.ndarray]) -> None:
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        others = [f"{theirs} as {ours}" for theirs, ours in OTHERS.items() if theirs in names and ours in missing]
        hint = f"; save {', '.join(others)}" if others else ""
        raise ValueError(f"{path} lacks {', '.join(missing)}; expected {', '.join(KEYS)}, got {', '.join(names)}{hint}")
    half = [key for key, other in (VALIDATION, VALIDATION[::-1]) if key in arrays and other not in arrays]
    if half:
        raise ValueError(f"{path} has {half[0]} alone: expected {' and '.join(VALIDATION)}, or none of them")


def _pixels(path: Path, key: str, images: np.ndarray) -> np.ndarray:
    """uint8 [N, H, W, 3], also of grey images [N, H, W] or [N, H, W, 1]."""
    grey = images.ndim == 3 or (images.ndim == 4 and images.shape[3] == 1)
    if images.dtype != np.uint8 or not (grey or (images.ndim == 4 and images.shape[3] == 3)) or not images.size:
        raise ValueError(
            f"{path}: {key} must be uint8 [N, H, W, 3], or grey [N, H, W] or [N, H, W, 1], "
            f"got {images.dtype} {images.shape}"
        )
    return np.repeat(images.reshape(*images.shape[:3], 1), 3, axis=3) if grey else np.ascontiguousarray(images)


def _labels(path: Path, key: str, labels: np.ndarray, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
    """Integers of any type [N], also of [N, 1]."""
    count = len(arrays[key.replace("labels", "images")])
    if labels.shape not in ((count,), (count, 1)) or labels.dtype.kind not in "iu" or not labels.size:
        raise ValueError(f"{path}: {key} must be {count} integers, got {labels.dtype} {labels.shape}")
    if labels.min() < 0:
        raise ValueError(f"{path}: {key} must not be negative, got {labels.min()}")
    return labels.reshape(-1)

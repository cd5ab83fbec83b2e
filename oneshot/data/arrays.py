"""Data set files: an `.npz` of images and labels, read with checks, and the digits that come with scikit-learn.

`train_images` and `test_images` are uint8 [N, H, W, 3], `train_labels` and `test_labels` [N] integers from 0.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from oneshot.base.files import replacing
from oneshot.base.npz import arrays_of

KEYS = ("train_images", "train_labels", "test_images", "test_labels")


def save(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write a data set file, whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    return path


def digits() -> dict[str, np.ndarray]:
    """The 1,797 digits of scikit-learn as 8x8 images with three equal channels: 1,297 to train on, 500 to test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.round(digits.images * (255 / 16)).astype(np.uint8)  # pyright: ignore[reportAttributeAccessIssue]
    labels = digits.target.astype(np.uint8)  # pyright: ignore[reportAttributeAccessIssue]
    images = np.repeat(grey[..., None], 3, axis=3)
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[500:], order[:500]
    return dict(zip(KEYS, (images[train], labels[train], images[test], labels[test]), strict=True))


def read(path: Path) -> dict[str, np.ndarray]:
    """The arrays of a data set file; ValueError where it cannot be read, lacks a key, or holds something else."""
    arrays, names = arrays_of(path, KEYS)
    missing = [key for key in KEYS if key not in arrays]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; expected {', '.join(KEYS)}, got {', '.join(names)}")
    for part in ("train", "test"):
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[3] != 3:
            raise ValueError(f"{path}: {part}_images must be uint8 [N, H, W, 3], got {images.dtype} {images.shape}")
        if labels.shape != images.shape[:1] or labels.dtype.kind not in "iu":
            raise ValueError(f"{path}: {part}_labels must be {len(images)} integers, got {labels.dtype} {labels.shape}")
        if labels.size == 0 or labels.min() < 0:
            raise ValueError(f"{path}: {part}_labels must not be negative or empty")
    classes = int(arrays["train_labels"].max()) + 1
    if arrays["test_labels"].max() >= classes:
        raise ValueError(f"{path}: test_labels must lie below the {classes} classes, got {arrays['test_labels'].max()}")
    return arrays

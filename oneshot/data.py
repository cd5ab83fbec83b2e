"""Image data sets as uint8 tensors on the device, and batches augmented there without worker processes."""

from __future__ import annotations

import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.files import replacing
from oneshot.lookup import data_folder, find_file

KEYS = ("train_images", "train_labels", "test_images", "test_labels")
SPLITS = {"standard": 0.9, "half": 0.5}
"""The share of the training images that trains; the rest validates. On CIFAR: 45,000 / 5,000 and 25,000 / 25,000."""


@dataclass(frozen=True, eq=False)
class Images:
    """Images [N, H, W, 3] uint8 with labels [N] int64 on one device, and the mean and std [3] that normalise them."""

    pixels: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, index: Tensor | slice) -> Images:
        return Images(self.pixels[index], self.labels[index], self.mean, self.std)

    def normalised(self, pixels: Tensor) -> Tensor:
        """Float images [B, 3, H, W], channels-last in memory, of uint8 pixels [B, H, W, 3]."""
        return ((pixels.float() - self.mean) / self.std).permute(0, 3, 1, 2)

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in order, not augmented; the last batch may be smaller."""
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            yield self.normalised(self.pixels[part]), self.labels[part]


@dataclass(frozen=True, eq=False)
class Dataset:
    """Training images, of which a split keeps some for validation, and test images that only a named protocol uses."""

    name: str
    classes: int
    pool: Images
    test: Images

    def split(self, name: str = "standard") -> tuple[Images, Images]:
        """The training and the validation images: the same fixed permutation of the pool for every run."""
        if name not in SPLITS:
            raise ValueError(f"no split {name!r}; there are {', '.join(SPLITS)}")
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(self.pool)))
        train = round(SPLITS[name] * len(self.pool))
        return self.pool.subset(order[:train]), self.pool.subset(order[train:])


@dataclass(frozen=True)
class Augmentation:
    """Random shift by up to `shift` pixels (zeros move in), horizontal flip, and a `cutout` square set to the mean."""

    shift: int = 4
    flip: bool = True
    cutout: int = 0


def training_batches(
    images: Images,
    batch_size: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
    rank: int = 0,
    world: int = 1,
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of shuffled, augmented batches; an incomplete last batch is dropped.

    With several processes, each gets its share of every batch: images and random numbers are those of one process.
    """
    if len(images) < batch_size:
        raise ValueError(f"a batch of {batch_size} images needs as many training images, got {len(images)}")
    if batch_size % world:
        raise ValueError(f"a batch of {batch_size} images does not divide among {world} processes")
    device = images.labels.device
    order = rng.permutation(len(images))
    for start in range(0, len(images) - batch_size + 1, batch_size):
        index = torch.from_numpy(order[start : start + batch_size][rank::world]).to(device)
        draws = torch.from_numpy(rng.random((5, batch_size), dtype=np.float32)[:, rank::world].copy()).to(device)
        yield augment(images, images.pixels[index], augmentation, draws), images.labels[index]


def augment(images: Images, pixels: Tensor, augmentation: Augmentation, draws: Tensor) -> Tensor:
    """Normalised, augmented images [B, 3, H, W] of pixels [B, H, W, 3], from uniform draws [5, B] in [0, 1)."""
    batch, height, width, _ = pixels.shape
    rows = torch.arange(height, device=pixels.device).expand(batch, height)
    columns = torch.arange(width, device=pixels.device).expand(batch, width)
    if augmentation.flip:
        columns = torch.where(draws[0, :, None] < 0.5, columns, width - 1 - columns)
    if augmentation.shift:
        span = 2 * augmentation.shift + 1
        rows = rows + (draws[1, :, None] * span).long()
        columns = columns + (draws[2, :, None] * span).long()
        s = augmentation.shift
        pixels = F.pad(pixels, (0, 0, s, s, s, s))
    if augmentation.flip or augmentation.shift:
        each = torch.arange(batch, device=pixels.device)[:, None, None]
        pixels = pixels[each, rows[:, :, None], columns[:, None, :]]
    x = images.normalised(pixels)
    if augmentation.cutout:
        x = x * _cutout(height, width, augmentation.cutout, draws[3:])
    return x


def _cutout(height: int, width: int, size: int, draws: Tensor) -> Tensor:
    """A mask [B, 1, H, W] that is zero on a square of `size` around a random pixel, cut at the border."""

    def inside(length: int, draw: Tensor) -> Tensor:
        start = (draw[:, None] * length).long() - size // 2
        position = torch.arange(length, device=draw.device)
        return (position >= start) & (position < start + size)

    hidden = inside(height, draws[0])[:, :, None] & inside(width, draws[1])[:, None, :]
    return (~hidden)[:, None].float()


def load(
    name: str, data_dir: str | Path | None = None, image_size: int | None = None, device: str | torch.device = "cpu"
) -> Dataset:
    """The data set of that name or `.npz` file, resized by area averaging where `image_size` asks for less.

    ValueError where the file cannot be read or lacks a key; FileNotFoundError says where it was looked for.
    """
    if name == "digits":
        arrays = _digits()
    else:
        hint = f"`oneshot data {name}` makes it" if name in ("cifar10", "cifar100") else "give the path of an .npz file"
        path = find_file(name, ".npz", data_dir, None, hint)
        name, arrays = path.stem, _read(path)
    train_x, train_y, test_x, test_y = (torch.from_numpy(arrays[key]) for key in KEYS)
    if image_size is not None:
        train_x, test_x = _resized(train_x, image_size), _resized(test_x, image_size)
    mean, std = _moments(train_x)
    moments = mean.to(device), std.to(device)
    pool = Images(train_x.to(device), train_y.long().to(device), *moments)
    test = Images(test_x.to(device), test_y.long().to(device), *moments)
    return Dataset(name, int(train_y.max()) + 1, pool, test)


def fetch(name: str, data_dir: str | Path | None = None, source: str | Path | None = None) -> Path:
    """Download CIFAR-10 or CIFAR-100 through torchvision once (or read its folder `source`), and write `NAME.npz`."""
    from torchvision import datasets

    kinds = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}
    if name not in kinds:
        raise ValueError(f"no data set {name!r} to fetch; there are {', '.join(kinds)}")
    folder = data_folder(data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        root, download = (scratch, True) if source is None else (str(source), False)
        parts = {part: kinds[name](root, train=part == "train", download=download) for part in ("train", "test")}
        arrays = {}
        for part, images in parts.items():
            arrays[f"{part}_images"] = np.asarray(images.data, dtype=np.uint8)
            arrays[f"{part}_labels"] = np.asarray(images.targets, dtype=np.uint8)
        return save(folder / f"{name}.npz", arrays)


def save(path: Path, arrays: dict[str, np.ndarray]) -> Path:
    """Write a data set file, whole or not at all."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
    return path


def _digits() -> dict[str, np.ndarray]:
    """The 1,797 digits of scikit-learn as 8x8 images with three equal channels: 1,297 to train on, 500 to test."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    grey = np.round(digits.images * (255 / 16)).astype(np.uint8)  # pyright: ignore[reportAttributeAccessIssue]
    labels = digits.target.astype(np.uint8)  # pyright: ignore[reportAttributeAccessIssue]
    images = np.repeat(grey[..., None], 3, axis=3)
    order = np.random.default_rng(0).permutation(len(labels))
    train, test = order[500:], order[:500]
    return dict(zip(KEYS, (images[train], labels[train], images[test], labels[test]), strict=True))


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            names = file.files
            arrays = {key: file[key] for key in KEYS if key in names}
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} is no readable .npz file: {error}") from error
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


def _resized(pixels: Tensor, size: int) -> Tensor:
    if size > pixels.shape[1]:
        raise ValueError(f"image_size {size} is larger than the images, which are {pixels.shape[1]} pixels high")
    if pixels.shape[1] == size:
        return pixels
    parts = [
        F.interpolate(part.permute(0, 3, 1, 2).float(), (size, size), mode="area").round().byte().permute(0, 2, 3, 1)
        for part in pixels.split(5000)
    ]
    return torch.cat(parts).contiguous()


def _moments(pixels: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and std [3] of uint8 pixels [N, H, W, 3], exactly, from their histograms."""
    values = torch.arange(256, dtype=torch.float64)
    counts = torch.stack([torch.bincount(pixels[..., c].flatten(), minlength=256) for c in range(3)]).double()
    share = counts / counts.sum(1, keepdim=True)
    mean = share @ values
    std = ((share @ values.square()) - mean.square()).clamp_min(1.0).sqrt()
    return mean.float(), std.float()

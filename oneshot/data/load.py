"""Data sets by name, file or folder."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.base.files import scratch
from oneshot.base.lookup import data_folder, find_file
from oneshot.data.arrays import PARTS, classes_of, digits, read, save
from oneshot.data.keys import keys_of
from oneshot.data.source import Dataset, Images
from oneshot.registry import FORMATS

TORCHVISION = ("cifar10", "cifar100")
"""What `fetch` makes."""
LAST = ("folder", "npz")
"""The formats that say what they had expected, asked when no other one knows the name."""


class Format(Protocol):
    """Something on disk that is a data set; registered in `oneshot.registry.FORMATS`."""

    def find(self, name: str, data_dir: str | Path | None) -> Path | None:
        """Where the data set of that name, or at that path, lies; None where it is none of this format."""
        ...

    def load(self, path: Path, image_size: int | None, device: str | torch.device) -> Dataset: ...


class Digits:
    """The digits that come with scikit-learn."""

    def find(self, name: str, data_dir: str | Path | None) -> Path | None:
        return Path(name) if name == "digits" else None

    def load(self, path: Path, image_size: int | None, device: str | torch.device) -> Dataset:
        return in_memory(path.name, digits(), image_size, device, "digits")


class ImageFolder:
    """A folder with train/CLASS/ and, if it has them, valid/CLASS/ and test/CLASS/, or with CLASS/ alone."""

    def find(self, name: str, data_dir: str | Path | None) -> Path | None:
        return find_image_folder(name, data_dir)

    def load(self, path: Path, image_size: int | None, device: str | torch.device) -> Dataset:
        from oneshot.data.folder import load_folder  # it takes a second to import

        return load_folder(path, image_size, device)


class Npz:
    """An `.npz` file of arrays."""

    def find(self, name: str, data_dir: str | Path | None) -> Path | None:
        hint = "give the path of an .npz file or of a folder with train/ and valid/"
        if name in TORCHVISION:
            hint = f"`oneshot data {name}` makes it"
        return find_file(name, ".npz", data_dir, None, hint)

    def load(self, path: Path, image_size: int | None, device: str | torch.device) -> Dataset:
        return in_memory(path.stem, read(path), image_size, device)


DIGITS, FOLDER, NPZ = Digits(), ImageFolder(), Npz()


def load(
    name: str, data_dir: str | Path | None = None, image_size: int | None = None, device: str | torch.device = "cpu"
) -> Dataset:
    """The data set of that name, `.npz` file, image folder, or of a format of one's own.

    Arrays are resized by area averaging where `image_size` asks for less; images of a folder are all brought to it, or
    to 224 pixels. ValueError where a file cannot be read, lacks a key, or is not where it was looked for.
    """
    form, path = _found(name, data_dir)
    return FORMATS[form].load(path, image_size, device)


def absolute(name: str, data_dir: str | Path | None = None) -> str:
    """The absolute path where a path stands for the data set, which is then the same from any folder; else the name."""
    path = Path(os.path.abspath(Path(name).expanduser()))
    if not path.exists():
        return name
    (form, asked), (other, there) = _found(name, data_dir), _found(str(path), data_dir)
    return str(path) if form == other and asked.expanduser().resolve() == there.resolve() else name


def _found(name: str, data_dir: str | Path | None) -> tuple[str, Path]:
    """The format that knows a name, and where the data set lies."""
    for form in (*(form for form in FORMATS if form not in LAST), *LAST):
        path = FORMATS[form].find(name, data_dir)
        if path is not None:
            return form, path
    raise AssertionError("the last format says that there is nothing")


def find_image_folder(name: str, data_dir: str | Path | None = None) -> Path | None:
    """The image folder that a path or a name stands for; None where it is rather a file, or nothing."""
    path = Path(name).expanduser()
    if path.is_dir() and path.name != str(name):
        return path
    if path.name == str(name) and not (data_folder(data_dir) / f"{path.name}.npz").is_file():
        places = (path, data_folder(data_dir) / path.name)
        return next((place for place in places if place.is_dir() and _has_images(place)), None)
    return None


def _has_images(folder: Path) -> bool:
    from oneshot.data.listing import has_classes

    return (folder / "train").is_dir() or has_classes(folder)


def in_memory(
    name: str,
    arrays: Mapping[str, np.ndarray],
    image_size: int | None,
    device: str | torch.device,
    form: str = "npz",
) -> Dataset[Images]:
    """Arrays by the keys of `oneshot.data.arrays` as a data set; each image is known by its content, unresized.

    Classes are the distinct training labels in their order; a number that is missing in between is a warning.
    """
    names, labels = classes_of(name, {part: arrays[f"{part}_labels"] for part in PARTS if f"{part}_labels" in arrays})
    known = {part: keys_of(arrays[f"{part}_images"]) for part in labels}
    pixels = {part: torch.from_numpy(arrays[f"{part}_images"]) for part in labels}
    if image_size is not None:
        pixels = {part: _resized(x, image_size) for part, x in pixels.items()}
    mean, std = (moment.to(device) for moment in _moments(pixels["train"]))
    images = {
        part: Images(x.to(device), torch.from_numpy(labels[part]).to(device), mean, std, known[part])
        for part, x in pixels.items()
    }
    return Dataset(name, len(names), images["train"], images["test"], images.get("val"), form, names)


def fetch(name: str, data_dir: str | Path | None = None, source: str | Path | None = None) -> Path:
    """Download CIFAR-10 or CIFAR-100 through torchvision once (or read its folder `source`), and write `NAME.npz`."""
    from torchvision import datasets

    kinds = {"cifar10": datasets.CIFAR10, "cifar100": datasets.CIFAR100}
    if name not in kinds:
        raise ValueError(f"no data set {name!r} to fetch; there are {', '.join(kinds)}")
    folder = data_folder(data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    with scratch(folder / f"{name}.npz") as fetched:
        root, download = (str(fetched), True) if source is None else (str(source), False)
        parts = {part: kinds[name](root, train=part == "train", download=download) for part in ("train", "test")}
        arrays = {}
        for part, images in parts.items():
            arrays[f"{part}_images"] = np.asarray(images.data, dtype=np.uint8)
            arrays[f"{part}_labels"] = np.asarray(images.targets, dtype=np.uint8)
        return save(folder / f"{name}.npz", arrays)


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

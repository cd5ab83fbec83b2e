"""Image folders, read and augmented by worker processes while the network trains.

FOLDER/train/CLASS/..., FOLDER/valid/CLASS/... (or val), FOLDER/test/CLASS/...; one of valid and test may be missing.
What is read does not depend on the number of workers: every image of a batch gets a random seed of its own.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset
from torchvision.transforms import InterpolationMode, v2

from oneshot.data.augmentation import Augmentation
from oneshot.data.source import Dataset, Images, cutout_mask

EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".ppm", ".pgm", ".tif", ".tiff")
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, on a scale from 0 to 1: what the field normalises folders of images with."""
CROP_SHARE = 0.875
"""The side of the centre crop that is validated, as a share of the resized shorter side."""
MAX_WORKERS = 16

Part = tuple[np.ndarray, np.ndarray]  # of one batch: the rows of its images, and a seed for each
View = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True, eq=False)
class FolderImages:
    """Labelled image files, decoded when they are needed: an `ImageSource`.

    Args:
        paths: one file a label
        labels: [N] int64, on the device on which the batches come
        mean: [3], on the scale of the pixels
        std: [3]
        size: height and width of what comes out
        workers: processes that read ahead; 0 reads in this one
    """

    paths: Sequence[str]
    labels: Tensor
    mean: Tensor
    std: Tensor
    size: int
    workers: int = 0

    def __post_init__(self) -> None:
        if self.size < 1 or self.workers < 0 or len(self.paths) != len(self.labels):
            raise ValueError(
                f"expected a positive size, no negative number of workers and a label for each file, got {self.size}, "
                f"{self.workers}, {len(self.labels)} labels for {len(self.paths)} files"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def nbytes(self) -> int:
        return len(self) * self.size**2 * 3

    def check(self, augmentation: Augmentation) -> None:
        """A folder takes every augmentation."""

    def subset(self, index: Tensor | slice) -> FolderImages:
        rows = np.arange(len(self))[index if isinstance(index, slice) else index.cpu().numpy()]
        return replace(self, paths=[self.paths[row] for row in rows], labels=self.labels[index])

    def plus(self, other: FolderImages) -> FolderImages:
        return replace(self, paths=[*self.paths, *other.paths], labels=torch.cat([self.labels, other.labels]))

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for pixels, rows, _ in self._read(batch_size):
            yield self._normalised(pixels), self.labels[rows]

    def augmented(
        self, batches: Sequence[np.ndarray], augmentation: Augmentation, rng: np.random.Generator, share: slice
    ) -> Iterator[tuple[Tensor, Tensor]]:
        parts = [(batch[share], rng.integers(2**63, size=len(batch))[share]) for batch in batches]
        for pixels, rows, draws in self._stream(parts, augmentation):
            x = self._normalised(pixels)
            if augmentation.cutout:
                x = x * cutout_mask(self.size, self.size, augmentation.cutout, draws)
            yield x, self.labels[rows]

    def in_memory(self) -> Images:
        pixels = torch.empty(len(self), self.size, self.size, 3, dtype=torch.uint8, device=self.labels.device)
        for part, rows, _ in self._read(64):
            pixels[rows] = part
        return Images(pixels, self.labels, self.mean, self.std)

    def _normalised(self, pixels: Tensor) -> Tensor:
        return Images(pixels, self.labels, self.mean, self.std).normalised(pixels)

    def _read(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """All images in order, not augmented."""
        rows = np.arange(len(self))
        parts = [rows[start : start + batch_size] for start in range(0, len(rows), batch_size)]
        return self._stream([(part, np.zeros_like(part)) for part in parts], None)

    def _stream(
        self, parts: Sequence[Part], augmentation: Augmentation | None
    ) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        """Pixels [B, H, W, 3], rows [B] and two uniform draws [2, B] of each part, on the device of the labels."""
        device = self.labels.device
        loader = DataLoader(
            _Files(self.paths, _view(self.size, augmentation)),
            sampler=parts,
            batch_size=None,
            num_workers=min(self.workers, len(parts)) if len(parts) > 1 else 0,  # they take time to start
            collate_fn=_as_it_is,
            pin_memory=device.type == "cuda",
            generator=torch.Generator(),  # else it would take from the global one
        )
        with _interrupts_held():
            batches = iter(loader)
        for read in batches:
            if isinstance(read, str):
                raise ValueError(read)
            pixels, rows, draws = (part.to(device, non_blocking=True) for part in read)
            yield pixels, rows, draws


class _Files(TorchDataset):
    """What a worker does: a batch of files in, pixels out; a message in place of a batch with a damaged file."""

    def __init__(self, paths: Sequence[str], view: View) -> None:
        self.paths, self.view = paths, view

    def __getitem__(self, part: Part) -> tuple[Tensor, Tensor, Tensor] | str:
        pixels, draws = [], []
        for row, seed in zip(*part, strict=True):
            path = self.paths[int(row)]
            try:
                with Image.open(path) as file:
                    image = file.convert("RGB")
            except (OSError, SyntaxError, ValueError, UnidentifiedImageError, Image.DecompressionBombError) as error:
                return f"{path} is no readable image: {error}"
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(int(seed))
                pixels.append(np.array(self.view(image)))
                draws.append(torch.rand(2))
        return torch.from_numpy(np.stack(pixels)), torch.from_numpy(part[0]), torch.stack(draws, 1)


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Ctrl-C waits until the end, and never reaches processes forked in here: to end them is their parent's business.

    Else it can be lost, since Python drops what is raised in the hooks of a fork.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, frame: came.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if came and callable(before):
        before(came[0], None)


def _as_it_is(read: Any) -> Any:
    return read


class CentreView:
    """The shorter side resized, the centre cut out; an image that has the size already stays as it is."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.cut = v2.Compose([v2.Resize(round(size / CROP_SHARE)), v2.CenterCrop(size)])

    def __call__(self, image: Image.Image) -> Image.Image:
        return image if image.size == (self.size, self.size) else self.cut(image)


def _view(size: int, augmentation: Augmentation | None) -> View:
    """From a decoded image to one of the given size; without augmentation what is validated."""
    if augmentation is None:
        return CentreView(size)
    names = ("bilinear", "bicubic") if augmentation.interpolation == "random" else (augmentation.interpolation,)
    crop = partial(v2.RandomResizedCrop, size, (augmentation.crop_scale, 1.0), (3 / 4, 4 / 3))
    crops = [crop(InterpolationMode(name)) for name in names]
    steps: list[Any] = [v2.RandomChoice(crops) if augmentation.crop_scale < 1 else CentreView(size)]
    if augmentation.shift:
        steps.append(v2.RandomCrop(size, padding=augmentation.shift))
    if augmentation.flip:
        steps.append(v2.RandomHorizontalFlip())
    if augmentation.color_jitter:
        steps.append(v2.ColorJitter(*(augmentation.color_jitter,) * 3))
    return v2.Compose(steps)


def default_workers() -> int:
    """The processors that this process may use, shared among the processes of torchrun."""
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MAX_WORKERS, usable // int(os.environ.get("LOCAL_WORLD_SIZE", "1"))))


def load_folder(
    folder: str | Path, image_size: int | None = None, device: str | torch.device = "cpu", workers: int | None = None
) -> Dataset[FolderImages]:
    """The data set in a folder, its images brought to `image_size`, by default 224 pixels.

    Without test/ the images of valid/ are the test images, too. ValueError where train/ or both of these are missing,
    or a class is not among those of train/.
    """
    folder = Path(folder)
    found = {part: folder / part for part in ("train", "valid", "val", "test") if (folder / part).is_dir()}
    if "train" not in found or len(found) < 2:
        raise ValueError(
            f"{folder} is no image folder: expected train/ and valid/ or test/ with a folder for each class, "
            f"got {', '.join(found) or 'none of them'}"
        )
    classes = class_names(found["train"])
    if not classes:
        raise ValueError(
            f"expected a folder of images for each class in {found['train']}, "
            f"got {len(image_files(found['train']))} images and no folder"
        )
    mean, std = (torch.tensor(values, device=device) * 255 for values in (MEAN, STD))
    amount = default_workers() if workers is None else workers

    def images(part: str) -> FolderImages:
        paths, labels = _labelled(found[part], classes)
        return FolderImages(paths, torch.tensor(labels, device=device), mean, std, image_size or 224, amount)

    own = next((images(part) for part in ("valid", "val") if part in found), None)
    test = images("test") if "test" in found else own
    assert test is not None
    return Dataset(folder.name, len(classes), images("train"), test, own)


def class_names(folder: Path) -> list[str]:
    """The classes of a folder: its subfolders in alphabetical order."""
    return sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and not entry.name.startswith("."))


def image_files(folder: Path) -> list[str]:
    """Every image below a folder, relative to it, in alphabetical order."""
    every = (Path(root, name) for root, _, names in os.walk(folder, followlinks=True) for name in names)
    kept = (path for path in every if path.suffix.lower() in EXTENSIONS and not path.name.startswith("."))
    return sorted(str(path.relative_to(folder)) for path in kept)


def _labelled(folder: Path, classes: Sequence[str]) -> tuple[list[str], list[int]]:
    unknown = sorted(set(class_names(folder)) - set(classes))
    if unknown:
        raise ValueError(f"{folder} has the class {unknown[0]!r}, which is none of the {len(classes)} of train/")
    paths: list[str] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = image_files(folder / name) if (folder / name).is_dir() else []
        if not files and folder.name == "train":
            raise ValueError(f"{folder / name} holds no image; known are {', '.join(EXTENSIONS)}")
        paths += [str(folder / name / file) for file in files]
        labels += [label] * len(files)
    if not paths:
        raise ValueError(f"{folder} holds no image of any class; known are {', '.join(EXTENSIONS)}")
    return paths, labels

"""Encoded images wherever they lie, read and augmented by worker processes while the network trains.

What is read does not depend on the number of workers: every image of a batch gets a random seed of its own.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from oneshot.data.augmentation import Augmentation
from oneshot.data.decoding import Place, decoded, unreadable
from oneshot.data.keys import TEST_SHARE, below, keys_of_names
from oneshot.data.source import Dataset, Images, cutout_mask

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, on a scale from 0 to 1: what the field normalises folders of images with."""
CROP_SHARE = 0.875
"""The side of the centre crop that is validated, as a share of the resized shorter side."""
MAX_WORKERS = 16

Part = tuple[np.ndarray, np.ndarray]  # of one batch: the rows of its images, and a seed for each
View = Callable[[Image.Image], Image.Image]


@dataclass(frozen=True, eq=False)
class EncodedImages:
    """Labelled images, decoded when they are needed: an `ImageSource`.

    Args:
        places: one a label, each a file's path or a part of something larger
        labels: [N] int64, on the device on which the batches come
        mean: [3], on the scale of the pixels
        std: [3]
        size: height and width of what comes out
        workers: processes that read ahead; 0 reads in this one
        root: folder relative to which a file's name is what it is known by
        file_sizes: [N] bytes, where they are known already
        known_by: [N] keys, where names of files are not what they are known by
    """

    places: Sequence[Place]
    labels: Tensor
    mean: Tensor
    std: Tensor
    size: int
    workers: int = 0
    root: str = ""
    file_sizes: np.ndarray | None = None
    known_by: np.ndarray | None = None

    def __post_init__(self) -> None:
        if self.size < 1 or self.workers < 0 or len(self.places) != len(self.labels):
            raise ValueError(
                f"expected a positive size, no negative number of workers and a label for each file, got {self.size}, "
                f"{self.workers}, {len(self.labels)} labels for {len(self.places)} files"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int]:
        return self.size, self.size

    @property
    def nbytes(self) -> int:
        return len(self) * self.size**2 * 3

    def check(self, augmentation: Augmentation) -> None:
        """A folder takes every augmentation."""

    def subset(self, index: Tensor | slice) -> EncodedImages:
        rows = np.arange(len(self))[index if isinstance(index, slice) else index.cpu().numpy()]
        sizes, known = (None if each is None else each[rows] for each in (self.file_sizes, self.known_by))
        places = [self.places[row] for row in rows]
        return replace(self, places=places, labels=self.labels[index], file_sizes=sizes, known_by=known)

    def plus(self, other: EncodedImages) -> EncodedImages:
        places, labels = [*self.places, *other.places], torch.cat([self.labels, other.labels])
        sizes, known = (np.concatenate([getattr(x, name)() for x in (self, other)]) for name in ("sizes", "keys"))
        return replace(self, places=places, labels=labels, file_sizes=sizes, known_by=known)

    def keys(self) -> np.ndarray:
        return self._keys

    @cached_property
    def _keys(self) -> np.ndarray:
        """Of files without the extension: what is converted to another format keeps its side."""
        if self.known_by is not None:
            return self.known_by
        start = len(self.root) + len(os.sep) if self.root else 0
        names = [str(place)[start:].replace(os.sep, "/") for place in self.places]
        return keys_of_names(names)

    def sizes(self) -> np.ndarray:
        if self.file_sizes is None:
            return np.array([os.stat(str(path)).st_size for path in self.places])
        return self.file_sizes

    def unreadable(self, on_image: Callable[[], object] = lambda: None) -> list[str]:
        return unreadable(self.places, on_image, self.workers or 1)

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for pixels, rows, _ in self._read(batch_size):
            yield self._normalised(pixels), self.labels[rows]

    def augmented(
        self,
        batches: Sequence[np.ndarray],
        augmentation: Augmentation,
        rng: np.random.Generator,
        share: slice,
        first: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        parts = [(batch[share], rng.integers(2**63, size=len(batch))[share]) for batch in batches]
        for pixels, rows, draws in self._stream(parts[first:], augmentation):
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
            _Files(self.places, _view(self.size, augmentation)),
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

    def __init__(self, places: Sequence[Place], view: View) -> None:
        self.places, self.view = places, view

    def __getitem__(self, part: Part) -> tuple[Tensor, Tensor, Tensor] | str:
        pixels, draws = [], []
        for row, seed in zip(*part, strict=True):
            try:
                image = decoded(self.places[int(row)])
            except ValueError as error:
                return str(error)
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
        from torchvision.transforms import v2  # takes seconds, and most data sets need none of it

        self.size = size
        self.cut = v2.Compose([v2.Resize(round(size / CROP_SHARE)), v2.CenterCrop(size)])

    def __call__(self, image: Image.Image) -> Image.Image:
        return image if image.size == (self.size, self.size) else self.cut(image)


def _view(size: int, augmentation: Augmentation | None) -> View:
    """From a decoded image to one of the given size; without augmentation what is validated."""
    if augmentation is None:
        return CentreView(size)
    from torchvision.transforms import InterpolationMode, v2

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


def assembled(
    name: str, form: str, parts: Mapping[str, EncodedImages], classes: Sequence[str], where: Path | str
) -> Dataset[EncodedImages]:
    """The data set of `train` and, where there are any, `valid` and `test`.

    Without `test` the images of `valid` are the test images, too; without both, a tenth of the images, by what they are
    known by, are set aside for it.
    """
    pool, own = parts["train"], parts.get("valid")
    test = parts.get("test", own)
    if test is None:
        tests = torch.from_numpy(below(pool.keys(), TEST_SHARE, salt=2))
        if not tests.any() or tests.all():
            raise ValueError(f"{where} has {len(pool)} images and none for testing: too few to set some aside")
        pool, test = pool.subset(~tests), pool.subset(tests)
    return Dataset(name, len(classes), pool, test, own, form, tuple(classes))


def scale(device: str | torch.device) -> tuple[Tensor, Tensor]:
    """ImageNet's mean and standard deviation [3] on the scale of pixels."""
    mean, std = (torch.tensor(values, device=device) * 255 for values in (MEAN, STD))
    return mean, std

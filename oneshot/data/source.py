"""Image data sets as uint8 tensors on the device, and batches augmented there without worker processes.

Images that do not fit in memory are streamed from a folder by `oneshot.data.folder`, behind the same `ImageSource`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.data.augmentation import Augmentation

SPLITS = {"standard": 0.9, "half": 0.5}
"""The share of the training images that trains; the rest validates. On CIFAR: 45,000 / 5,000 and 25,000 / 25,000."""
OWN_SPLITS = ("given", "valid-is-test")
"""All training images train, and the data set's own others validate; `valid-is-test` says that these also test."""


class ImageSource(Protocol):
    """Labelled images wherever they are: what training and evaluation ask of them."""

    @property
    def labels(self) -> Tensor:
        """[N] int64, on the device on which the batches come."""
        ...

    def __len__(self) -> int: ...

    @property
    def nbytes(self) -> int:
        """The memory that `in_memory` takes."""
        ...

    def subset(self, index: Tensor | slice) -> Self: ...

    def plus(self, other: Self) -> Self:
        """These images, and then others of the same data set."""
        ...

    def check(self, augmentation: Augmentation) -> None:
        """ValueError where these images do not take it."""
        ...

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        """All images in the same order every time, not augmented; the last batch may be smaller."""
        ...

    def augmented(
        self, batches: Sequence[np.ndarray], augmentation: Augmentation, rng: np.random.Generator, share: slice
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The `share` of each batch of indices, augmented; random numbers are drawn for the whole of each batch."""
        ...

    def in_memory(self) -> Images:
        """The same images, not augmented, as `nbytes` on the device: for what is read over and over."""
        ...


Source = TypeVar("Source", bound=ImageSource)


@dataclass(frozen=True, eq=False)
class Images:
    """Images [N, H, W, 3] uint8 with labels [N] int64 on one device, and the mean and std [3] that normalise them."""

    pixels: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def nbytes(self) -> int:
        return self.pixels.nbytes

    def subset(self, index: Tensor | slice) -> Images:
        return Images(self.pixels[index], self.labels[index], self.mean, self.std)

    def plus(self, other: Images) -> Images:
        pixels, labels = torch.cat([self.pixels, other.pixels]), torch.cat([self.labels, other.labels])
        return Images(pixels, labels, self.mean, self.std)

    def check(self, augmentation: Augmentation) -> None:
        if augmentation.crop_scale < 1 or augmentation.color_jitter:
            raise ValueError(
                f"crop_scale and color_jitter are for image folders, images in memory take shift, flip and cutout: "
                f"expected 1 and 0, got {augmentation.crop_scale} and {augmentation.color_jitter}"
            )

    def normalised(self, pixels: Tensor) -> Tensor:
        """Float images [B, 3, H, W], channels-last in memory, of uint8 pixels [B, H, W, 3]."""
        return ((pixels.float() - self.mean) / self.std).permute(0, 3, 1, 2)

    def batches(self, batch_size: int) -> Iterator[tuple[Tensor, Tensor]]:
        for start in range(0, len(self), batch_size):
            part = slice(start, start + batch_size)
            yield self.normalised(self.pixels[part]), self.labels[part]

    def augmented(
        self, batches: Sequence[np.ndarray], augmentation: Augmentation, rng: np.random.Generator, share: slice
    ) -> Iterator[tuple[Tensor, Tensor]]:
        self.check(augmentation)
        device = self.labels.device
        for batch in batches:
            index = torch.from_numpy(batch[share]).to(device)
            draws = torch.from_numpy(rng.random((5, len(batch)), dtype=np.float32)[:, share].copy()).to(device)
            yield augment(self, self.pixels[index], augmentation, draws), self.labels[index]

    def in_memory(self) -> Images:
        return self


@dataclass(frozen=True, eq=False)
class Dataset(Generic[Source]):
    """Training images, of which a split keeps some for validation, and test images that only a named protocol uses.

    `valid` are validation images of the data set's own; the same object as `test` where it has no further ones.
    """

    name: str
    classes: int
    pool: Source
    test: Source
    valid: Source | None = None

    def split(self, name: str = "standard") -> tuple[Source, Source]:
        """The training and the validation images, in the same fixed permutation for every run.

        So the first so many of them are a random sample, also where a folder lists one class after another.
        """
        if name in OWN_SPLITS:
            return _mixed(self.pool), _mixed(self._own(name))
        if name not in SPLITS:
            raise ValueError(f"no split {name!r}; there are {', '.join((*SPLITS, *OWN_SPLITS))}")
        pool, train = _mixed(self.pool), round(SPLITS[name] * len(self.pool))
        return pool.subset(slice(0, train)), pool.subset(slice(train, None))

    def _own(self, split: str) -> Source:
        if self.valid is None:
            raise ValueError(f"split {split!r} needs validation images of the data set's own, {self.name} has none")
        if self.valid is self.test and split != "valid-is-test":
            raise ValueError(
                f"{self.name} has no test images beside its validation images: use the split standard or half, or "
                f"valid-is-test, which says that predictions see the images of the ground truth"
            )
        if self.valid is not self.test and split == "valid-is-test":
            raise ValueError(f"{self.name} has test images beside its validation images: use the split given")
        return self.valid


def _mixed(images: Source) -> Source:
    return images.subset(torch.from_numpy(np.random.default_rng(0).permutation(len(images))))


def training_batches(
    images: ImageSource,
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
    order = rng.permutation(len(images))
    batches = [order[start : start + batch_size] for start in range(0, len(images) - batch_size + 1, batch_size)]
    yield from images.augmented(batches, augmentation, rng, slice(rank, None, world))


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
        x = x * cutout_mask(height, width, augmentation.cutout, draws[3:])
    return x


def cutout_mask(height: int, width: int, size: int, draws: Tensor) -> Tensor:
    """A mask [B, 1, H, W] that is zero on a square of `size` around a random pixel, cut at the border."""

    def inside(length: int, draw: Tensor) -> Tensor:
        start = (draw[:, None] * length).long() - size // 2
        position = torch.arange(length, device=draw.device)
        return (position >= start) & (position < start + size)

    hidden = inside(height, draws[0])[:, :, None] & inside(width, draws[1])[:, None, :]
    return (~hidden)[:, None].float()

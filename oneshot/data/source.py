"""Image data sets as uint8 tensors on the device, and batches augmented there without worker processes.

Images that do not fit in memory are streamed from a folder by `oneshot.data.folder`, behind the same `ImageSource`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, Protocol, Self, TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.base.html import html_table
from oneshot.data.augmentation import Augmentation
from oneshot.data.fingerprint import Fingerprint
from oneshot.data.keys import keys_of
from oneshot.data.split import rows, validated_on


class ImageSource(Protocol):
    """Labelled images wherever they are: what training and evaluation ask of them."""

    @property
    def labels(self) -> Tensor:
        """[N] int64, on the device on which the batches come."""
        ...

    def __len__(self) -> int: ...

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of what comes out."""
        ...

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
        self,
        batches: Sequence[np.ndarray],
        augmentation: Augmentation,
        rng: np.random.Generator,
        share: slice,
        first: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        """The `share` of each batch of indices from the `first` on, augmented.

        Random numbers are drawn for the whole of each batch, also of those that are left out.
        """
        ...

    def in_memory(self) -> Images:
        """The same images, not augmented, as `nbytes` on the device: for what is read over and over."""
        ...

    def keys(self) -> np.ndarray:
        """What each image is known by, its own name or content as `oneshot.data.keys` hashes it: uint64 [N]."""
        ...

    def sizes(self) -> np.ndarray:
        """The bytes of each image where it lies: int64 [N]."""
        ...

    def unreadable(self, on_image: Callable[[], object] = lambda: None) -> list[str]:
        """Every image that cannot be read, with the reason; all are tried, and `on_image` is told of each."""
        ...


SHOWN = 12
"""Names of classes that a table shows."""
Source = TypeVar("Source", bound=ImageSource)


@dataclass(frozen=True, eq=False)
class Images:
    """Images [N, H, W, 3] uint8 with labels [N] int64 on one device, and the mean and std [3] that normalise them.

    `known_by` are the keys [N] of what they were made of; by default each is known by its pixels.
    """

    pixels: Tensor
    labels: Tensor
    mean: Tensor
    std: Tensor
    known_by: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def shape(self) -> tuple[int, int]:
        return self.pixels.shape[1], self.pixels.shape[2]

    @property
    def nbytes(self) -> int:
        return self.pixels.nbytes

    def subset(self, index: Tensor | slice) -> Images:
        places = index if isinstance(index, slice) else index.cpu().numpy()
        known = None if self.known_by is None else self.known_by[places]
        return Images(self.pixels[index], self.labels[index], self.mean, self.std, known)

    def plus(self, other: Images) -> Images:
        pixels, labels = torch.cat([self.pixels, other.pixels]), torch.cat([self.labels, other.labels])
        return Images(pixels, labels, self.mean, self.std, np.concatenate([self.keys(), other.keys()]))

    def keys(self) -> np.ndarray:
        return self._keys

    @cached_property
    def _keys(self) -> np.ndarray:
        return keys_of(self.pixels.cpu().numpy()) if self.known_by is None else self.known_by

    def sizes(self) -> np.ndarray:
        return np.full(len(self), self.pixels[:1].nbytes)

    def unreadable(self, on_image: Callable[[], object] = lambda: None) -> list[str]:
        return []

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
        self,
        batches: Sequence[np.ndarray],
        augmentation: Augmentation,
        rng: np.random.Generator,
        share: slice,
        first: int = 0,
    ) -> Iterator[tuple[Tensor, Tensor]]:
        self.check(augmentation)
        device = self.labels.device
        for number, batch in enumerate(batches):
            drawn = rng.random((5, len(batch)), dtype=np.float32)
            if number < first:
                continue
            index = torch.from_numpy(batch[share]).to(device)
            draws = torch.from_numpy(drawn[:, share].copy()).to(device)
            yield augment(self, self.pixels[index], augmentation, draws), self.labels[index]

    def in_memory(self) -> Images:
        return self


@dataclass(frozen=True, eq=False)
class Dataset(Generic[Source]):
    """Training images, of which a split keeps some for validation, and test images that only a named protocol uses.

    `valid` are validation images of the data set's own; the same object as `test` where it has no further ones.
    `format` is how it lies on disk, `class_names` what stands for each class, in their order.
    """

    name: str
    classes: int
    pool: Source
    test: Source
    valid: Source | None = None
    format: str = "custom"
    class_names: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.class_names:
            object.__setattr__(self, "class_names", tuple(map(str, range(self.classes))))
        if len(self.class_names) != self.classes:
            raise ValueError(f"{self.classes} classes need as many names, got {len(self.class_names)}")

    def split(self, name: str = "standard", by: str = "image") -> tuple[Source, Source]:
        """The training and the validation images, in the same fixed order for every run, which is random.

        So the first so many of them are a random sample, also where a folder lists one class after another.
        """
        train, valid = (torch.from_numpy(part) for part in rows(self, name, by))
        return self.pool.subset(train), validated_on(self, name).subset(valid)

    def __len__(self) -> int:
        return sum(map(len, self.parts().values()))

    def __repr__(self) -> str:
        return f"<Dataset {self.name} ({self.format}): {len(self):,} images of {self.classes} classes>"

    def _repr_html_(self) -> str:
        names = self.class_names
        shown = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
        parts = {name: f"{len(part):,} images" for name, part in self.parts().items()}
        rows = {"format": self.format, "classes": shown, **parts}
        return html_table([], [[name, value] for name, value in rows.items()], self.name)

    def parts(self) -> dict[str, Source]:
        """All images, each once: `train`, and `valid` and `test` of its own."""
        own = {} if self.valid is None else {"valid": self.valid}
        return {"train": self.pool, **own} | ({} if self.valid is self.test else {"test": self.test})

    def fingerprint(self, split: str = "standard", by: str = "image") -> Fingerprint:
        """What it is, and what this split makes of it."""
        return Fingerprint.of(self, split, by)


def training_batches(
    images: ImageSource,
    batch_size: int,
    augmentation: Augmentation,
    rng: np.random.Generator,
    rank: int = 0,
    world: int = 1,
    first: int = 0,
) -> Iterator[tuple[Tensor, Tensor]]:
    """One epoch of shuffled, augmented batches from the `first` on; an incomplete last batch is dropped.

    With several processes, each gets its share of every batch: images and random numbers are those of one process.
    """
    check_batch(len(images), batch_size, world)
    order = rng.permutation(len(images))
    batches = [order[start : start + batch_size] for start in range(0, len(images) - batch_size + 1, batch_size)]
    yield from images.augmented(batches, augmentation, rng, slice(rank, None, world), first)


def check_batch(images: int, batch_size: int, world: int = 1) -> None:
    """ValueError where so many images are not one batch, or a batch does not divide among the processes."""
    if images < batch_size:
        raise ValueError(f"a batch of {batch_size} images needs as many training images, got {images}")
    if batch_size % world:
        raise ValueError(f"a batch of {batch_size} images does not divide among {world} processes")


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

"""A data set of torchvision's that lies on disk, by its name: `torchvision:STL10`. Nothing is fetched."""

from __future__ import annotations

import inspect
from collections.abc import Collection
from dataclasses import dataclass
from difflib import get_close_matches
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from oneshot.base.lookup import data_folder
from oneshot.base.progress import Progress
from oneshot.data.encoded import EncodedImages, assembled, default_workers, scale
from oneshot.data.keys import keys_of
from oneshot.data.source import Dataset

PREFIX = "torchvision:"
PARTS = {"train": ("train",), "valid": ("val", "valid"), "test": ("test",)}
"""What torchvision calls each part."""
WORD, FLAG = "split", "train"
"""By which of its data sets say which part they are."""


@dataclass(frozen=True, slots=True, eq=False)
class Item:
    """An image that a data set makes."""

    of: Any
    row: int

    def __str__(self) -> str:
        return f"{PREFIX}{type(self.of).__name__}[{self.row}]"

    def read(self) -> bytes:
        """As a PNG, which loses nothing."""
        made = BytesIO()
        self.picture().save(made, "PNG", compress_level=1)
        return made.getvalue()

    def picture(self) -> Image.Image:
        return self.of[self.row][0]


class TorchVision:
    """`torchvision:NAME`, its files in the data folder as torchvision leaves them."""

    def find(self, name: str, data_dir: str | Path | None) -> Path | None:
        return data_folder(data_dir) / name if name.startswith(PREFIX) else None

    def load(self, path: Path, image_size: int | None, device: str | torch.device) -> Dataset[EncodedImages]:
        """ValueError where there is none of that name, or it is not on disk."""
        parts = _opened(path.name.removeprefix(PREFIX), path.parent)
        labels = {part: _labels(found) for part, found in parts.items()}
        values = sorted(set(labels["train"].tolist()))
        numbers = {value: i for i, value in enumerate(values)}
        mean, std = scale(device)

        def images(part: str) -> EncodedImages:
            unknown = set(labels[part].tolist()) - set(values)
            if unknown:
                raise ValueError(f"{path.name}: {part} has the classes {sorted(unknown)}, which train has not")
            ours = torch.tensor([numbers[value] for value in labels[part].tolist()], device=device)
            items = [Item(parts[part], row) for row in range(len(ours))]
            keys, sizes = _content(path.name, items)
            size, workers = image_size or 224, default_workers()
            return EncodedImages(items, ours, mean, std, size, workers, file_sizes=sizes, known_by=keys)

        names = getattr(parts["train"], "classes", None)
        titles = [str(names[value]) if names else str(value) for value in values]
        return assembled(path.name, "torchvision", {part: images(part) for part in parts}, titles, path)


TORCHVISION = TorchVision()


def _opened(name: str, root: Path) -> dict[str, Any]:
    from torchvision import datasets

    kind = getattr(datasets, name, None)
    if not inspect.isclass(kind) or not issubclass(kind, datasets.VisionDataset):
        near = get_close_matches(name, datasets.__all__, 1)
        raise ValueError(f"torchvision has no data set {name!r}" + (f"; did you mean {near[0]}?" if near else ""))
    found: dict[str, Any] = {}
    why = ""
    for part, given in _ways(inspect.signature(kind).parameters):
        if part not in found:
            try:
                found[part] = kind(str(root), **given)  # pyright: ignore[reportArgumentType]
            except (RuntimeError, ValueError, OSError) as error:
                why = why or str(error).splitlines()[0]
    if "train" not in found:
        raise ValueError(f"torchvision's {name} is not in {root}: {why or 'it has no train images'}")
    return found


def _ways(takes: Collection[str]) -> list[tuple[str, dict[str, Any]]]:
    """Each part, with what may be said to get it."""
    if WORD in takes:
        return [(part, {WORD: word}) for part, words in PARTS.items() for word in words]
    return [("train", {FLAG: True}), ("test", {FLAG: False})] if FLAG in takes else []


def _labels(found: Any) -> np.ndarray:
    """Of a data set, without decoding its images where it says them."""
    for name in ("targets", "labels", "_labels", "y"):
        values = getattr(found, name, None)
        if values is not None and len(values) == len(found):
            return np.asarray(values)
    return np.asarray([found[row][1] for row in range(len(found))])


def _content(name: str, items: list[Item]) -> tuple[np.ndarray, np.ndarray]:
    """Keys and bytes [N] of the pixels."""
    sizes = np.zeros(len(items), np.int64)

    def pixels() -> Any:
        with Progress(f"read {name}", len(items), "images") as progress:
            for item in items:
                content = np.asarray(item.picture())
                sizes[item.row] = content.nbytes
                progress.advance(1)
                yield np.ascontiguousarray(content)

    return keys_of(pixels()), sizes

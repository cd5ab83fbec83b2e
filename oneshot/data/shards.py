"""Tar shards as WebDataset writes them: train-000.tar, ..., and perhaps valid-000.tar, test-000.tar; or in folders.

Members of one name belong together: the image (`KEY.jpg`), its label (`KEY.cls`, or "label" in `KEY.json`). Without
labels the folder of a member within the archive is its class. An image is read where it lies, so that batches are of
all shards, and every pass can be repeated and resumed.
"""

from __future__ import annotations

import json
import os
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from oneshot.base.lookup import data_folder
from oneshot.base.progress import Progress
from oneshot.data.decoding import EXTENSIONS
from oneshot.data.encoded import EncodedImages, assembled, default_workers, scale
from oneshot.data.keys import keys_of_names
from oneshot.data.listing import packed_parts
from oneshot.data.source import Dataset


@dataclass(frozen=True, slots=True)
class Member:
    """A file within an archive."""

    archive: str
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}: {self.name}"

    def read(self) -> bytes:
        with open(self.archive, "rb") as file:
            return os.pread(file.fileno(), self.size, self.offset)


@dataclass(frozen=True)
class Labelled:
    """An image, the label that lies beside it, and the folder in which it lies."""

    image: Member
    label: int | None
    folder: str


class Shards:
    """A folder of tar shards."""

    def find(self, name: str, data_dir: str | Path | None) -> Path | None:
        places = (Path(name).expanduser(), data_folder(data_dir) / name)
        return next((place for place in places if place.is_dir() and packed_parts(place, ".tar")), None)

    def load(self, path: Path, image_size: int | None, device: str | torch.device) -> Dataset[EncodedImages]:
        """ValueError where shards are none, or images have no labels."""
        found = packed_parts(path, ".tar")
        if "train" not in found:
            raise ValueError(f"{path} has shards of {' and '.join(found)} and none of train: expected train-*.tar")
        with Progress("index", sum(map(len, found.values())), "shards") as progress:
            parts = {part: list(_all_of(archives, progress)) for part, archives in found.items()}
        for part, members in parts.items():
            if not members:
                raise ValueError(f"{path}: no image in the shards of {part}; known are {', '.join(EXTENSIONS)}")
        classes = _classes(path, parts["train"])
        numbers: dict[int | str, int] = {name: i for i, name in enumerate(classes)}
        mean, std = scale(device)

        def images(part: str) -> EncodedImages:
            labels = torch.tensor([_label(each, numbers) for each in parts[part]], device=device)
            members = [each.image for each in parts[part]]
            keys, sizes = keys_of_names([m.name for m in members]), np.array([m.size for m in members])
            size, workers = image_size or 224, default_workers()
            return EncodedImages(members, labels, mean, std, size, workers, file_sizes=sizes, known_by=keys)

        return assembled(path.name, "shards", {part: images(part) for part in found}, list(map(str, classes)), path)


SHARDS = Shards()


def _all_of(archives: Sequence[Path], progress: Progress) -> Iterator[Labelled]:
    for archive in archives:
        try:
            yield from _labelled(archive)
        except (tarfile.TarError, OSError, EOFError) as error:
            raise ValueError(f"{archive} is no readable tar archive: {error}") from error
        progress.advance(1)


def _labelled(archive: Path) -> Iterator[Labelled]:
    """The images of an archive in its order."""
    images: dict[str, Member] = {}
    labels: dict[str, int] = {}
    with tarfile.open(archive, "r:") as tar:
        for member in tar:
            folder, _, base = member.name.rpartition("/")
            if not member.isfile() or base.startswith("."):
                continue
            stem, _, extension = base.partition(".")  # as webdataset splits names
            key, extension = f"{folder}/{stem}", extension.lower()
            if f".{extension}".endswith(EXTENSIONS):
                images[key] = Member(str(archive), member.name, member.offset_data, member.size)
            elif extension in ("cls", "json"):
                file = tar.extractfile(member)
                label = None if file is None else _read_label(archive, member.name, file.read(), extension)
                if label is not None:
                    labels[key] = label
    for key, image in images.items():
        yield Labelled(image, labels.get(key), key.rpartition("/")[0].removeprefix("./"))


def _read_label(archive: Path, name: str, content: bytes, extension: str) -> int | None:
    """The whole number in a .cls, or that of "label" in a .json, if there is one."""
    try:
        value = json.loads(content)
        if extension == "json":
            value = value.get("label")
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return value
    except (ValueError, AttributeError):
        value = content[:40]
    raise ValueError(f"{archive}: {name} must hold the number of a class, got {value!r}")


def _classes(path: Path, images: Sequence[Labelled]) -> list[int] | list[str]:
    """The numbers of classes that occur, or the folders within the archives; ValueError for some of both, or one."""
    with_label = sum(image.label is not None for image in images)
    if 0 < with_label < len(images):
        bare = next(image.image for image in images if image.label is None)
        raise ValueError(f"{bare} has no label beside it, others have: expected KEY.cls or KEY.json for all, or none")
    numbers = sorted({image.label for image in images if image.label is not None})
    folders = sorted({image.folder for image in images})
    found = numbers if with_label else folders
    if len(found) < 2:
        raise ValueError(
            f"{path}: expected images of two classes at least (KEY.cls, KEY.json, or folders), got {found}"
        )
    return found


def _label(image: Labelled, classes: Mapping[int | str, int]) -> int:
    name = image.folder if image.label is None else image.label
    if name not in classes:
        raise ValueError(f"{image.image} has the class {name!r}, which is none of the {len(classes)} of train")
    return classes[name]

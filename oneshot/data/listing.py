"""What lies in an image folder: its parts, their classes, their files. Imports no torch."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from oneshot.data.decoding import EXTENSIONS

VALIDATION = ("valid", "val", "validation")
PARTS = {"train": "train", "test": "test", **dict.fromkeys(VALIDATION, "valid")}
"""The part that a name stands for."""
STRAY = ("__MACOSX", "__pycache__", "@eaDir", "lost+found")
"""What archives, interpreters and file systems leave behind; beside these, whatever is hidden is left alone."""


def parts_of(folder: Path) -> dict[str, Path]:
    """The folders `train`, `valid` and `test` of an image folder, those that it has.

    A folder with one folder of images a class, and no train/, is `train` itself. ValueError for any other.
    """
    own = [name for name in VALIDATION if (folder / name).is_dir()]
    if len(own) > 1:
        raise ValueError(f"{folder} has {' and '.join(own)}: which of them validates? Expected one")
    places = {"train": folder / "train", "valid": folder / (own or VALIDATION)[0], "test": folder / "test"}
    found = {part: path for part, path in places.items() if path.is_dir()}
    if not found and has_classes(folder):
        return {"train": folder}
    if "train" not in found:
        raise ValueError(
            f"{folder} is no image folder: expected train/ and valid/ or test/ with a folder for each class, or one "
            f"folder of images for each class, got {', '.join(path.name for path in found.values()) or 'none of them'}"
        )
    return found


def packed_parts(folder: Path, extension: str) -> dict[str, list[Path]]:
    """The files of each part, by the first word of their names, else by their folder; those of no part train."""
    found: dict[str, list[Path]] = {}
    for path in sorted((*folder.glob(f"*{extension}"), *folder.glob(f"*/*{extension}"))):
        words = (re.split("[-_.]", path.name)[0], path.parent.name if path.parent != folder else "")
        found.setdefault(next((PARTS[word] for word in words if word in PARTS), "train"), []).append(path)
    return found


def has_classes(folder: Path) -> bool:
    """Whether one of its folders holds an image."""
    return any(next(_files(str(folder / name), ""), None) is not None for name in class_names(folder))


def class_names(folder: Path) -> list[str]:
    """The classes of a folder: its subfolders in alphabetical order."""
    return sorted(entry.name for entry in os.scandir(folder) if entry.is_dir() and not _is_stray(entry.name))


def image_files(folder: Path) -> list[str]:
    """Every image below a folder, relative to it, in alphabetical order."""
    return [name for name, _ in sized_files(folder)]


def sized_files(folder: Path) -> list[tuple[str, int]]:
    """The same, each with its size in bytes."""
    return sorted(_files(str(folder), ""))


def _files(folder: str, before: str) -> Iterator[tuple[str, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = entry.name
            if _is_stray(name):
                continue
            if name.lower().endswith(EXTENSIONS) and entry.is_file():
                yield before + name, entry.stat().st_size
            elif entry.is_dir():
                yield from _files(entry.path, f"{before}{name}{os.sep}")


def _is_stray(name: str) -> bool:
    return name.startswith(".") or name in STRAY

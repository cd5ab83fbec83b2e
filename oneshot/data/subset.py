"""A subset of an image folder with classes and images chosen by seed: SubImageNet (arXiv 2104.11522, section 3.1.2).

The original procedure is of arXiv 2010.15821; the paper validates on 250 images a class in place of its 50.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from oneshot.base.files import naming, scratch, write_json
from oneshot.data.listing import class_names, image_files

RECORD = "subset.json"


@dataclass(frozen=True)
class Protocol:
    """How many classes, how many different images of each to train, validate and test on, and the seed.

    `at_most`: a class with fewer images gives all of them, in the same proportions.
    """

    classes: int = 100
    train: int = 250
    valid: int = 250
    test: int = 0
    seed: int = 0
    at_most: bool = False

    def __post_init__(self) -> None:
        if min(self.classes, self.train, self.valid) < 1 or min(self.test, self.seed) < 0:
            raise ValueError(f"expected positive numbers of classes and images, got {self}")

    @property
    def parts(self) -> dict[str, int]:
        """Images a class in each part."""
        return {part: count for part in ("train", "valid", "test") if (count := getattr(self, part))}

    def parts_of(self, available: int) -> dict[str, int]:
        """The same for a class of so many images; each part gets one at least."""
        wanted = sum(self.parts.values())
        if available >= wanted:
            return self.parts
        counts = {part: max(1, available * count // wanted) for part, count in self.parts.items()}
        largest = max(counts, key=counts.__getitem__)
        return {**counts, largest: counts[largest] + available - sum(counts.values())}

    @property
    def least(self) -> int:
        """Images that a class must have."""
        return len(self.parts) if self.at_most else sum(self.parts.values())


def choose(folder: str | Path, protocol: Protocol) -> dict[str, dict[str, list[str]]]:
    """The images of each class of each part, as paths below `folder`/CLASS; `folder` holds one folder a class.

    Classes are drawn among those with enough images, and the images of a class by the seed and its name's place among
    all, so that they do not depend on which other classes are drawn. ValueError where there are too few.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder} is no folder")
    needed = protocol.least
    files = {name: image_files(folder / name) for name in class_names(folder)}
    enough = [name for name, images in files.items() if len(images) >= needed]
    if len(enough) < protocol.classes:
        raise ValueError(
            f"expected {protocol.classes} classes with at least {needed} images, got {len(enough)} "
            f"of the {len(files)} folders in {folder}"
        )
    drawn = np.random.default_rng((protocol.seed, 0)).choice(len(enough), protocol.classes, replace=False)
    chosen: dict[str, dict[str, list[str]]] = {part: {} for part in protocol.parts}
    for name in sorted(enough[i] for i in drawn):
        place = list(files).index(name)
        images = iter(np.random.default_rng((protocol.seed, 1, place)).permutation(len(files[name])))
        for part, count in protocol.parts_of(len(files[name])).items():
            chosen[part][name] = sorted(files[name][next(images)] for _ in range(count))
    return chosen


def write_subset(
    folder: str | Path,
    out: str | Path,
    protocol: Protocol,
    link: bool = False,
    on_image: Callable[[], None] = lambda: None,
) -> Path:
    """Copy (or hard-link) the chosen images to OUT/PART/CLASS/..., whole or not at all, with a record of what they are.

    ValueError where OUT exists.
    """
    folder, out = Path(folder), Path(out)
    chosen = choose(folder, protocol)
    out.parent.mkdir(parents=True, exist_ok=True)
    with scratch(out) as part_way:
        if out.exists():
            raise ValueError(f"{out} exists; choose another folder")
        for part, classes in chosen.items():
            for name, files in classes.items():
                for file in files:
                    _take((folder / name / file).resolve(), part_way / part / name / file, link)
                    on_image()
        write_json(part_way / RECORD, {"source": folder.name, **asdict(protocol), "images": chosen})
        part_way.rename(out)
    return out


def _take(source: Path, target: Path, link: bool) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    with naming(target):
        os.link(source, target) if link else shutil.copyfile(source, target)

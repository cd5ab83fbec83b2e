"""Image folders: FOLDER/train/CLASS/..., FOLDER/valid/CLASS/... (or val, validation), FOLDER/test/CLASS/...

Of these valid and test may be missing; or FOLDER/CLASS/..., without train/.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from oneshot.data.decoding import EXTENSIONS
from oneshot.data.encoded import EncodedImages, assembled, default_workers, scale
from oneshot.data.listing import class_names, parts_of, sized_files
from oneshot.data.source import Dataset


def load_folder(
    folder: str | Path, image_size: int | None = None, device: str | torch.device = "cpu", workers: int | None = None
) -> Dataset[EncodedImages]:
    """The data set in a folder, its images brought to `image_size`, by default 224 pixels.

    Without test/ the images of valid/ are the test images, too; without both, a tenth of the images, by their names,
    are set aside for it. ValueError where there are fewer than two classes, or one is not among those of train/.
    """
    folder = Path(folder)
    found = parts_of(folder)
    classes = class_names(found["train"])
    if len(classes) < 2:
        loose = sum(1 for name, _ in sized_files(found["train"]) if os.sep not in name)
        got = f"the class {classes[0]!r} alone" if classes else f"{loose} images and no folder"
        raise ValueError(
            f"expected at least two classes, a folder of images for each class in {found['train']}, got {got}"
        )
    mean, std = scale(device)
    amount = default_workers() if workers is None else workers

    def images(part: str) -> EncodedImages:
        files, labels = _labelled(found[part], classes, part == "train")
        root, sizes = str(found[part]), np.array([size for _, size in files])
        places, tensor = [root + os.sep + name for name, _ in files], torch.tensor(labels, device=device)
        return EncodedImages(places, tensor, mean, std, image_size or 224, amount, root, sizes)

    return assembled(folder.name, "folder", {part: images(part) for part in found}, classes, folder)


def _labelled(folder: Path, classes: Sequence[str], must: bool) -> tuple[list[tuple[str, int]], list[int]]:
    """The files of each class below the folder, with their sizes, and their labels."""
    unknown = sorted(set(class_names(folder)) - set(classes))
    if unknown:
        raise ValueError(f"{folder} has the class {unknown[0]!r}, which is none of the {len(classes)} of train/")
    found: list[tuple[str, int]] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = sized_files(folder / name) if (folder / name).is_dir() else []
        if not files and must:
            raise ValueError(f"{folder / name} holds no image; known are {', '.join(EXTENSIONS)}")
        found += [(f"{name}{os.sep}{file}", size) for file, size in files]
        labels += [label] * len(files)
    if not found:
        raise ValueError(f"{folder} holds no image of any class; known are {', '.join(EXTENSIONS)}")
    return found, labels

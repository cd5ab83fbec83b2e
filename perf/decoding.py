"""How fast images come out of a folder, tar shards and Parquet, against torchvision's folder and PyTorch's loader.

Explain: JPEG files of 500x375, random crops of 224x224 and flips, as ImageNet is trained on. The twin is what everyone
writes: `torchvision.datasets.ImageFolder`, `RandomResizedCrop`, `RandomHorizontalFlip`, `PILToTensor`, a DataLoader.
Ours gives every image a random seed of its own, so that batches do not depend on the number of workers, and reads what
is packed where it lies.
Predict: decoding and resizing are all but everything, 2.5 ms an image here, and the same libraries do them: 1.0.
Measure: the cases take turns, each reads the whole set in one process without workers; processor seconds; medians.

    python perf/decoding.py [--images 200] [--rounds 5]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from oneshot.data.augmentation import Augmentation
from oneshot.data.encoded import EncodedImages
from oneshot.data.load import load

BATCH, SIZE = 20, 224


def main() -> None:
    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    to.add_argument("--images", type=int, default=200)
    to.add_argument("--rounds", type=int, default=5)
    args = to.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        pictures = [picture(i) for i in range(args.images)]
        cases: dict[str, Callable[[], int]] = {"torchvision": torchvision(folder(Path(scratch), pictures))}
        for name, write in {"folder": folder, "tar shards": shards, "Parquet": parquet}.items():
            cases[name] = ours(load(write(Path(scratch), pictures), image_size=SIZE).pool)
        seconds: dict[str, list[float]] = {name: [] for name in cases}
        for turn in range(args.rounds + 1):
            for name, read in cases.items():
                start = time.process_time()
                count = read()
                if turn:  # the first one imports
                    seconds[name].append((time.process_time() - start) / count)
    each = {name: statistics.median(values) for name, values in seconds.items()}
    print(json.dumps({
        "script": "perf/decoding.py",
        "ratios": {name: round(each["torchvision"] / value, 2) for name, value in each.items()},
        "seconds": {name: round(value, 5) for name, value in each.items()},
        "unit": "processor seconds an image",
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }))  # fmt: skip


def picture(i: int) -> bytes:
    """A JPEG of smooth noise, about 40 KB."""
    rng, made = np.random.default_rng(i), io.BytesIO()
    small = Image.fromarray(rng.integers(256, size=(48, 64, 3), dtype=np.uint8))
    small.resize((500, 375), Image.Resampling.BICUBIC).save(made, "JPEG", quality=90)
    return made.getvalue()


def folder(scratch: Path, pictures: list[bytes]) -> str:
    for part in ("train", "test"):
        for i, content in enumerate(pictures):
            path = scratch / "folder" / part / f"class{i % 2}" / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    return str(scratch / "folder")


def shards(scratch: Path, pictures: list[bytes]) -> str:
    (scratch / "shards").mkdir()
    for part in ("train", "test"):
        with tarfile.open(scratch / "shards" / f"{part}-0.tar", "w") as archive:
            for i, content in enumerate(pictures):
                info = tarfile.TarInfo(f"class{i % 2}/{i}.jpg")
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
    return str(scratch / "shards")


def parquet(scratch: Path, pictures: list[bytes]) -> str:
    import datasets
    import datasets.config

    datasets.config.HF_DATASETS_CACHE = scratch / "cache"
    datasets.disable_progress_bars()
    (scratch / "hub").mkdir()
    values = {"image": pictures, "label": [i % 2 for i in range(len(pictures))]}
    for part in ("train", "test"):
        datasets.Dataset.from_dict(values).to_parquet(scratch / "hub" / f"{part}.parquet")
    return str(scratch / "hub")


def ours(images: EncodedImages) -> Callable[[], int]:
    from dataclasses import replace

    images = replace(images, workers=0)
    augmentation = Augmentation(shift=0, flip=True, crop_scale=0.08)

    def read() -> int:
        rng = np.random.default_rng(0)
        batches = np.split(rng.permutation(len(images)), range(BATCH, len(images), BATCH))
        return sum(len(y) for _, y in images.augmented(batches, augmentation, rng, slice(None)))

    return read


def torchvision(root: str) -> Callable[[], int]:
    from torchvision.datasets import ImageFolder
    from torchvision.transforms import v2

    steps = [v2.RandomResizedCrop(SIZE), v2.RandomHorizontalFlip(), v2.PILToTensor()]
    loader = torch.utils.data.DataLoader(ImageFolder(f"{root}/train", v2.Compose(steps)), BATCH, shuffle=True)
    mean = torch.full((3, 1, 1), 120.0)

    def read() -> int:
        count = 0
        for x, y in loader:
            x = (x.float() - mean) / 60
            count += len(x) + 0 * len(y)
        return count

    return read


if __name__ == "__main__":
    main()

"""Small files of the official NAS-Bench-201 and NATS-Bench structure, made with the official packages' own classes.

What the authors' collecting scripts do is done here with random results: old trials (200 epochs) were validated after
the last epoch only, new ones (12 epochs) after each; times and latencies are the same for all trials of a training.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import nas_201_api
import nats_bench
import numpy as np
import torch

from oneshot.spaces.nasbench201 import ALL, cost

IMAGES = {"cifar10-valid": 25000, "cifar10": 50000, "cifar100": 50000, "ImageNet16-120": 151700}
CLASSES = {"cifar10-valid": 10, "cifar10": 10, "cifar100": 100, "ImageNet16-120": 120}
SPLITS = {
    "cifar10-valid": {"x-valid": 25000, "ori-test": 10000},
    "cifar10": {"ori-test": 10000},
    "cifar100": {"ori-test": 10000, "x-valid": 5000, "x-test": 5000},
    "ImageNet16-120": {"ori-test": 6000, "x-valid": 3000, "x-test": 3000},
}


def strings(count: int) -> list[str]:
    """The first architectures of a fixed random order, distinct up to the whole space."""
    every = [ALL.format(arch) for arch in ALL]
    random.Random(88).shuffle(every)
    return every[:count]


def results(package: ModuleType, index: int, arch: str, epochs: int, rng: np.random.Generator) -> Any:
    """An `ArchResults` of the package with random trials: one to three seeds a data set, the API's own updates."""
    found = package.ArchResults(index, arch)
    seeds = (777, 888, 999)[: 1 + index % 3]
    for dataset in SPLITS:
        for seed in seeds if epochs == 200 else (111, 777) if dataset == "cifar10-valid" else (111,):
            found.update(dataset, seed, trial(package, arch, dataset, str(seed), epochs, rng))
        found.reset_latency(dataset, None, float(rng.random()) / 50)
        found.reset_pseudo_train_times(dataset, None, float(rng.random()) * IMAGES[dataset] / 1000)
        for split, images in SPLITS[dataset].items():
            found.reset_pseudo_eval_times(dataset, None, split, float(rng.random()) * images / 1000)
    return found


def trial(package: ModuleType, arch: str, dataset: str, seed: str, epochs: int, rng: np.random.Generator) -> Any:
    """One training, `ResultsCount`; parameters and FLOPs are numpy's numbers, as they are in the published files."""
    operations = ALL.operations(ALL.parse(arch))
    size = cost(operations, classes=CLASSES[dataset], image_size=16 if dataset.startswith("Image") else 32)
    config = {"channel": 16, "num_cells": 5, "arch_str": arch, "class_num": CLASSES[dataset]}
    params, flops = np.float64(size.params / 1e6), np.float64(size.mflops)
    accuracies, losses = curve(epochs, 100, rng), curve(epochs, 4, rng)
    made = package.ResultsCount(
        dataset, None, accuracies, losses, params, flops, config, seed, epochs, None
    )  # fmt: skip
    made.update_train_info(accuracies, curve(epochs, 100, rng), losses, None)
    last = epochs - 1
    for split in SPLITS[dataset]:
        validated = range(epochs) if epochs == 12 or split == "ori-test" or dataset == "cifar10-valid" else [last]
        top, loss = ({epoch: float(rng.random()) * size for epoch in validated} for size in (100, 4))
        made.update_OLD_eval(split, top, loss)
    return made


def curve(epochs: int, size: float, rng: np.random.Generator) -> dict[int, float]:
    return {epoch: float(value) * size for epoch, value in enumerate(rng.random(epochs))}


def document(package: ModuleType, count: int, seed: int = 0) -> dict[str, Any]:
    """What the official file of `count` architectures holds, as its API takes it."""
    rng = np.random.default_rng(seed)
    archs = strings(count)
    budgets = {"less": 12, "full": 200} if package is nas_201_api else {"12": 12, "200": 200}
    infos = {}
    for index, arch in enumerate(archs):
        states = {key: results(package, index, arch, epochs, rng).state_dict() for key, epochs in budgets.items()}
        infos[index] = states if package is nas_201_api else OrderedDict(states)
    evaluated = list(range(count)) if package is nas_201_api else set(range(count))
    return {"meta_archs": archs, "total_archs": count, "arch2infos": infos, "evaluated_indexes": evaluated}


def write_pth(path: Path, content: dict[str, Any] | int, zipped: bool = False) -> Path:
    """`NAS-Bench-201-v1_*.pth`; the published ones are older than torch's zip format."""
    content = document(nas_201_api, content) if isinstance(content, int) else content
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    return path


def write_pbz2(path: Path, content: dict[str, Any] | int) -> Path:
    """`NATS-tss-*.pickle.pbz2`."""
    content = document(nats_bench, content) if isinstance(content, int) else content
    nats_bench.pickle_save(content, path, ext="")
    return path


def write_simple(folder: Path, content: dict[str, Any] | int, only: Sequence[int] | None = None) -> Path:
    """`NATS-tss-*-simple`: a file with the strings, and one file an architecture."""
    content = document(nats_bench, content) if isinstance(content, int) else content
    folder.mkdir()
    meta = {**content, "arch2infos": None, "evaluated_indexes": set()}
    nats_bench.pickle_save(meta, folder / "meta.pickle")
    for index, states in content["arch2infos"].items():
        if only is None or index in only:
            nats_bench.pickle_save(states, folder / f"{index:06d}.pickle")
    return folder

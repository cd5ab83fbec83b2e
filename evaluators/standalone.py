"""The slow truth: train one architecture from scratch."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch
from oneshot.evaluators.base import Prediction, Predictions

from oneshot.base.provenance import fingerprint
from oneshot.data.load import load
from oneshot.data.source import Dataset, check_batch
from oneshot.methods.single_path import SinglePath
from oneshot.runs.config import Config, document
from oneshot.runs.folder import RunFolder, recorded
from oneshot.runs.network import network
from oneshot.samplers.uniform import Uniform
from oneshot.space import Arch, Space
from oneshot.training.loop import train
from oneshot.training.precision import used
from oneshot.training.recipe import Recipe
from oneshot.training.validation import validated


@dataclass(frozen=True)
class Standalone:
    """Trains single architectures by a recipe; picklable, so that other processes can do it.

    The configuration's method and sampler play no part; BatchNorm is affine, as in the benchmark's own networks.
    """

    config: Config
    recipe: Recipe
    data_dir: str | None = None
    device: str = "cpu"
    keep: str = ""
    """The folder that gets a run folder of every training; '' for none."""

    @property
    def space(self) -> Space:
        return self.config.search_space

    @property
    def protocol(self) -> dict[str, Any]:
        configuration = document(self.config, self.recipe)
        for name in ("method", "sampler", "context", "seed", "arch", "init_from"):
            del configuration[name]
        precision = used(self.recipe.precision, torch.device(self.device))
        return {
            "evaluator": "standalone", "configuration": configuration, "precision": precision, "device": self.device,
        }  # fmt: skip

    def check(self) -> None:
        """ValueError where no training can begin."""
        dataset = _dataset(self.config.dataset, self.data_dir, self.config.image_size, self.device)
        check_batch(len(dataset.split(self.config.split, self.config.split_by)[0]), self.recipe.batch_size)

    def measure(self, arch: Arch, seed: int) -> dict[str, float]:
        """Train once; accuracies in percent on the validation and the test images, the loss, and seconds.

        NaN where the training diverges, or the logits are not finite: no reason to stop those of others.
        """
        start = time.perf_counter()
        dataset = _dataset(self.config.dataset, self.data_dir, self.config.image_size, self.device)
        images, valid = dataset.split(self.config.split, self.config.split_by)
        space = self.space.only(arch)
        torch.manual_seed(seed)
        net = network(self.config, dataset.classes, arch, self.recipe)
        net = net.to(self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        nan = (math.nan, math.nan)
        found = {"valid": nan, "test": nan}
        try:
            train(net, SinglePath(space, Uniform(space)), images, valid, self.recipe, seed, self._folder(arch, seed))
        except FloatingPointError:
            pass
        else:
            gates = space.gates((0,) * len(space.decisions))
            parts = {"valid": valid, "test": dataset.test}
            found = {part: validated(net, gates, of, self.recipe.precision) for part, of in parts.items()}
        measured = {f"{part}_accuracy": accuracy for part, (accuracy, _) in found.items()}
        return measured | {"valid_loss": found["valid"][1], "seconds": time.perf_counter() - start}

    def _folder(self, arch: Arch, seed: int) -> RunFolder | None:
        """Where this training keeps its weights, and goes on after a stop."""
        if not self.keep:
            return None
        name = self.space.format(arch)
        config = self.config.but(method="single-path", sampler="uniform", context="none", init_from="")
        config = config.but(arch=name, seed=seed)
        path = Path(self.keep) / f"{fingerprint(name)}-{seed}"
        return RunFolder.create(path, recorded(config, self.recipe))


class StandaloneEvaluator:
    """Stand-alone training as an evaluator: the validation accuracy of one training with the configuration's seed.

    `data` is what the protocol says of the images.
    """

    def __init__(self, standalone: Standalone, data: Mapping[str, Any] | None = None) -> None:
        self.standalone, self.space, self.data = standalone, standalone.space, data

    @property
    def protocol(self) -> dict[str, Any]:
        known = {} if self.data is None else {"data": dict(self.data)}
        return {**self.standalone.protocol, "seed": self.standalone.config.seed, **known}

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        checked = tuple(self.space.check(arch) for arch in archs)
        return Predictions(self.space, checked, tuple(map(self._predict, checked)), self.protocol)

    def _predict(self, arch: Arch) -> Prediction:
        s = self.standalone
        dataset = _dataset(s.config.dataset, s.data_dir, s.config.image_size, s.device)
        images = len(dataset.split(s.config.split, s.config.split_by)[1])
        measured = s.measure(arch, s.config.seed)
        if math.isnan(measured["valid_accuracy"]):
            return Prediction.failed("its training diverged, or its logits are not finite", images)
        return Prediction(measured["valid_accuracy"], measured["valid_loss"], images)


@lru_cache(maxsize=2)
def _dataset(name: str, data_dir: str | None, image_size: int, device: str) -> Dataset:
    return load(name, data_dir, image_size or None, device)

"""The slow truth: train one architecture from scratch."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from oneshot.evaluators.base import Prediction, Predictions, judged
from oneshot.evaluators.supernet import score

from oneshot.data.load import load
from oneshot.data.source import Dataset, Images
from oneshot.methods.single_path import SinglePath
from oneshot.runs.config import Config, document
from oneshot.runs.run import network
from oneshot.samplers.uniform import Uniform
from oneshot.space import Arch, Space
from oneshot.training.loop import train
from oneshot.training.precision import autocast, used
from oneshot.training.recipe import Recipe


@dataclass(frozen=True)
class Standalone:
    """Trains single architectures by a recipe; picklable, so that other processes can do it.

    The configuration's method and sampler play no part; BatchNorm is affine, as in the benchmark's own networks.
    """

    config: Config
    recipe: Recipe
    data_dir: str | None = None
    device: str = "cpu"

    @property
    def space(self) -> Space:
        return self.config.search_space

    @property
    def protocol(self) -> dict[str, Any]:
        configuration = document(self.config, self.recipe)
        for name in ("method", "sampler", "context", "seed", "init_from"):
            del configuration[name]
        precision = used(self.recipe.precision, torch.device(self.device))
        return {
            "evaluator": "standalone", "configuration": configuration, "precision": precision, "device": self.device,
        }  # fmt: skip

    def measure(self, arch: Arch, seed: int) -> dict[str, float]:
        """Train once; accuracies in percent on the validation and the test images, the loss, and seconds.

        NaN where the training diverges, or the logits are not finite: no reason to stop those of others.
        """
        start = time.perf_counter()
        dataset = _dataset(self.config.dataset, self.data_dir, self.config.image_size, self.device)
        images, valid = dataset.split(self.config.split, self.config.split_by)
        space = self.space.only(arch)
        torch.manual_seed(seed)
        net = network(self.config, dataset.classes, arch)
        net = net.to(self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        try:
            train(net, SinglePath(space, Uniform(space)), images, valid, self.recipe, seed)
        except FloatingPointError as error:
            lost = Prediction.failed(str(error), len(valid))
            results = {"valid": lost, "test": lost}
        else:
            net.eval()
            results = {"valid": self._validate(net, space, valid), "test": self._validate(net, space, dataset.test)}
        measured = {f"{part}_accuracy": p.accuracy for part, p in results.items()}
        return measured | {"valid_loss": results["valid"].loss, "seconds": time.perf_counter() - start}

    @torch.no_grad()
    def _validate(self, net: torch.nn.Module, space: Space, images: Images) -> Prediction:
        gates = space.gates((0,) * len(space.decisions))
        correct = loss = undefined = 0.0
        with autocast(self.recipe.precision, images.labels.device):
            for x, labels in images.batches(500):
                right, losses, odd = score(net(x, gates).float(), labels)
                correct += float(right.sum())
                loss += float(losses)
                undefined += float(odd)
        return judged(correct, loss, undefined, len(images))


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

"""A score of untrained networks as an evaluator."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from oneshot.evaluators.base import Prediction, Predictions
from oneshot.evaluators.training_free.subject import Networks, Subject, Unreadable

from oneshot.base.bounds import IMAGE_SIDE, check_least, check_most
from oneshot.base.provenance import version
from oneshot.base.settings import document
from oneshot.registry import loaded_plugins
from oneshot.space import Arch, Space


@dataclass(frozen=True)
class TrainingFree(ABC):
    """Settings of a score, which make its evaluator.

    Args:
        batch: images a network is shown
        initialisations: networks of each architecture, of which the score is the mean
        seed: of weights, images, and what else is drawn
        image_size: of the images; 0 for the data set's own, or what the network is made for
    """

    name: ClassVar[str]
    """What it is called in protocols, tables and figures."""
    revision: ClassVar[int] = 1
    """Raised when the same settings come to mean something else."""
    fan_in: ClassVar[bool] = False
    """Whether weights are drawn anew by Kaiming's normal rule, in place of the network's own."""
    dataset = ""
    """What images are of where there is no such setting."""

    batch: int = 32
    initialisations: int = 1
    seed: int = 0
    image_size: int = 0

    def __post_init__(self) -> None:
        check_least(self, batch=2, initialisations=1, seed=0, image_size=0)
        check_most(self, batch=4096, initialisations=1000, image_size=IMAGE_SIDE)

    @property
    def images(self) -> int:
        """How many it takes in all."""
        return self.batch

    @abstractmethod
    def parts(self, subject: Subject) -> Mapping[str, float]:
        """What is measured of one network, more of it is better; Unreadable says in one sentence why it cannot be."""

    def make(
        self, space: str, given: Mapping[str, Any], data_dir: str | None = None, device: str = "cpu"
    ) -> ScoreEvaluator:
        """The evaluator of a space's networks with the given settings; others are small."""
        networks = Networks(space, given, self.dataset or "noise", self.image_size, data_dir, device)
        return self.evaluator(networks)

    def evaluator(self, networks: Networks) -> ScoreEvaluator:
        return ScoreEvaluator(self, networks)


class Single(TrainingFree):
    """A score that is one number of a network."""

    @abstractmethod
    def score(self, subject: Subject) -> float: ...

    def parts(self, subject: Subject) -> Mapping[str, float]:
        return {self.name: self.score(subject)}


class ScoreEvaluator:
    """Scores architectures one by one; predictions are scores, which are no accuracies."""

    def __init__(self, settings: TrainingFree, networks: Networks) -> None:
        self.settings, self.networks = settings, networks

    @property
    def space(self) -> Space:
        return self.networks.space

    @cached_property
    def protocol(self) -> dict[str, Any]:
        own = self.settings
        plugins = {"plugins": found} if (found := loaded_plugins()) else {}
        return {
            "evaluator": own.name,
            "quantity": f"{own.name} score",
            "settings": document(own),
            "revision": own.revision,
            "network": self.networks.config.space.document(),
            "initialisation": "kaiming normal, fan in" if own.fan_in else "the network's own",
            "data": dict(self.networks.batch(own.images, own.seed).facts),
            "precision": "float32",
            "device": self.networks.device,
            "version": version("oneshot-nas"),
            **plugins,
        }

    def prepare(self) -> None:
        """What has to be done once, before the first score."""

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        checked = tuple(self.space.check(arch) for arch in archs)
        if checked:
            self.prepare()
        found: dict[Arch, Prediction] = {}
        for arch in checked:
            if arch not in found:
                found[arch] = self._predict(arch)
        return Predictions(self.space, checked, tuple(found[arch] for arch in checked), self.protocol)

    def _predict(self, arch: Arch) -> Prediction:
        try:
            value = self.combined(self.measured(arch))
        except Unreadable as error:
            return Prediction.failed(f"{self.settings.name} {error}", self.settings.images)
        if not math.isfinite(value):
            return Prediction.failed(f"its {self.settings.name} score is {value}", self.settings.images)
        return Prediction.scored(value, self.settings.images)

    def measured(self, arch: Arch) -> dict[str, float]:
        """The parts, means over the initialisations."""
        own = self.settings
        batch = self.networks.batch(own.images, own.seed)
        seeds = range(own.seed, own.seed + own.initialisations)
        each = [own.parts(self.networks.subject(arch, batch, seed, own.fan_in)) for seed in seeds]
        return {name: float(np.mean([parts[name] for parts in each])) for name in each[0]}

    def combined(self, parts: Mapping[str, float]) -> float:
        (value,) = parts.values()
        return value

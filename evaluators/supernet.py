"""Predictions read out of a supernet: BatchNorm recalibrated for each architecture, then validated."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from evaluators.base import Prediction, Predictions
from evaluators.sharing import Sharing
from oneshot.catalogue import Run
from oneshot.data import ImageSource
from oneshot.gates import fixed
from oneshot.nn.norm import batch_norms
from oneshot.space import Arch, Space
from oneshot.training import autocast, keep_freed_memory

TOGETHER = 128
"""Architectures that are sent through the network together."""
MEMORY = 2048
"""MiB."""


@dataclass(frozen=True)
class NormMode:
    """How an architecture gets its BatchNorm statistics, and from how many batches.

    inherit             the statistics of training, which all architectures share
    batch               those of each validation batch
    ema-N               N training batches on top of the trained statistics (arXiv 2104.11522, appendix B, N = 20)
    reset-ema-N         N training batches on top of mean 0, variance 1
    reset-cumulative-N  the plain average over N training batches
    """

    kind: str
    batches: int = 0

    @classmethod
    def parse(cls, text: str) -> NormMode:
        match = re.fullmatch(r"(inherit|batch)|(ema|reset-ema|reset-cumulative)-([1-9]\d*)", text)
        if match is None:
            raise ValueError(
                f"no BatchNorm mode {text!r}; expected inherit, batch, ema-N, reset-ema-N or reset-cumulative-N"
            )
        return cls(match[1]) if match[1] else cls(match[2], int(match[3]))

    def __str__(self) -> str:
        return f"{self.kind}-{self.batches}" if self.batches else self.kind


class SupernetEvaluator:
    """Evaluates architectures on a trained network, whose state is never changed; many at once are faster.

    `train` gives the recalibration batches (its first images, not augmented), `valid` the images of the score.
    `memory` bounds, in MiB, what is kept to be shared among architectures; it has no influence on the result.
    """

    def __init__(
        self,
        net: nn.Module,
        space: Space,
        train: ImageSource,
        valid: ImageSource,
        norm: str | NormMode = "ema-20",
        batch_size: int = 256,
        precision: str = "auto",
        provenance: dict[str, Any] | None = None,
        memory: int = MEMORY,
    ) -> None:
        self.net, self.space, self.valid = net, space, valid
        self.norm = NormMode.parse(norm) if isinstance(norm, str) else norm
        self.batch_size = batch_size
        self.precision = precision
        self.memory = memory << 20
        if batch_size < 1 or memory < 0:
            raise ValueError(f"batch_size must be at least 1 and memory at least 0, got {batch_size} and {memory}")
        if self.norm.batches > len(train):
            raise ValueError(f"{self.norm} needs at least {self.norm.batches} training images, got {len(train)}")
        size = min(batch_size, len(train) // max(self.norm.batches, 1))
        self._calibration, self._calibration_size = train.subset(slice(0, self.norm.batches * size)), size
        self._provenance = provenance or {}
        self._norms = batch_norms(net)
        keep_freed_memory()

    @property
    def protocol(self) -> dict[str, Any]:
        return {
            "evaluator": "supernet",
            "batch_norm": str(self.norm),
            "calibration_images": len(self._calibration),
            "batch_size": self.batch_size,
            "validation_images": len(self.valid),
            "precision": self.precision,
            "device": self.valid.labels.device.type,
            **self._provenance,
        }

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        checked = tuple(self.space.check(arch) for arch in archs)
        found: dict[Arch, Prediction] = {}
        wanted = sorted(set(checked))  # neighbours begin alike
        for start in range(0, len(wanted), TOGETHER):
            part = wanted[start : start + TOGETHER]
            found.update(zip(part, self._predict(part), strict=True))
        return Predictions(self.space, checked, tuple(found[arch] for arch in checked), self.protocol)

    @torch.no_grad()
    def _predict(self, archs: Sequence[Arch]) -> list[Prediction]:
        """Of different architectures, which share what they can."""
        found = torch.zeros(2, len(archs), dtype=torch.float64)  # images that are right; summed losses
        with _statistics_kept(self.net, self._norms), autocast(self.precision, self.valid.labels.device):
            self._start()
            sharing = Sharing(self.net, [fixed(self.space, arch) for arch in archs], self.memory)
            for images, _ in self._calibration.batches(self._calibration_size):
                for _ in sharing(images):
                    pass
            for norm in self._norms:
                norm.train(self.norm.kind == "batch")
            for images, labels in self.valid.batches(self.batch_size):
                found += torch.tensor([_score(logits.float(), labels) for logits in sharing(images)]).T
        count = len(self.valid)
        return [Prediction(100 * float(right) / count, float(loss) / count, count) for right, loss in found.T]

    def _start(self) -> None:
        """Put the network into evaluation, its BatchNorm into collecting statistics from where the mode begins."""
        self.net.eval()
        for norm in self._norms:
            norm.train(self.norm.kind != "inherit")
            norm.folds = True  # pyright: ignore
            if self.norm.kind.startswith("reset"):
                norm.reset_running_stats()
            if self.norm.kind == "reset-cumulative":
                norm.momentum = None


def _score(logits: Tensor, labels: Tensor) -> tuple[float, float]:
    """How many are right, and the summed loss."""
    return float((logits.argmax(1) == labels).sum()), float(F.cross_entropy(logits, labels, reduction="sum"))


def of_run(
    run: Run, norm: str = "ema-20", batch_size: int = 256, images: int = 0, memory: int = MEMORY
) -> SupernetEvaluator:
    """The evaluator of a run on its validation images, or on the first `images` of them."""
    if not 0 <= images <= len(run.valid):
        raise ValueError(f"there are {len(run.valid)} validation images, {images} were asked for")
    valid = run.valid.subset(slice(0, images)) if images else run.valid
    precision, provenance = run.recipe.precision, run.provenance()
    return SupernetEvaluator(run.net, run.space, run.train, valid, norm, batch_size, precision, provenance, memory)


@contextmanager
def _statistics_kept(net: nn.Module, norms: Sequence[nn.BatchNorm2d]) -> Iterator[None]:
    """Whatever happens inside, the network's mode and its BatchNorm statistics are afterwards what they were."""
    modes = {module: module.training for module in net.modules()}
    momenta = [norm.momentum for norm in norms]
    kept: list[list[Tensor]] = [[buffer.clone() for buffer in norm.buffers()] for norm in norms]
    try:
        yield
    finally:
        for norm, momentum, buffers in zip(norms, momenta, kept, strict=True):
            norm.momentum = momentum
            norm.folds = False  # pyright: ignore
            for buffer, value in zip(norm.buffers(), buffers, strict=True):
                buffer.copy_(value)
        for module, mode in modes.items():
            module.training = mode

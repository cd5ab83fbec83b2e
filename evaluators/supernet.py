"""Predictions read out of a supernet: BatchNorm recalibrated for each architecture, then validated."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from oneshot.evaluators.base import Prediction, Predictions, Seen
from torch import Tensor, nn

from oneshot.data.source import ImageSource
from oneshot.gates import Gates
from oneshot.nn.norm import batch_norms, folding
from oneshot.nn.recalibration import NormMode
from oneshot.nn.sharing import Sharing
from oneshot.runs.run import Run, open_run
from oneshot.space import Arch, Space
from oneshot.training.precision import autocast, used
from oneshot.training.validation import score

TOGETHER = 128
"""Architectures that are sent through the network together at most."""
MEMORY = 2048
"""MiB."""


class SupernetEvaluator:
    """Evaluates architectures on a trained network, whose state is never changed; many at once are faster.

    `train` gives the recalibration batches (its first images, not augmented), `valid` the images of the score.
    `memory` bounds, in MiB, what is kept to be shared among architectures, and `together` says how many go through the
    network at once, by default as many as have use for that memory; neither has an influence on the result.
    `gates_of` says what runs of an architecture, by default each of its options with a weight of 1. `on_progress` is
    told of architectures as the work of so many is done.
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
        together: int | None = None,
        gates_of: Callable[[Arch], Gates] | None = None,
    ) -> None:
        self.net, self.space, self.valid = net, space, valid
        self.norm = NormMode.parse(norm) if isinstance(norm, str) else norm
        self.batch_size = batch_size
        self.precision = precision
        self.memory, self.together = memory << 20, together
        self.gates_of = gates_of or space.gates
        self.on_progress: Callable[[int], object] = lambda n: None
        if together is not None and together < 1:
            raise ValueError(f"together must be at least 1, got {together}")
        if batch_size < 1 or memory < 0:
            raise ValueError(f"batch_size must be at least 1 and memory at least 0, got {batch_size} and {memory}")
        self._calibration, self._calibration_size = self.norm.images(train, batch_size)
        self._provenance = provenance or {}
        self._norms = batch_norms(net)
        self._fits, self._most = 1, TOGETHER

    @property
    def labels(self) -> np.ndarray:
        """Of the validation images [N]."""
        return self.valid.labels.cpu().numpy()

    @property
    def protocol(self) -> dict[str, Any]:
        return {
            "evaluator": "supernet",
            "batch_norm": str(self.norm),
            "calibration_images": len(self._calibration),
            "batch_size": self.batch_size,
            "validation_images": len(self.valid),
            "precision": used(self.precision, self.valid.labels.device),
            "device": self.valid.labels.device.type,
            **self._provenance,
        }

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        checked = tuple(self.space.check(arch) for arch in archs)
        found: dict[Arch, Prediction] = {}
        for part in self.groups(sorted(set(checked))):  # neighbours begin alike
            found.update(zip(part, self.validate(part)[0].predictions(self.labels), strict=True))
        return Predictions(self.space, checked, tuple(found[arch] for arch in checked), self.protocol)

    def groups(self, archs: Sequence[Arch]) -> Iterator[Sequence[Arch]]:
        """The architectures in parts that go through the network together."""
        while archs:
            size = self.fitting(archs)
            yield archs[:size]
            archs = archs[size:]

    def fitting(self, archs: Sequence[Arch]) -> int:
        """How many of these, from the first on, go through the network together."""
        if self.together is not None:
            return min(self.together, len(archs))
        size = min(self._most, len(archs))
        while size > self._fits and self._needed(archs[:size]) > self.memory:
            size = self._most = (size + 1) // 2
        self._fits = max(self._fits, size)
        return size

    @torch.no_grad()
    def _needed(self, archs: Sequence[Arch]) -> float:
        """Bytes of all that would be kept to be shared, measured on two images."""
        with self._ready():
            sharing = Sharing(self.net, self._gates(archs), sys.maxsize)
            images, _ = next(self.valid.subset(slice(0, 2)).batches(2))
            for _ in sharing(images):
                pass
        return sharing.peak / len(images) * max(self.batch_size, self._calibration_size)

    @torch.no_grad()
    def validate(
        self, archs: Sequence[Arch], images: slice = slice(None), statistics: Sequence[Tensor] | None = None
    ) -> tuple[Seen, list[Tensor]]:
        """Different architectures, which share what they can, on some of the validation images.

        With each one's BatchNorm statistics, by which it needs no recalibration on other images. ValueError unless
        the slice begins at a batch.
        """
        if (images.start or 0) % self.batch_size:
            raise ValueError(f"a slice must begin at a batch of {self.batch_size}, got {images.start}")
        valid, right, losses, undefined = self.valid.subset(images), [], [], []
        work = [] if statistics is not None else [(self._calibration, self._calibration_size)]
        with self._ready():
            sharing = Sharing(self.net, self._gates(archs), self.memory)
            each = self._told(sharing, sum(-(-len(part) // size) for part, size in [*work, (valid, self.batch_size)]))
            for x, _ in (batch for part, size in work for batch in part.batches(size)):
                for _ in each(x):
                    pass
            if statistics is not None:
                sharing.restore(statistics)
            for norm in self._norms:
                norm.train(self.norm.kind == "batch")
            for x, labels in valid.batches(self.batch_size):
                scores = [score(logits, labels) for logits in each(x)]
                right.append(torch.stack([score[0] for score in scores]).cpu())
                losses.append(torch.stack([score[1] for score in scores]).double().cpu())
                undefined.append(torch.stack([score[2] for score in scores]).cpu())
            odd = torch.stack(undefined, 1).sum(1).numpy()
            return Seen(torch.cat(right, 1).numpy(), torch.stack(losses, 1).numpy(), odd), sharing.statistics()

    def _told(self, sharing: Sharing, batches: int) -> Callable[[Tensor], Iterator[Tensor]]:
        """Logits of one batch after another, all float; `on_progress` is told after as many as there are batches."""
        ticks = count(1)

        def each(x: Tensor) -> Iterator[Tensor]:
            for logits in sharing(x):
                yield logits.float()
                if next(ticks) % batches == 0:
                    self.on_progress(1)

        return each

    def _gates(self, archs: Sequence[Arch]) -> list[Gates]:
        return [self.gates_of(arch) for arch in archs]

    @contextmanager
    def _ready(self) -> Iterator[None]:
        """The network as recalibration begins with it; afterwards what it was."""
        precision = autocast(self.precision, self.valid.labels.device)
        with _statistics_kept(self.net, self._norms), precision, folding():
            self.norm.start(self.net, self._norms)
            yield


class Slices:
    """A supernet's answers on one slice of the validation images after another, recalibrated once an architecture.

    Each slice begins at a batch. BatchNorm statistics, some KB an architecture, are kept of those that were asked for
    last. ValueError for statistics that belong to no architecture but to each validation batch.
    """

    def __init__(self, evaluator: SupernetEvaluator) -> None:
        if evaluator.norm.kind == "batch":
            raise ValueError("batch_norm batch: what is said of an image must not depend on those beside it")
        self.evaluator = evaluator
        self._statistics: dict[Arch, Tensor] = {}

    def __call__(self, archs: Sequence[Arch], images: slice) -> Seen:
        before, self._statistics = self._statistics, {}
        parts: list[Seen] = []
        for group in self.evaluator.groups(archs):
            known = [before[arch] for arch in group if arch in before]
            seen, statistics = self.evaluator.validate(group, images, known if len(known) == len(group) else None)
            self._statistics.update(zip(group, statistics, strict=True))
            parts.append(seen)
        return Seen.stacked(parts)


def of_run(
    run: Run,
    norm: str = "ema-20",
    batch_size: int = 256,
    images: int = 0,
    memory: int = MEMORY,
    together: int | None = None,
) -> SupernetEvaluator:
    """The evaluator of a run on its validation images, or on the first `images` of them."""
    if not 0 <= images <= len(run.valid):
        raise ValueError(f"there are {len(run.valid)} validation images, {images} were asked for")
    valid = run.valid.subset(slice(0, images)) if images else run.valid
    precision, provenance, gates_of = run.recipe.precision, run.provenance(), run.method.gates_of
    found = run.method.derive()
    if found is not None and gates_of(found) != run.space.gates(found):
        provenance["mixing_weights_of"] = run.space.format(found)
    return SupernetEvaluator(
        run.method.reading(run.net), run.space, run.train, valid, norm, batch_size, precision, provenance, memory,
        together, gates_of,
    )  # fmt: skip


def of_folder(
    path: str | Path,
    data_dir: str | Path | None = None,
    device: str = "cpu",
    accept_data: bool = False,
    **settings: Any,
) -> SupernetEvaluator:
    """The evaluator of the run in a folder, with the settings of `of_run`; `accept_data` as for `open_run`."""
    return of_run(open_run(path, data_dir, device, accept_data), **settings)


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
            for buffer, value in zip(norm.buffers(), buffers, strict=True):
                buffer.copy_(value)
        for module, mode in modes.items():
            module.training = mode

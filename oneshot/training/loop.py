"""One training loop for all methods: phases, schedules, resume."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from oneshot.base import distributed
from oneshot.base.state import load_optimizer, optimizer_state
from oneshot.data.source import ImageSource, training_batches
from oneshot.methods.base import Method
from oneshot.methods.phases import Phase
from oneshot.nn.choice import split_if_due
from oneshot.training.course import Course
from oneshot.training.feedback import Feedback, check_feedback
from oneshot.training.precision import used
from oneshot.training.recipe import Recipe
from oneshot.training.state import load_method, load_network, named, network_state, part
from oneshot.training.step import Step
from oneshot.training.weights import Weights

State = dict[str, Tensor]
Row = Mapping[str, Any]


class Record(Protocol):
    """Writes down the rows of a training, and now and then its state."""

    def __call__(self, row: Row, state: Callable[[], Mapping[str, Tensor]]) -> None: ...

    def close(self) -> None: ...


class Keeper(Protocol):
    """Where a training is kept, such as a run folder."""

    def load(self) -> tuple[State, dict[str, Any]] | None:
        """The state and its commit record, with `epoch` and `facts`; None before the first."""
        ...

    def rewind(self, epoch: int) -> None:
        """Drop what was written down beyond so many epochs."""
        ...

    def record(self, finished: int, epochs: int, facts: Mapping[str, Any]) -> Record:
        """Nobody else writes there until it is closed."""
        ...


def train(
    net: nn.Module,
    method: Method,
    images: ImageSource,
    held_out: ImageSource,
    recipe: Recipe,
    seed: int = 0,
    folder: Keeper | None = None,
    on_epoch: Callable[[Row], None] | None = None,
    feedback: Feedback | None = None,
) -> None:
    """Train in place, continuing from what the folder keeps.

    `net` and the images are on one device; channels-last weights are fastest. On a CPU the same arguments and number
    of threads give bit-identical weights, across any stop and resume too; another number is a warning.
    Under torch.distributed every process calls this with the same arguments, each works on its share of every batch,
    and the first one writes. A sampler that learns needs its `feedback`.
    """
    training = Training(net, method, images, held_out, recipe, seed, feedback)
    loaded = None if folder is None else folder.load()
    first, seconds = 0, 0.0
    if loaded is not None:
        before = loaded[1]["facts"].get("seconds", 0.0)
        first, seconds = loaded[1]["epoch"], float(before) if isinstance(before, int | float) else 0.0
        _warn_of_threads(loaded[1]["facts"].get("threads"), images.labels.device)
        training.load(loaded[0], first)
    record = None
    if folder is not None and distributed.rank() == 0:
        device = images.labels.device
        facts = {"device": str(device), "precision": used(recipe.precision, device), "threads": torch.get_num_threads()}
        record = folder.record(first, training.course.epochs, facts)
        folder.rewind(first)
    net.train()
    try:
        for epoch in range(first, training.course.epochs):
            start = time.perf_counter()
            row = training.epoch(epoch)
            learned = {} if feedback is None else feedback.after(epoch, seed)
            seconds += time.perf_counter() - start
            row |= {"seconds": seconds, **learned}
            if record is not None:
                record(row, training.state)
            if on_epoch is not None:
                on_epoch(row)
    finally:
        if record is not None:
            record.close()


def _warn_of_threads(before: Any, device: torch.device) -> None:
    """PyTorch adds up in another order on another number of threads."""
    now = torch.get_num_threads()
    if isinstance(before, int) and before != now and device.type == "cpu":
        warnings.warn(
            f"the training was begun with {before} threads and goes on with {now}: its weights will not be those of "
            f"one without a stop; --threads {before} continues as it began",
            stacklevel=3,
        )


class Training:
    """All that changes in a training, and one epoch of it. All randomness comes from (seed, epoch, step)."""

    def __init__(
        self,
        net: nn.Module,
        method: Method,
        images: ImageSource,
        held_out: ImageSource,
        recipe: Recipe,
        seed: int = 0,
        feedback: Feedback | None = None,
    ) -> None:
        self.net, self.method, self.images, self.held_out = net, method, images, held_out
        self.seed, self.feedback = seed, feedback
        self.course = Course.of(method.phases(recipe))
        self.phase = self.course.phases[0]
        self.weights = Weights(net, self.phase.recipe)
        method.begin(self.phase.name)
        check_feedback(method, feedback)

    def epoch(self, epoch: int) -> dict[str, Any]:
        """Train one epoch; what the metrics say of it. FloatingPointError where a loss is not finite."""
        phase, first = self._enter(epoch)
        recipe, start = phase.recipe, time.perf_counter()
        images = self.images if phase.images == "train" else self.images.plus(self.held_out)
        steps, losses = len(images) // recipe.batch_size, Losses(images.labels.device)
        for number, batch in enumerate(self._batches(images, recipe, epoch)):
            progress = (epoch - first) / recipe.epochs + number / (steps * recipe.epochs)
            self.weights.rate = recipe.rate(progress)
            numbers, targets = (self.seed, epoch, number), list(self.method.targets().values())
            step = Step(self.weights, targets, batch, self._next_held_out, numbers, progress)
            self.method.step(step)
            step.finish()
            losses.add(step.losses)
        return {
            "epoch": epoch + 1,
            **({"phase": phase.name} if len(self.course.phases) > 1 else {}),
            **losses.means(epoch),
            "learning_rate": recipe.rate((epoch + 1 - first) / recipe.epochs),
            **self.method.facts(),
            "images_per_second": steps * recipe.batch_size / (time.perf_counter() - start),
        }

    def state(self) -> State:
        """All of it as named tensors."""
        state = network_state(self.net) | optimizer_state("weights", self.weights.optimizer)
        state |= named("method", self.method.state_dict())
        for name, target in self.method.targets().items():
            state |= optimizer_state(f"optimizer.{name}", target.optimizer)
        return state if self.feedback is None else state | named("sampler", self.feedback.sampler.state_dict())

    def load(self, state: Mapping[str, Tensor], epoch: int) -> None:
        """Take over a state after so many epochs; ValueError names what does not fit."""
        if epoch:
            self._enter(epoch - 1)
        load_network(self.net, state)
        load_optimizer("weights", self.weights.optimizer, state)
        load_method(self.method, state)
        for name, target in self.method.targets().items():
            load_optimizer(f"optimizer.{name}", target.optimizer, state)
        if self.feedback is not None:
            self.feedback.sampler.load_state_dict(part("sampler", state))

    def _enter(self, epoch: int) -> tuple[Phase, int]:
        """Make the network and its weights what they are in an epoch; its phase, and the epoch that begins that."""
        phase, first = self.course.at(epoch)
        begins, origin = phase is not self.phase, split_if_due(self.net, epoch)
        if origin or begins:
            old, self.weights = self.weights, Weights(self.net, phase.recipe)
            if origin or phase.continues:
                self.weights.take_over(old, origin)
        if begins:
            self.phase = phase
            self.method.begin(phase.name)
        return phase, first

    def _batches(self, images: ImageSource, recipe: Recipe, epoch: int) -> Iterator[Batch]:
        rng, held_rng = (np.random.default_rng((self.seed, epoch, stream)) for stream in (0, 2))
        share = distributed.rank(), distributed.world()
        held = _endless(self.held_out, min(recipe.batch_size, len(self.held_out)), recipe, held_rng, share)
        self._next_held_out = lambda: next(held)
        return training_batches(images, recipe.batch_size, recipe.augmentation, rng, *share)


class Losses:
    """The mean of every loss of an epoch, by its name."""

    def __init__(self, device: torch.device) -> None:
        self.device, self._sums, self._counts = device, dict[str, Tensor](), dict[str, int]()

    def add(self, losses: Mapping[str, list[Tensor]]) -> None:
        """Those of one step; nothing is waited for."""
        for name, found in losses.items():
            before = self._sums.get(name, torch.zeros((), device=self.device))
            self._sums[name] = sum(found, before)
            self._counts[name] = self._counts.get(name, 0) + len(found)

    def means(self, epoch: int) -> dict[str, float]:
        """Over all processes, `loss` first; FloatingPointError where one is not finite."""
        order = sorted(self._sums, key=lambda name: name != "loss")
        means = {name: float(distributed.average(self._sums[name])) / self._counts[name] for name in order}
        for name, value in means.items():
            if not math.isfinite(value):
                raise FloatingPointError(f"the {name} became {value} in epoch {epoch + 1}; try a smaller learning rate")
        return means


Batch = tuple[Tensor, Tensor]


def _endless(
    images: ImageSource, size: int, recipe: Recipe, rng: np.random.Generator, share: tuple[int, int]
) -> Iterator[Batch]:
    while True:
        yield from training_batches(images, size, recipe.augmentation, rng, *share)

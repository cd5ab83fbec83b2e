"""One training loop for all methods: phases, schedules, resume."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from oneshot.training.callbacks import Callback, Moment
from oneshot.training.course import Course
from oneshot.training.feedback import Feedback, check_feedback
from oneshot.training.place import Place
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

    def within(self, epoch: int, place: Callable[[], Place], state: Callable[[], Mapping[str, Tensor]]) -> None:
        """After a step of the epoch that follows so many."""
        ...

    def close(self) -> None: ...


class Keeper(Protocol):
    """Where a training is kept, such as a run folder."""

    def load(self) -> tuple[State, dict[str, Any]] | None:
        """The state and its commit record, with `epoch` and `facts`; None before the first."""
        ...

    def load_within(self, epoch: int) -> tuple[State, Place, dict[str, Any]] | None:
        """The state in the middle of the epoch that follows so many, and its facts, if there is one."""
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
    callbacks: Sequence[Callback] = (),
    feedback: Feedback | None = None,
) -> None:
    """Train in place, continuing from what the folder keeps.

    `net` and the images are on one device; channels-last weights are fastest. On a CPU the same arguments and number
    of threads give bit-identical weights, across any stop and resume too; another number is a warning.
    Under torch.distributed every process calls this with the same arguments, each works on its share of every batch,
    and the first one writes. A sampler that learns needs its `feedback`.
    """
    training = Training(net, method, images, held_out, recipe, seed, feedback)
    first, seconds = (0, 0.0) if folder is None else _loaded(training, folder)
    record = None
    if folder is not None and distributed.rank() == 0:
        device = images.labels.device
        facts = {"device": str(device), "precision": used(recipe.precision, device), "threads": torch.get_num_threads()}
        record = folder.record(first, training.course.epochs, facts)
        folder.rewind(first)
    net.train()
    try:
        for callback in callbacks:
            callback.begin(first)
        for epoch in range(first, training.course.epochs):
            start = time.perf_counter()
            for at in training.steps(epoch):
                if record is not None:
                    so_far = seconds + time.perf_counter() - start
                    record.within(epoch, lambda so_far=so_far: training.place(so_far), training.state)
                for callback in callbacks:
                    callback.step(at)
            row = training.row(epoch)
            learned = {} if feedback is None else feedback.after(epoch, seed)
            seconds += time.perf_counter() - start
            row |= {"seconds": seconds, **learned}
            for callback in callbacks:
                row |= callback.measure(epoch + 1)
            net.train()
            if record is not None:
                record(row, training.state)
            for callback in callbacks:
                callback.epoch(row)
    finally:
        if record is not None:
            record.close()
        for callback in callbacks:
            callback.end()


def _loaded(training: Training, folder: Keeper) -> tuple[int, float]:
    """Take over what a folder keeps: the epochs that are done, and the seconds that it took."""
    kept = folder.load()
    first, facts = (0, {}) if kept is None else (kept[1]["epoch"], kept[1]["facts"])
    middle = folder.load_within(first)
    if middle is not None:
        state, place, facts = middle
        training.load(state, first, place)
        facts = {**facts, "seconds": place.seconds}
    elif kept is not None:
        training.load(kept[0], first)
    _warn_of_threads(facts.get("threads"), training.images.labels.device)
    seconds = facts.get("seconds", 0.0)
    return first, float(seconds) if isinstance(seconds, int | float) else 0.0


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
        self._begins, self._step, self._held = Place(), 0, 0
        self._losses = Losses(images.labels.device)
        self._speed = 0.0
        method.begin(self.phase.name)
        check_feedback(method, feedback)

    def epoch(self, epoch: int) -> dict[str, Any]:
        """Train one epoch; what the metrics say of it. FloatingPointError where a loss is not finite."""
        for _ in self.steps(epoch):
            pass
        return self.row(epoch)

    def steps(self, epoch: int) -> Iterator[Moment]:
        """Train one epoch, or what is left of it, step by step."""
        phase, first = self._enter(epoch)
        recipe, start, images = phase.recipe, time.perf_counter(), self._images(phase)
        steps, before = self._count(phase), self._before(epoch)
        total = sum(self._count(each) * each.recipe.epochs for each in self.course.phases)
        begins, self._begins = self._begins, Place()
        self._losses = Losses(images.labels.device, begins.losses)
        for number, batch in enumerate(self._batches(images, recipe, epoch, begins), begins.step):
            progress = (epoch - first) / recipe.epochs + number / (steps * recipe.epochs)
            self.weights.rate = recipe.rate(progress)
            numbers, targets = (self.seed, epoch, number), list(self.method.targets().values())
            step = Step(self.weights, targets, batch, self._next_held_out, numbers, progress)
            self.method.step(step)
            step.finish()
            self._losses.add(step.losses)
            self._step = number + 1
            done, size = before + self._step, recipe.batch_size
            yield Moment(epoch, self.course.epochs, self._step, steps, done, total, size, self._losses.so_far)
        self._speed = (steps - begins.step) * recipe.batch_size / (time.perf_counter() - start)

    def row(self, epoch: int) -> dict[str, Any]:
        """What the metrics say of the epoch that was trained; FloatingPointError where a loss is not finite."""
        phase, first = self.course.at(epoch)
        return {
            "epoch": epoch + 1,
            **({"phase": phase.name} if len(self.course.phases) > 1 else {}),
            **self._losses.means(epoch),
            "learning_rate": phase.recipe.rate((epoch + 1 - first) / phase.recipe.epochs),
            **self.method.facts(),
            "images_per_second": self._speed,
        }

    def place(self, seconds: float) -> Place:
        """Where the training is within its epoch, after so many seconds of all of it."""
        return Place(self._step, self._held, self._losses.sums(), seconds)

    def state(self) -> State:
        """All of it as named tensors."""
        state = network_state(self.net) | optimizer_state("weights", self.weights.optimizer)
        state |= named("method", self.method.state_dict())
        for name, target in self.method.targets().items():
            state |= optimizer_state(f"optimizer.{name}", target.optimizer)
        return state if self.feedback is None else state | named("sampler", self.feedback.sampler.state_dict())

    def load(self, state: Mapping[str, Tensor], epoch: int, place: Place | None = None) -> None:
        """Take over a state after so many epochs, or in the one after them; ValueError names what does not fit."""
        if epoch or place is not None:
            self._enter(epoch if place is not None else epoch - 1)
        self._begins = place or Place()
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

    def _images(self, phase: Phase) -> ImageSource:
        return self.images if phase.images == "train" else self.images.plus(self.held_out)

    def _count(self, phase: Phase) -> int:
        """Steps of an epoch."""
        images = len(self.images) + (0 if phase.images == "train" else len(self.held_out))
        return images // phase.recipe.batch_size

    def _before(self, epoch: int) -> int:
        """Steps of all epochs before this one."""
        phase, first = self.course.at(epoch)
        earlier = self.course.phases[: self.course.phases.index(phase)]
        return sum(self._count(p) * p.recipe.epochs for p in earlier) + (epoch - first) * self._count(phase)

    def _batches(self, images: ImageSource, recipe: Recipe, epoch: int, begins: Place) -> Iterator[Batch]:
        rng, held_rng = (np.random.default_rng((self.seed, epoch, stream)) for stream in (0, 2))
        share = distributed.rank(), distributed.world()
        size = min(recipe.batch_size, len(self.held_out))
        held = _endless(self.held_out, size, recipe, held_rng, share, begins.held)
        self._held = begins.held

        def next_held_out() -> Batch:
            self._held += 1
            return next(held)

        self._next_held_out = next_held_out
        return training_batches(images, recipe.batch_size, recipe.augmentation, rng, *share, first=begins.step)


class Losses:
    """The mean of every loss of an epoch, by its name; it may go on from sums and numbers of them."""

    def __init__(self, device: torch.device, before: Mapping[str, tuple[float, int]] | None = None) -> None:
        known = before or {}
        self.device = device
        self._sums = {name: torch.tensor(value, device=device) for name, (value, _) in known.items()}
        self._counts = {name: count for name, (_, count) in known.items()}

    def sums(self) -> dict[str, tuple[float, int]]:
        """Of this process."""
        return {name: (float(value), self._counts[name]) for name, value in self._sums.items()}

    def so_far(self) -> dict[str, float]:
        """The means of this process."""
        return {name: value / count for name, (value, count) in self.sums().items()}

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
    images: ImageSource, size: int, recipe: Recipe, rng: np.random.Generator, share: tuple[int, int], first: int = 0
) -> Iterator[Batch]:
    """Held-out batches in pass after pass, without the first so many of them."""
    while True:
        yield from training_batches(images, size, recipe.augmentation, rng, *share, first=first)
        first = max(first - len(images) // size, 0)

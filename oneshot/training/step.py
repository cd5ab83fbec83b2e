"""One training step, as a method drives it: precision, averages over processes, clipping and hygiene, once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from oneshot.base import distributed
from oneshot.methods.base import Target
from oneshot.nn.auxiliary import AuxiliaryHead
from oneshot.nn.chance import at_progress
from oneshot.nn.cpu import without_loops
from oneshot.nn.norm import still
from oneshot.training.precision import autocast
from oneshot.training.weights import Weights

Batch = tuple[Tensor, Tensor]


class Step:
    """See `oneshot.methods.base.Step`, which is what a method may rely on."""

    def __init__(
        self,
        weights: Weights,
        targets: Sequence[Target],
        batch: Batch,
        held_out: Callable[[], Batch],
        numbers: tuple[int, int, int],
        progress: float,
    ) -> None:
        self.weights, self.module, self.recipe = weights, weights.module, weights.recipe
        self.images, self.labels = batch
        self.held_out, self.progress = held_out, progress
        self.seed, self.epoch, self.number = numbers
        self.rng = np.random.default_rng((*numbers, 1))
        self.losses: dict[str, list[Tensor]] = defaultdict(list)
        self._targets = targets
        self._learned: dict[int, Target] = {}
        self._auxiliary = [m for m in self.module.modules() if isinstance(m, AuxiliaryHead)]
        self._shared: list[tuple[Tensor, Tensor]] = []
        self._is_differentiable = False
        seed_torch((*numbers, 2, distributed.rank()), self.images.device)
        at_progress(self.module, progress)

    def net(self, images: Tensor, gates: Any, at: Sequence[Tensor] | None = None) -> Tensor:
        with autocast(self.recipe.precision, images.device):
            if at is None:
                return self.module(images, gates)
            with still(self.module):
                return functional_call(self.module, self._named(at), (images, gates))

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        total = self._cross_entropy(logits, labels)
        for head in self._auxiliary:
            aside = head.take()
            if aside is not None:
                total = total + head.weight * self._cross_entropy(aside, labels)
        return total

    def _cross_entropy(self, logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), labels, label_smoothing=self.recipe.label_smoothing)

    def learn(self, target: Target | Sequence[Target], loss: Tensor, name: str = "loss") -> None:
        targets = [target] if isinstance(target, Target) else list(target)
        self.losses[name].append(loss.detach())
        for one in targets:
            self._learned[id(one)] = one
        if not loss.requires_grad:  # nothing that could be learned is on the way, as with a dead path
            return
        if targets == [self.weights] and not self._targets:
            loss.backward()
            return
        wanted = [p for one in targets for p in one.parameters if p.requires_grad]
        if any(one is not self.weights for one in targets):
            wanted += [leaf for leaf, _ in self._shared]
        torch.autograd.backward(loss, inputs=wanted)

    def give(self, target: Target, gradients: Sequence[Tensor | None], loss: Tensor, name: str = "loss") -> None:
        self.losses[name].append(loss.detach())
        self._learned[id(target)] = target
        for p, gradient in zip(target.parameters, gradients, strict=True):
            if gradient is not None:
                p.grad = gradient.detach().clone() if p.grad is None else p.grad + gradient.detach()

    def update(self, target: Target) -> None:
        if self._learned.pop(id(target), None) is None:
            return
        if target is self.weights:
            self._update_weights()
            return
        parameters = [p for p in target.parameters if p.requires_grad]
        for leaf, value in self._shared:
            if leaf.grad is not None:
                torch.autograd.backward([value], [leaf.grad], retain_graph=True, inputs=parameters)
                leaf.grad = None
        for p in parameters:
            if p.grad is None:  # what is on no path of the loss: its derivative is zero
                p.grad = torch.zeros_like(p)
        distributed.average_gradients(parameters)
        target.optimizer.step()
        target.optimizer.zero_grad(set_to_none=True)

    def finish(self) -> None:
        """Move every target that learned and was not moved."""
        for target in list(self._learned.values()):
            self.update(target)

    def shared(self, value: Tensor) -> Tensor:
        leaf = value.detach().requires_grad_()
        self._shared.append((leaf, value))
        return leaf

    def gradients(self, loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor | None]:
        """Of the loss by these, averaged over the processes; None for what it does not depend on."""
        if not loss.requires_grad:
            return [None] * len(parameters)
        found = torch.autograd.grad(loss, list(parameters), create_graph=self._is_differentiable, allow_unused=True)
        return [None if g is None else distributed.average(g) for g in found]

    @contextmanager
    def still(self) -> Iterator[None]:
        with torch.no_grad(), still(self.module):
            yield

    @contextmanager
    def differentiable(self) -> Iterator[None]:
        before, self._is_differentiable = self._is_differentiable, True
        try:
            with without_loops():
                yield
        finally:
            self._is_differentiable = before

    @contextmanager
    def virtual(self, loss: Tensor) -> Iterator[None]:
        gradients = self.gradients(loss, self.weights.parameters)
        with torch.no_grad():
            values = self.weights.stepped(gradients)
        with self._at(values):
            yield

    @contextmanager
    def moved(self, along: Sequence[Tensor | None], by: float) -> Iterator[None]:
        """Inside, the weights are moved along some vectors, and no BatchNorm statistic moves; afterwards as before."""
        pairs = zip(self.weights.parameters, along, strict=True)
        with self._at([p if v is None else torch.add(p, v, alpha=by).detach() for p, v in pairs]):
            yield

    @contextmanager
    def _at(self, values: Sequence[Tensor]) -> Iterator[None]:
        parameters = self.weights.parameters
        before = [p.detach().clone() for p in parameters]
        try:
            with torch.no_grad():
                for p, value in zip(parameters, values, strict=True):
                    p.copy_(value)
            with still(self.module):
                yield
        finally:
            with torch.no_grad():
                for p, value in zip(parameters, before, strict=True):
                    p.copy_(value)

    def _named(self, values: Sequence[Tensor]) -> dict[str, Tensor]:
        """Values for the weights' parameters, by the names that the network has for them."""
        by_parameter = dict(zip(self.weights.parameters, values, strict=True))
        return {name: by_parameter[p] for name, p in self.module.named_parameters() if p in by_parameter}

    def _update_weights(self) -> None:
        used = _used(self.weights.parameters)
        distributed.average_gradients(used)
        if self.recipe.gradient_clip:
            nn.utils.clip_grad_norm_(used, self.recipe.gradient_clip)
        self.weights.optimizer.step()
        self.weights.optimizer.zero_grad(set_to_none=True)


def seed_torch(numbers: Sequence[int], device: torch.device) -> None:
    """Torch's global generators, from which dropout draws, by some numbers."""
    seed = int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def _used(parameters: Sequence[nn.Parameter]) -> list[nn.Parameter]:
    """What has a gradient; of a table with a sparse one the rows that have, which share that gradient's memory."""
    found = []
    for p in parameters:
        if p.grad is None:
            continue
        if p.grad.is_sparse:
            p.grad = p.grad.coalesce()
            rows = nn.Parameter(torch.empty_like(p.grad.values()))
            rows.grad = p.grad.values()
            found.append(rows)
        else:
            found.append(p)
    return found

"""What an architecture learns from validation images while the weights stay (arXiv 1806.09055, section 2.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from oneshot.gates import Gates
from oneshot.methods.base import Step, Target

ORDERS = ("first", "second", "exact")
RADIUS = 0.01
"""Of the finite difference, over the length of the gradient (section 2.3, footnote)."""

MakeGates = Callable[[], Gates]
"""The gates of the architecture as it is now, made anew for each pass."""


def check_order(order: str) -> None:
    if order not in ORDERS:
        raise ValueError(f"order must be one of {', '.join(ORDERS)}, got {order!r}")


def learn(order: str, step: Step, target: Target, gates: MakeGates) -> None:
    """Let the target learn from a batch of validation images, the weights staying where they are.

    First order is with xi = 0, second equation 7 by finite differences (8), exact the same by double backward.
    """
    {"first": first, "second": second, "exact": exact}[order](step, target, gates)


def first(step: Step, target: Target, gates: MakeGates) -> None:
    images, labels = step.held_out()
    step.learn(target, step.loss(step.net(images, gates()), labels), "valid_loss")


def second(step: Step, target: Target, gates: MakeGates) -> None:
    """Equations 7 and 8, the virtual step with the weights' own momentum and decay, as released."""
    images, labels = step.held_out()
    own = target.parameters
    with torch.no_grad():
        fixed = gates()
    with step.virtual(step.loss(step.net(step.images, fixed), step.labels)):
        loss = step.loss(step.net(images, gates()), labels)
        found = step.gradients(loss, [*own, *step.weights.parameters])
    by_own, by_weight = found[: len(own)], found[len(own) :]
    length = torch.stack([g.norm() for g in by_weight if g is not None]).norm()
    radius = RADIUS / float(length)

    def at(by: float) -> list[Tensor | None]:
        with step.moved(by_weight, by):
            trained = step.loss(step.net(step.images, gates()), step.labels)
            return step.gradients(trained, own)

    ahead, behind = at(radius), at(-radius)
    pairs = zip(ahead, behind, strict=True)
    mixed = [None if a is None or b is None else (a - b) / (2 * radius) for a, b in pairs]
    step.give(target, _unrolled(by_own, mixed, step.weights.rate), loss, "valid_loss")


def exact(step: Step, target: Target, gates: MakeGates) -> None:
    """Equation 7 with nothing left out, through the virtual step itself."""
    images, labels = step.held_out()
    with step.differentiable():
        trained = step.loss(step.net(step.images, gates()), step.labels)
        gradients = step.gradients(trained, step.weights.parameters)
        loss = step.loss(step.net(images, gates(), at=step.weights.stepped(gradients)), labels)
        step.learn(target, loss, "valid_loss")


def _unrolled(direct: Sequence[Tensor | None], mixed: Sequence[Tensor | None], rate: float) -> list[Tensor | None]:
    pairs = zip(direct, mixed, strict=True)
    return [d if m is None else -rate * m if d is None else d - rate * m for d, m in pairs]

"""Derivatives by what a network is shown, its weights at rest."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from oneshot.evaluators.training_free.subject import Subject
from torch import Tensor


def shown(subject: Subject, gradients: bool = True) -> Tensor:
    """The images, which take gradients in place of the weights."""
    subject.net.requires_grad_(False)
    return subject.batch.images.detach().clone().requires_grad_(gradients)


def pulled_back(y: Tensor, by: Sequence[Tensor], given: Tensor | None = None) -> list[Tensor]:
    """The gradients by some tensors of the sum of y times what is given; zeros where y does not depend on them."""
    if not y.requires_grad:
        return [torch.zeros_like(x) for x in by]
    given = torch.ones_like(y) if given is None else given
    found = torch.autograd.grad(y, by, given, retain_graph=True, allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, by, strict=True)]

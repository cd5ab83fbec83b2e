"""Scores from the gradients of the loss: their norm, SNIP and ZiCo."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from oneshot.evaluators.training_free.base import Single
from oneshot.evaluators.training_free.subject import Subject
from torch import Tensor, nn

from oneshot.base.bounds import check_least, check_most


def weights(net: nn.Module) -> list[nn.Parameter]:
    """Those of convolutions and linear maps: neither BatchNorm's nor biases."""
    return [p for p in net.parameters() if p.dim() >= 2]


def gradients(subject: Subject, part: slice = slice(None)) -> Iterator[tuple[Tensor, Tensor]]:
    """Each weight tensor that the network uses, and the gradient of the cross-entropy on a part of the batch."""
    batch, tensors = subject.batch, weights(subject.net)
    loss = F.cross_entropy(subject.logits(batch.images[part]), batch.labels[part])
    found = torch.autograd.grad(loss, tensors, allow_unused=True)
    return ((p, g) for p, g in zip(tensors, found, strict=True) if g is not None)


@dataclass(frozen=True)
class GradientNorm(Single):
    """The sum over layers of the Euclidean norms of the loss's gradients (arXiv 2101.08134, section 3.1).

    Args:
        dataset: whose training images are shown, or noise
    """

    name: ClassVar[str] = "gradient-norm"
    dataset: str = "cifar10"

    def score(self, subject: Subject) -> float:
        return sum(float(g.norm()) for _, g in gradients(subject))


@dataclass(frozen=True)
class Snip(Single):
    """The sum of |gradient times weight| (SNIP, arXiv 1810.02340, as a score in arXiv 2101.08134, equation 1).

    Args:
        dataset: whose training images are shown, or noise
    """

    name: ClassVar[str] = "snip"
    dataset: str = "cifar10"

    def score(self, subject: Subject) -> float:
        return sum(float((g * p.detach()).abs().sum()) for p, g in gradients(subject))


@dataclass(frozen=True)
class Zico(Single):
    """The sum over layers of log sum of mean over deviation of |gradient| between batches (arXiv 2301.11300, eq. 16).

    Args:
        dataset: whose training images are shown, or noise
        batches: of different images, between which gradients vary
    """

    name: ClassVar[str] = "zico"
    dataset: str = "cifar10"
    batches: int = 2

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, batches=2)
        check_most(self, batches=100)

    @property
    def images(self) -> int:
        return self.batch * self.batches

    def score(self, subject: Subject) -> float:
        sizes: dict[Tensor, list[Tensor]] = {}
        for number in range(self.batches):
            for p, g in gradients(subject, slice(number * self.batch, (number + 1) * self.batch)):
                sizes.setdefault(p, []).append(g.abs())
        return sum(self._layer(torch.stack(each)) for each in sizes.values())

    @staticmethod
    def _layer(sizes: Tensor) -> float:
        """Of one weight tensor's |gradients| [batches, ...]; weights whose gradients do not vary say nothing."""
        deviation, mean = torch.std_mean(sizes, 0, correction=0)
        share = torch.where(deviation > 0, mean / deviation, 0.0).sum()
        return float(share.log()) if share > 0 else 0.0

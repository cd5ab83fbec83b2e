"""AZ-NAS: expressivity, progressivity, trainability and complexity, and their ranks together (arXiv 2403.19232)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
import torch.nn.functional as F
from oneshot.evaluators.training_free.base import Single
from oneshot.evaluators.training_free.derivatives import pulled_back, shown
from oneshot.evaluators.training_free.ranked import Ranked
from oneshot.evaluators.training_free.subject import NOISE, Subject, Unreadable
from torch import Tensor

from oneshot.nn.blocks import block_outputs

LEAST = 1e-6
"""Added to a spectral norm that is divided by."""


def features(subject: Subject, gradients: bool) -> list[Tensor]:
    """What leaves the network's blocks. Unreadable where it tells of fewer than two."""
    images = shown(subject, gradients)
    with torch.set_grad_enabled(gradients), block_outputs() as found:
        subject.logits(images)
    usable = [y for y in found if y.dim() in (2, 3, 4)]
    if len(usable) < 2:
        raise Unreadable("compares features behind one block and the next, and this network tells of no two blocks")
    return usable


def rows(y: Tensor) -> Tensor:
    """Features as vectors over channels [N, C]: of images [B, C, H, W], tokens [B, T, C] or vectors [B, C]."""
    return y.permute(0, 2, 3, 1).flatten(0, 2) if y.dim() == 4 else y.flatten(0, -2)


@torch.no_grad()
def entropies(found: Sequence[Tensor]) -> list[float]:
    """Of each block's principal components: how evenly they share the variance; 0 where nothing varies."""
    return [_entropy(rows(y)) for y in found]


def _entropy(x: Tensor) -> float:
    x = x - x.mean(0)
    shares = torch.linalg.eigvalsh((x.T @ x / len(x)).double()).clamp_min(0)
    total = shares.sum()
    return float(torch.special.entr(shares / total).sum()) if total > 0 else 0.0


def trainability(found: Sequence[Tensor], draws: torch.Generator) -> float:
    """The mean over blocks of 2 - s - 1/s, s the largest singular value of an estimate of the block's Jacobian.

    The estimate is the mean over pixels and images of the products of a gradient of random signs with what comes of it
    before the block; where a block halves the image, its pixels are channels.
    """
    each: list[float] = []
    for before, after in reversed(list(pairwise(found))):
        signs = torch.randint(0, 2, after.shape, generator=draws).to(after) * 2 - 1
        (back,) = pulled_back(after, [before], signs)
        each.append(_balance(back, signs))
    return sum(each) / len(each)


def _balance(back: Tensor, signs: Tensor) -> float:
    if back.dim() == signs.dim() == 4 and back.shape[2] > signs.shape[2]:
        back = F.pixel_unshuffle(back, back.shape[2] // signs.shape[2])
    a, b = rows(back), rows(signs)
    if len(a) != len(b):
        raise Unreadable(f"cannot match features of {len(a)} places with {len(b)} behind the next block")
    largest = float(torch.linalg.matrix_norm((a.T @ b / len(b)).double(), 2))
    return 2 - largest - 1 / (largest + LEAST)


@dataclass(frozen=True)
class Expressivity(Single):
    """The sum over blocks of the entropy of their features' principal components (arXiv 2403.19232, equations 1 to 3).

    Args:
        dataset: whose training images are shown, or noise
    """

    name: ClassVar[str] = "az-expressivity"
    fan_in: ClassVar[bool] = True
    dataset: str = NOISE

    def score(self, subject: Subject) -> float:
        return sum(entropies(features(subject, gradients=False)))


@dataclass(frozen=True)
class Progressivity(Single):
    """The least growth of that entropy from one block to the next (arXiv 2403.19232, equation 4).

    Args:
        dataset: whose training images are shown, or noise
    """

    name: ClassVar[str] = "az-progressivity"
    fan_in: ClassVar[bool] = True
    dataset: str = NOISE

    def score(self, subject: Subject) -> float:
        return _growth(entropies(features(subject, gradients=False)))


@dataclass(frozen=True)
class Trainability(Single):
    """How near one the spectral norms of the blocks' Jacobians are (arXiv 2403.19232, equations 5 to 8).

    Args:
        dataset: whose training images are shown, or noise
    """

    name: ClassVar[str] = "az-trainability"
    fan_in: ClassVar[bool] = True
    dataset: str = NOISE

    def score(self, subject: Subject) -> float:
        return trainability(features(subject, gradients=True), subject.generator())


@dataclass(frozen=True)
class Complexity(Single):
    """Millions of multiply-adds of the network that is scored (arXiv 2403.19232, section 3.2; FLOPs)."""

    name: ClassVar[str] = "az-complexity"

    def score(self, subject: Subject) -> float:
        return subject.mflops


@dataclass(frozen=True)
class AzNas(Ranked):
    """The sum of the logarithms of the four scores' ranks (arXiv 2403.19232, equation 9), among a reference sample.

    Args:
        dataset: whose training images are shown, or noise
    """

    name: ClassVar[str] = "az-nas"
    fan_in: ClassVar[bool] = True
    dataset: str = NOISE

    def parts(self, subject: Subject) -> Mapping[str, float]:
        found = features(subject, gradients=True)
        each = entropies(found)
        return {
            "expressivity": sum(each),
            "progressivity": _growth(each),
            "trainability": trainability(found, subject.generator()),
            "complexity": subject.mflops,
        }


def _growth(each: Sequence[float]) -> float:
    return min(after - before for before, after in pairwise(each))

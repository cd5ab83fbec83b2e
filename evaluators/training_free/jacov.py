"""Jacov: how alike the Jacobians of different images are (arXiv 2006.04647v1)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from oneshot.evaluators.training_free.base import Single
from oneshot.evaluators.training_free.derivatives import pulled_back, shown
from oneshot.evaluators.training_free.subject import Subject

LEAST = 1e-5
"""k of the paper."""


@dataclass(frozen=True)
class Jacov(Single):
    """-sum of log(s + k) + 1 / (s + k) over the eigenvalues s of the Jacobians' correlations, k = 1e-5.

    The Jacobian of an image is that of the sum of its logits (arXiv 2006.04647v1, section 3.2; jacob_cov in arXiv
    2101.08134, section 3.1). Jacobians without variance count as equal to all others.

    Args:
        dataset: whose training images are shown, or noise
    """

    name: ClassVar[str] = "jacov"
    dataset: str = "cifar10"

    def score(self, subject: Subject) -> float:
        return jacov(subject)


def jacov(subject: Subject) -> float:
    """The score of one network."""
    images = shown(subject)
    (found,) = pulled_back(subject.logits(images), [images])
    return judged(found.flatten(1).double().cpu().numpy())


def judged(jacobians: np.ndarray) -> float:
    """The score of the Jacobians [B, pixels]."""
    centred = jacobians - jacobians.mean(1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    unit = np.divide(centred, norms, out=np.zeros_like(centred), where=norms > 0)
    flat = norms[:, 0] == 0
    correlations = unit @ unit.T
    correlations[flat] = correlations[:, flat] = 1.0
    eigenvalues = np.linalg.eigvalsh(correlations).clip(0.0) + LEAST
    return float(-(np.log(eigenvalues) + 1 / eigenvalues).sum())

"""NASWOT: how differently images switch the ReLUs (arXiv 2006.04647)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from oneshot.evaluators.training_free.base import Single
from oneshot.evaluators.training_free.codes import codes
from oneshot.evaluators.training_free.subject import Subject

LEAST = 1e-5
"""Eigenvalues count as no less: two images that switch all units alike give a low score, not one of minus infinity."""


@dataclass(frozen=True)
class Naswot(Single):
    """log |K_H| of the matrix of the units that two images switch alike (arXiv 2006.04647, section 3.1, equation 2).

    Args:
        dataset: whose training images are shown, or noise
    """

    name: ClassVar[str] = "naswot"
    dataset: str = "cifar10"

    def score(self, subject: Subject) -> float:
        alike = 0.0
        for code in codes(subject):
            on = code.float()
            both, each = on @ on.T, on.sum(1)
            # units less those in which the two differ
            alike = alike + (code.shape[1] - each[:, None] - each[None, :] + 2 * both).double().cpu().numpy()
        return float(np.log(np.linalg.eigvalsh(alike).clip(LEAST)).sum())

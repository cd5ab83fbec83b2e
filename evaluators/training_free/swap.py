"""SWAP: how many different patterns of images the ReLUs show (arXiv 2403.04161)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
import torch
from oneshot.evaluators.training_free.base import Single
from oneshot.evaluators.training_free.codes import codes
from oneshot.evaluators.training_free.subject import Subject
from torch import Tensor

BITS = 16
"""That are packed by one product, which is exact in float32."""
MIXED = 64 // BITS


@dataclass(frozen=True)
class Swap(Single):
    """The number of different sample-wise activation patterns (arXiv 2403.04161, definition 3 and equation 4).

    A pattern of a unit says for which images it is on; without the regularisation by the number of parameters.

    Args:
        dataset: whose training images are shown, or noise
    """

    name: ClassVar[str] = "swap"
    dataset: str = "cifar10"

    def score(self, subject: Subject) -> float:
        found = torch.cat([packed(code) for code in codes(subject)])
        return float(len(pd.unique(found.cpu().numpy())))


def packed(code: Tensor) -> Tensor:
    """The pattern of each unit over the images [B, units] as one int64: exact up to 64 images, then a hash of it."""
    weights = 2.0 ** torch.arange(BITS, device=code.device)
    total = torch.zeros(code.shape[1], dtype=torch.int64, device=code.device)
    for number, part in enumerate(code.float().split(BITS)):
        word = (weights[: len(part)] @ part).long()
        if number < MIXED:
            total |= word << (BITS * number)
        else:  # a bijection of what came before, then the next word
            total = (total * 0x5851F42D4C957F2D + 0x14057B7EF767814F) ^ word
    return total

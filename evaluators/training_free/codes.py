"""Which ReLUs are on for which image."""

from __future__ import annotations

from typing import Any

import torch
from oneshot.evaluators.training_free.subject import Subject, Unreadable, plain_forward
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

_aten = torch.ops.aten
RECTIFIERS = {
    _aten.relu.default, _aten.relu_.default, _aten.hardtanh.default, _aten.hardtanh_.default,
    _aten.clamp_min.default, _aten.clamp_min_.default,
}  # fmt: skip
"""Operations that give zero below zero, and what comes above it; ReLU6 is a hardtanh."""


class _Watched(TorchDispatchMode):
    """Keeps, of every rectifier's result that has one row an image, where it is above zero."""

    def __init__(self, images: int) -> None:
        super().__init__()
        self.images, self.codes = images, list[Tensor]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        y = func(*args, **(kwargs or {}))
        if func in RECTIFIERS and (len(args) == 1 or args[1] == 0) and len(y) == self.images:
            self.codes.append((y > 0).permute(0, 2, 3, 1) if y.dim() == 4 else y > 0)
        return y


@torch.no_grad()
def codes(subject: Subject) -> list[Tensor]:
    """A tensor of bool [B, units] for every rectifier that the batch runs through.

    A rectifier whose result several operations share counts once. Unreadable where there is none.
    """
    images = len(subject.batch.images)
    with _Watched(images) as watched:
        plain_forward(subject)
    if not watched.codes:
        raise Unreadable("reads the signs of ReLUs, of which this network has none")
    return [code.reshape(images, -1) for code in watched.codes]

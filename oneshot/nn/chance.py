"""Operations that depend on chance and on the progress of a training; torch's generator is the step's own."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Chance(nn.Module):
    """A module that is told the finished share of the training before every step, in [0, 1)."""

    progress: float = 0.0


class DropPath(Chance):
    """Sets whole images to zero with a probability that grows from 0 to `rate` over the training, others scaled up.

    As in the evaluation networks of DARTS (arXiv 1806.09055, section 3.1.2); nothing in evaluation.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        if not 0 <= rate < 1:
            raise ValueError(f"drop_path must be at least 0 and below 1, got {rate}")
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        keep = 1 - self.rate * self.progress
        if not self.training or keep == 1:
            return x
        mask = torch.empty(len(x), *[1] * (x.dim() - 1), device=x.device, dtype=x.dtype).bernoulli_(keep)
        return x * (mask / keep)


class Path(nn.Module):
    """A module whose result is one of several that are added, where it may be dropped: its `drop_path`, if it has one.

    Subclasses set `is_path` where that holds, and ask `dropped` for their result.
    """

    is_path = False

    def __init__(self) -> None:
        super().__init__()
        self.drop_path: DropPath | None = None

    def dropped(self, x: Tensor) -> Tensor:
        return x if self.drop_path is None else self.drop_path(x)


def drop_paths(net: nn.Module, rate: float) -> bool:
    """Let every path of a network be dropped; whether it has any."""
    paths = [module for module in net.modules() if isinstance(module, Path) and module.is_path]
    for path in paths:
        path.drop_path = DropPath(rate)
    return bool(paths)


def at_progress(net: nn.Module, progress: float) -> None:
    """Tell every module that asks."""
    for module in net.modules():
        if isinstance(module, Chance):
            module.progress = progress

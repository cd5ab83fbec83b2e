"""What a published method is to the training loop: the losses of one step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor, nn

from oneshot.space import Arch


@dataclass(frozen=True)
class Batch:
    """What one training step may use: images [B, 3, H, W], labels [B], held-out images, and random numbers."""

    images: Tensor
    labels: Tensor
    held_out: Callable[[], tuple[Tensor, Tensor]]
    """A batch of validation images and labels, made only when asked for."""
    rng: np.random.Generator
    """The same on every process of a distributed training."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """The recipe's loss of logits [B, classes] and labels [B], averaged over the batch."""


class Method(Protocol):
    """What a training step optimises, what is learned beside the weights, and what is derived."""

    def arch_parameters(self) -> Sequence[nn.Parameter]:
        """The architecture parameters, moved by their own optimiser after each loss that reaches them."""
        ...

    def losses(self, net: nn.Module, batch: Batch, progress: float) -> Iterator[Tensor]:
        """The losses of one step, each with a graph of its own; their weight gradients are summed.

        `progress` is the finished share of the training, in [0, 1).
        """
        ...

    def derive(self) -> Arch | None:
        """The architecture that the method found; None for a method that only trains a predictor."""
        ...

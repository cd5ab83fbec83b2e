"""What a method is: what one training step optimises, what is learned beside the weights, and what is derived."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from oneshot.gates import Gates
from oneshot.methods.phases import Phase
from oneshot.samplers.base import Sampler
from oneshot.space import Arch, Space

if TYPE_CHECKING:
    from pathlib import Path

    from oneshot.data.source import ImageSource
    from oneshot.training.recipe import Recipe


@dataclass(frozen=True)
class Setup:
    """What a method is made for: the space, its network, the run's sampler, and the seed."""

    space: Space
    net: nn.Module
    sampler: Sampler
    seed: int = 0


class MethodSettings(Protocol):
    """What registers a method: its settings, and the way to it."""

    def make(self, setup: Setup) -> Method:
        """CannotSearch where the space, or its network, is none that it can search."""
        ...


class CannotSearch(ValueError):
    """The space, or its network, is none that a method can search."""


class Target:
    """Parameters that losses are learned by, and the optimiser that moves them."""

    def __init__(self, optimizer: torch.optim.Optimizer) -> None:
        self.optimizer = optimizer

    @property
    def parameters(self) -> list[nn.Parameter]:
        return [p for group in self.optimizer.param_groups for p in group["params"]]


class NetworkWeights(Protocol):
    """The target that is the network's weights."""

    optimizer: torch.optim.Optimizer

    @property
    def parameters(self) -> list[nn.Parameter]: ...

    @property
    def rate(self) -> float:
        """The learning rate of this step."""
        ...

    def stepped(self, gradients: Sequence[Tensor | None]) -> list[Tensor]:
        """Where a step of SGD by these gradients would take the parameters; carries their gradients on."""
        ...


class Step(Protocol):
    """One training step, as a method sees it; what is behind each request is the same for all methods.

    `images` [B, 3, H, W] and `labels` [B] are the training batch, `progress` the finished share of the phase, in
    [0, 1). `rng` is a function of (seed, epoch, step) and the same on every process; torch's global generator, from
    which dropout draws, is one of the process, too. `module` is the network itself.
    """

    module: nn.Module
    images: Tensor
    labels: Tensor
    rng: np.random.Generator
    progress: float
    epoch: int

    @property
    def weights(self) -> Any:
        """The `NetworkWeights`, a target like a method's own."""
        ...

    def held_out(self) -> tuple[Tensor, Tensor]:
        """A batch of validation images and labels, made only when asked for."""
        ...

    def net(self, images: Tensor, gates: Any, at: Sequence[Tensor] | None = None) -> Tensor:
        """The network's logits, in the recipe's precision; `at` other weights, where no BatchNorm statistic moves."""
        ...

    def loss(self, logits: Tensor, labels: Tensor) -> Tensor:
        """The recipe's loss, averaged over the batch."""
        ...

    def learn(self, target: Target | Sequence[Target], loss: Tensor, name: str = "loss") -> None:
        """Add the loss's gradients to those of the target's parameters, of these alone, and free its graph.

        The metrics have the mean of every name's losses.
        """
        ...

    def give(self, target: Target, gradients: Sequence[Tensor | None], loss: Tensor, name: str = "loss") -> None:
        """Add gradients that the method made itself of a loss, in the order of the target's parameters."""
        ...

    def update(self, target: Target) -> None:
        """Move the target's parameters by what they learned, once; done at the end of the step where it was not."""
        ...

    def shared(self, value: Tensor) -> Tensor:
        """A tensor that several losses may read whose graphs are freed one after another.

        Its gradients are collected, and passed on to what it was made of when a method's own target is updated.
        """
        ...

    def gradients(self, loss: Tensor, parameters: Sequence[Tensor]) -> list[Tensor | None]:
        """Of the loss by these, averaged over the processes; None for what it does not depend on."""
        ...

    def still(self) -> AbstractContextManager[None]:
        """Inside, no gradient is taken, and no BatchNorm statistic moves: for a teacher's pass."""
        ...

    def differentiable(self) -> AbstractContextManager[None]:
        """Inside, PyTorch's own operations run, whose gradients have gradients, and so have those of `gradients`."""
        ...

    def virtual(self, loss: Tensor) -> AbstractContextManager[None]:
        """Inside, the weights are where a step of SGD on the loss would take them; afterwards bit by bit as before."""
        ...

    def moved(self, along: Sequence[Tensor | None], by: float) -> AbstractContextManager[None]:
        """Inside, the weights are moved along vectors; neither here nor in `virtual` a BatchNorm statistic moves."""
        ...


class Method(nn.Module, ABC):
    """Its parameters, buffers and the state of its targets' optimisers are all that it remembers.

    Attributes that are a `Target` are saved, resumed and named by their attribute's name. A method never touches the
    loop: it is handed a `Step` and asks it.
    """

    sampler: Sampler | None = None
    """Of a method that trains what a sampler draws."""

    def __init__(self, space: Space) -> None:
        super().__init__()
        self.space = space

    def targets(self) -> dict[str, Target]:
        """Its own targets by name."""
        return {name: value for name, value in vars(self).items() if isinstance(value, Target)}

    def phases(self, recipe: Recipe) -> Sequence[Phase]:
        """The phases of a training by this recipe; by default one."""
        return [Phase("train", recipe)]

    def begin(self, phase: str) -> None:
        """A phase begins, for the first time or after a stop in it; what it changes must not depend on which."""

    @abstractmethod
    def step(self, step: Step) -> None:
        """One training step: ask for passes, hand losses to `step.learn`."""

    def derive(self) -> Arch | None:
        """The architecture that was found; None for a method that only trains a predictor."""
        return None

    def gates_of(self, arch: Arch) -> Gates:
        """What runs of an architecture: each of its options whole, unless the method has found weights for them."""
        return self.space.gates(arch)

    def reading(self, net: nn.Module) -> nn.Module:
        """The network that predictions and exports read: a trained one itself, unless the method masks its weights."""
        return net

    def report(self, net: nn.Module, images: ImageSource, folder: Path) -> None:
        """Leave in the run folder what else there is to say of a trained network, given the validation images."""

    def facts(self) -> dict[str, float]:
        """What the metrics of an epoch say of it."""
        return {}

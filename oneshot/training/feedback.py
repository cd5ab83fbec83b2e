"""Samplers that learn while the supernet trains (VAENAS-OS, Algorithm 2): what happens between two epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from oneshot.base import distributed
from oneshot.methods.base import Method
from oneshot.samplers.mixture import Mixture
from oneshot.space import Arch

PREFIX = "sampler."
"""What the names of a sampler's tensors begin with in a checkpoint."""
STREAM = 3
"""Of random numbers, beside those of a training epoch."""


@dataclass(frozen=True)
class Feedback:
    """After every `every`-th epoch the sampler learns what the supernet makes of `samples` of its own draws.

    `accuracies` are the supernet's own, in percent, on validation images; asking must leave the training as it is.
    Several processes all ask, and go on with what the first one was told and has learned.
    """

    sampler: Mixture
    accuracies: Callable[[Sequence[Arch]], np.ndarray]
    every: int
    samples: int

    def after(self, epoch: int, seed: int) -> dict[str, float]:
        """Lines 5 to 11, what the metrics say of them; all randomness comes from (seed, epoch).

        Accuracies that are all equal rank nothing: then nothing is learned, and there is no loss.
        """
        row = {"vae_epsilon": self.sampler.epsilon}
        if (epoch + 1) % self.every == 0:
            archs = self.sampler.draw(self.samples, np.random.default_rng((seed, epoch, STREAM)))
            told = torch.from_numpy(np.asarray(self.accuracies(archs), np.float64))
            accuracies = distributed.from_first(told).numpy()
            row |= {"vae_best": float(accuracies.max()), "vae_mean": float(accuracies.mean())}
            if accuracies.min() != accuracies.max():
                row["vae_loss"] = -self.sampler.learn(archs, accuracies)["bound"]
                state = self.sampler.state_dict()
                self.sampler.load_state_dict({name: distributed.from_first(value) for name, value in state.items()})
        self.sampler.advance()
        return row


def check_feedback(method: Method, feedback: Feedback | None) -> None:
    """ValueError where a method's sampler could learn, and is told nothing."""
    sampler = getattr(method, "sampler", None)
    if isinstance(sampler, Mixture) and (feedback is None or feedback.sampler is not sampler):
        raise ValueError("a sampler that learns needs feedback: give `train` what `feedback_of(run)` returns")


def sampler_state(feedback: Feedback | None) -> dict[str, Tensor]:
    """What a checkpoint keeps of the sampler."""
    return {} if feedback is None else {PREFIX + name: v for name, v in feedback.sampler.state_dict().items()}


def load_sampler(sampler: Mixture, state: Mapping[str, Tensor]) -> None:
    """Take over the sampler of a checkpoint; ValueError where it does not fit."""
    sampler.load_state_dict({name.removeprefix(PREFIX): v for name, v in state.items() if name.startswith(PREFIX)})

"""Samplers that learn while the supernet trains (VAENAS, Algorithms 2 and 3): what happens between two epochs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from oneshot.base import distributed
from oneshot.methods.base import Method
from oneshot.samplers.base import Sampler
from oneshot.space import Arch

STREAM = 3
"""Of random numbers, beside those of a training epoch."""


@dataclass(frozen=True)
class Feedback:
    """Tells a sampler, as often as its plan says, what the supernet makes of its candidates.

    `accuracies` are the supernet's own, in percent, on validation images, NaN of those left out because their logits
    are not finite (FloatingPointError where all are); asking must leave the training as it is.
    Several processes all ask, and go on with what the first one was told and has learned.
    """

    sampler: Sampler
    accuracies: Callable[[Sequence[Arch]], np.ndarray]

    def after(self, epoch: int, seed: int) -> dict[str, float]:
        """Lines 5 to 11 (of 3 to 10), what the metrics say of them; all randomness comes from (seed, epoch).

        Accuracies that are all equal rank nothing: then nothing is learned, and there is no loss.
        """
        sampler, plan = self.sampler, self.sampler.plan
        row = {f"sampler_{name}": value for name, value in sampler.facts().items()}
        if plan is not None and (epoch + 1) % plan.every == 0:
            archs = sampler.candidates(plan.samples, np.random.default_rng((seed, epoch, STREAM)))
            told = torch.from_numpy(np.asarray(self.accuracies(archs), np.float64))
            accuracies = distributed.from_first(told).numpy()
            known = np.flatnonzero(np.isfinite(accuracies))  # of a network that fails there is nothing to learn
            if not len(known):
                raise FloatingPointError(
                    f"none of {len(archs)} architectures has finite logits after epoch {epoch + 1}"
                )
            archs, accuracies = [archs[int(i)] for i in known], accuracies[known]
            row |= {"sampler_best": float(accuracies.max()), "sampler_mean": float(accuracies.mean())}
            if accuracies.min() != accuracies.max():
                row |= {f"sampler_{name}": value for name, value in sampler.learn(archs, accuracies).items()}
                state = sampler.state_dict()
                sampler.load_state_dict({name: distributed.from_first(value) for name, value in state.items()})
        sampler.advance()
        return row


def check_feedback(method: Method, feedback: Feedback | None) -> None:
    """ValueError where a method's sampler could learn, and is told nothing."""
    sampler = method.sampler
    if sampler is not None and sampler.plan is not None and (feedback is None or feedback.sampler is not sampler):
        raise ValueError("a sampler that learns needs feedback: give `train` what `feedback_of(run)` returns")

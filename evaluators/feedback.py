"""A supernet's predictions as feedback for the sampler that it is trained with."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from oneshot.evaluators.supernet import of_run

from oneshot.runs.run import Run
from oneshot.space import Arch
from oneshot.training.feedback import Feedback

CHUNK = 16
"""Architectures between two calls of `on_chunk`."""


def feedback_of(
    run: Run, norm: str = "ema-20", batch_size: int = 256, on_chunk: Callable[[int, int], None] | None = None
) -> Feedback | None:
    """What `train` needs for this run's sampler; None for a sampler that does not learn.

    All validation images are asked, with BatchNorm recalibrated on training images as `oneshot predict` does it.
    `on_chunk` is told how many of how many architectures are evaluated.
    """
    if run.sampler.plan is None:
        return None

    def accuracies(archs: Sequence[Arch]) -> np.ndarray:
        evaluator = of_run(run, norm, batch_size)  # made anew: a split replaces modules of the network
        found = []
        for first in range(0, len(archs), CHUNK):
            found.append(evaluator(archs[first : first + CHUNK]).accuracy)
            if on_chunk is not None:
                on_chunk(min(first + CHUNK, len(archs)), len(archs))
        return np.concatenate(found)

    return Feedback(run.sampler, accuracies)

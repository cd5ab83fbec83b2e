"""What a sampler is worth: the best of so many draws (VAENAS, section 5.3 and Table 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from oneshot.samplers.base import Sampler
from oneshot.samplers.encoding import ByNumbers, Encoding
from oneshot.samplers.vae import Vae, VaeSettings
from oneshot.space import Arch

Accuracies = Callable[[list[Arch]], np.ndarray]
"""The true accuracies, such as those of a table."""

TRAINED, KEPT = 6000, 1500
"""Architectures whose accuracy is known, and how many of them the VAE learns from (section 5.3)."""

COUNTS = (10, 50, 100, 300)
"""The columns of Table 4."""


def trained_vae(
    encoding: Encoding,
    accuracies: Accuracies,
    rng: np.random.Generator,
    noise: float = 0.0,
    settings: VaeSettings | None = None,
    n: int = TRAINED,
) -> Vae:
    """A VAE without a supernet: of `n` random architectures it learns the best by accuracy and normal noise.

    `noise` is the standard deviation, in the unit of the accuracies.
    """
    archs = ByNumbers(encoding).draw(n, rng)
    vae = Vae(encoding, settings or VaeSettings(keep=KEPT / TRAINED))
    vae.learn(archs, accuracies(archs) + rng.normal(0.0, noise, n))
    return vae


def best_of(
    sampler: Sampler,
    accuracies: Accuracies,
    rng: np.random.Generator,
    counts: Sequence[int] = COUNTS,
    repetitions: int = 20,
) -> np.ndarray:
    """The highest accuracy [repetitions, counts] of the first 10, 50, ... draws, which are new in every repetition."""
    if not counts or min(counts) < 1 or repetitions < 1:
        raise ValueError(f"expected counts and repetitions of at least 1, got {tuple(counts)} and {repetitions}")
    archs = sampler.draw(max(counts) * repetitions, rng)
    highest = np.maximum.accumulate(accuracies(archs).reshape(repetitions, -1), axis=1)
    return highest[:, np.array(counts) - 1]

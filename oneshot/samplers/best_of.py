"""What a sampler is worth: the best of so many draws (VAENAS, section 5.3 and Table 4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

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


def best_of(values: np.ndarray, counts: Sequence[int] = COUNTS) -> np.ndarray:
    """The highest [..., counts] of the first 10, 50, ... of draws [..., draws]."""
    if not counts or min(counts) < 1 or max(counts) > values.shape[-1]:
        raise ValueError(f"expected counts from 1 to the {values.shape[-1]} draws, got {tuple(counts)}")
    return np.maximum.accumulate(values, axis=-1)[..., np.array(counts) - 1]


def expected_best(values: np.ndarray, shares: np.ndarray, counts: Sequence[int] = COUNTS) -> np.ndarray:
    """What `best_of` expects, [counts], if every draw is `values[i]` with the chance `shares[i]`."""
    sorted_V, below_V = _distribution(values, shares)
    highest = np.diff(below_V[None] ** np.array(counts)[:, None], axis=1, prepend=0.0)
    return highest @ sorted_V


def best_quantile(values: np.ndarray, shares: np.ndarray, q: float, counts: Sequence[int] = COUNTS) -> np.ndarray:
    """The lowest value that `best_of` does not exceed with the chance `q`, [counts]."""
    sorted_V, below_V = _distribution(values, shares)
    at = np.searchsorted(below_V, q ** (1 / np.array(counts)) - 1e-12)
    return sorted_V[np.minimum(at, len(sorted_V) - 1)]


def _distribution(values: np.ndarray, shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The values in order, and the chance that a draw is at most that."""
    order = np.argsort(values, kind="stable")
    below = np.cumsum(shares[order])
    return values[order], below / below[-1]

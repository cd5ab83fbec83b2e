"""Draws by Gumbel noise whose gradients reach what they were drawn by, and temperatures that fall."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
import torch
from torch import Tensor


class Falling(Protocol):
    """Settings of a temperature that falls linearly."""

    @property
    def temperature(self) -> float: ...
    @property
    def last_temperature(self) -> float: ...


def check_falling(settings: Falling) -> None:
    """ValueError unless the temperature falls, or stays, above 0."""
    if not 0 < settings.last_temperature <= settings.temperature < math.inf:
        raise ValueError(
            f"temperature must fall to a last_temperature above 0, got {settings.temperature} and "
            f"{settings.last_temperature}"
        )


def temperature_at(settings: Falling, progress: float) -> float:
    """At the finished share of a phase."""
    return settings.temperature + (settings.last_temperature - settings.temperature) * progress


def noise(like: Tensor, rng: np.random.Generator) -> Tensor:
    """Standard Gumbel noise."""
    return torch.from_numpy(rng.gumbel(size=like.shape)).to(like)


def perturbed(alpha: Tensor, rng: np.random.Generator, temperature: float) -> Tensor:
    """Logits whose softmax is a sample of the Gumbel softmax."""
    return (alpha.log_softmax(0) + noise(alpha, rng)) / temperature


def one_hot(soft: Tensor) -> Tensor:
    """The largest of a vector as one-hot, which passes gradients to the vector (straight-through)."""
    drawn = torch.zeros_like(soft).index_fill(0, soft.detach().argmax(), 1.0)
    return drawn + (soft - soft.detach())


def top_k(logits: Tensor, k: int) -> list[Tensor]:
    """The `k` largest of perturbed logits as one-hot vectors, the largest first (MSG-DAS, Algorithm 1).

    Each passes gradients to the softmax over what was left for it (equations 2 and 3).
    """
    found = list[Tensor]()
    for _ in range(k):
        found.append(one_hot(logits.softmax(0)))
        logits = logits.masked_fill(found[-1].detach() == 1, -math.inf)
    return found

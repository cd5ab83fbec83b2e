"""Uniform sampling that gives way to a sampler that learns (VAENAS, equation 5 and Algorithm 2)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from oneshot.samplers.base import ByLearner, Plan, Sampler
from oneshot.space import Arch


class Mixture(ByLearner):
    """Each architecture with probability epsilon from the sampler that learns, else from the other one.

    Epsilon begins at 0 and grows by `increment` with every `advance`, up to `most`; as long as nothing was learned, it
    is 0. `draw` leaves it as it is: neither evaluation nor search changes the training.
    """

    def __init__(
        self, uniform: Sampler, learner: Sampler, increment: float, most: float = 1.0, plan: Plan | None = None
    ) -> None:
        if uniform.group != 1 or learner.group != 1:
            raise ValueError(
                f"a mixture draws architectures one by one, got samplers with groups of {uniform.group} "
                f"and {learner.group}"
            )
        if not increment >= 0 or not 0 <= most <= 1:
            raise ValueError(
                f"expected an increment of at least 0 and a largest epsilon in [0, 1], got {increment} and {most}"
            )
        self.uniform, self.learner = uniform, learner
        self.increment, self.most = increment, most
        self.advanced, self.plan = 0, plan

    @property
    def epsilon(self) -> float:
        return min(self.most, self.increment * self.advanced) if self.learner.learned() is not None else 0.0

    def advance(self) -> None:
        """One iteration of Algorithm 2 is over (line 11)."""
        self.advanced += 1

    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        learned = rng.random(n) < self.epsilon
        count = int(learned.sum())
        new = iter(self.learner.draw(count, rng) if count else [])
        old = iter(self.uniform.draw(n - count, rng) if count < n else [])
        return [next(new if of_learner else old) for of_learner in learned]

    def facts(self) -> dict[str, float]:
        return {"epsilon": self.epsilon}

    def state_dict(self) -> dict[str, Tensor]:
        """All that changes in a training, as named tensors."""
        return {f"learner.{k}": v for k, v in self.learner.state_dict().items()} | {
            "advanced": torch.tensor(self.advanced)
        }

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        if "advanced" not in state:
            raise ValueError(f"expected the state of a mixture, with `advanced`, got {', '.join(sorted(state)[:3])}")
        parts = {k.removeprefix("learner."): v for k, v in state.items() if k.startswith("learner.")}
        self.learner.load_state_dict(parts)
        self.advanced = int(state["advanced"])

"""A sampler that learns from what another one draws (VAENAS, Algorithm 3)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from torch import Tensor

from oneshot.samplers.base import ByLearner, Plan, Sampler
from oneshot.space import Arch


class Taught(ByLearner):
    """Every architecture from the sampler that learns, even before it has; its candidates are another one's draws."""

    def __init__(self, learner: Sampler, teacher: Sampler, plan: Plan) -> None:
        if learner.group != 1 or teacher.group != 1:
            raise ValueError(
                f"paths and candidates are drawn one by one, got samplers with groups of {learner.group} and "
                f"{teacher.group}"
            )
        self.learner, self.teacher, self.plan = learner, teacher, plan

    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        return self.learner.draw(n, rng)

    def candidates(self, n: int, rng: np.random.Generator) -> list[Arch]:
        return self.teacher.draw(n, rng)

    def state_dict(self) -> dict[str, Tensor]:
        return self.learner.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        self.learner.load_state_dict(state)

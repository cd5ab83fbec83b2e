"""Architecture parameters, one vector a decision, with the Adam of the differentiable family."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from oneshot.methods.base import Method, Setup, Target
from oneshot.space import Arch, Space


class Differentiable(Method):
    """A method that learns a number for each option of every decision.

    `rate` and `decay` are Adam's (betas .5 and .999: arXiv 1806.09055, section 3.1.1).
    """

    def __init__(self, space: Space, rate: float, decay: float, betas: tuple[float, float] = (0.5, 0.999)) -> None:
        super().__init__(space)
        self.alphas = nn.ParameterList(torch.zeros(len(decision.options)) for decision in space.decisions)
        self.architecture = Target(torch.optim.Adam(self.alphas.parameters(), rate, betas, weight_decay=decay))

    def probabilities(self) -> list[Tensor]:
        """Of the options of each decision, softmax over each."""
        return [alpha.softmax(0) for alpha in self.alphas]

    def derive(self) -> Arch | None:
        """By the space's own rule where it has one, else the strongest option of each decision; never a zero."""
        with torch.no_grad():
            return self.space.strongest([p.tolist() for p in self.probabilities()])

    def facts(self) -> dict[str, float]:
        with torch.no_grad():
            entropies = [-(p * p.clamp_min(1e-30).log()).sum() for p in self.probabilities()]
        return {"entropy": float(torch.stack(entropies).mean())}


def refuse_forbidden(method: str, setup: Setup) -> None:
    """ValueError for a space with no rule that derives an architecture, with those that have one."""
    if not setup.space.derives:
        from oneshot.registry import SPACES

        can = [name for name, space in SPACES.items() if space.derives]
        raise ValueError(
            f"{method} derives every decision by itself, and {setup.space.name} forbids some combinations; "
            f"it can search {', '.join(can)}"
        )

"""Architecture parameters, one vector a decision or a site, with the Adam of the differentiable family."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from oneshot.methods.base import CannotSearch, Method, Setup, Target
from oneshot.registry import SKELETONS, SPACES
from oneshot.space import Arch, Space

BETAS = (0.5, 0.999)
"""Of Adam (arXiv 1806.09055, section 3.1.1)."""


class Differentiable(Method):
    """A method that learns a number for each option of every decision, or as many vectors of the `sizes` given.

    `rate`, `decay` and `betas` are Adam's.
    """

    def __init__(
        self,
        space: Space,
        rate: float,
        decay: float,
        betas: tuple[float, float] = BETAS,
        sizes: Sequence[int] | None = None,
    ) -> None:
        super().__init__(space)
        sizes = [len(decision.options) for decision in space.decisions] if sizes is None else sizes
        self.alphas = nn.ParameterList(torch.zeros(size) for size in sizes)
        self.architecture = adam(self.alphas.parameters(), rate, decay, betas)

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


def adam(parameters: Iterable[nn.Parameter], rate: float, decay: float, betas: tuple[float, float] = BETAS) -> Target:
    """A target of its own for architecture parameters."""
    return Target(torch.optim.Adam(parameters, rate, betas, weight_decay=decay))


def refuse_forbidden(method: str, setup: Setup) -> None:
    """CannotSearch for a space with no rule that derives an architecture."""
    why = f"derives every decision by itself, and {setup.space.name} forbids some combinations"
    refuse(method, setup, why, lambda space: space.derives)


def refuse(
    method: str,
    setup: Setup,
    why: str,
    space_can: Callable[[Space], bool],
    net_can: Callable[[nn.Module], bool] | None = None,
) -> None:
    """CannotSearch where a method cannot search a space, or its network, with the spaces that it can."""
    if space_can(setup.space) and (net_can is None or net_can(setup.net)):
        return
    able = [name for name, space in SPACES.items() if space_can(space)]
    if net_can is not None:
        of_skeletons = {SKELETONS[name]: name for name in able if name in SKELETONS}
        can = {skeleton for skeleton, name in of_skeletons.items() if net_can(_outline(skeleton, SPACES[name]))}
        able = [name for name in able if name in SKELETONS and SKELETONS[name] in can]
    raise CannotSearch(f"{method} {why}; it can search {', '.join(able) or 'none of the registered spaces'}")


@cache
def _outline(skeleton: Any, space: Space) -> nn.Module:
    """The network of a space as it is by default, without memory for its weights."""
    with torch.device("meta"):
        return skeleton().make(space, 10)

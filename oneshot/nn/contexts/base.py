"""Weights that depend on earlier choices (arXiv 2104.11522): what they tell blocks, and how a network has them."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from torch import Tensor, nn

from oneshot.base.bounds import check_least
from oneshot.gates import Context, Gates, Priors


class Given(NamedTuple):
    """What a block is told of the choices before it: a vector for each option in its gate, which copies to use."""

    context: Context = 0
    shift: tuple[Tensor, ...] = ()
    """[channels_in] to add to the input."""
    scale: tuple[Tensor, ...] = ()
    """[channels_in] to multiply the input by."""


ALONE = Given()
"""What a block without priors is told."""
Told = list[dict[int, Given]]
"""What the blocks of each cell are told, by site; a site that is missing is ALONE. One block a site is one cell."""


class ContextWeights(nn.Module):
    """Tells every block of a network what depends on the choices before it; this one has nothing to tell.

    `widths[site]` are the input channels of the blocks that obey a site, one a cell. Sites without priors have no such
    weights. A skeleton keeps it as its attribute `contexts`.
    """

    adds = False
    """Whether a block's result may differ from zero although its input is zero."""
    splits = False
    """Whether the operations have copies for every context after the split."""
    split_epoch = 0
    """The finished epochs after which they are split."""

    def __init__(self, priors: Priors, widths: Sequence[Sequence[int]]) -> None:
        super().__init__()
        self.priors, self.widths = priors, [list(columns) for columns in widths]
        self.register_buffer("_where", torch.empty(0), persistent=False)

    @property
    def device(self) -> torch.device:
        return self._where.device  # pyright: ignore[reportReturnType]

    def forward(self, gates: Gates, sites: Container[int] | None = None) -> Told:
        """What to tell the blocks of these sites, or of all; weights of other sites are not touched."""
        told: Told = [{} for _ in self.widths[0]]
        chosen = self.priors.dependent if sites is None else [s for s in self.priors.dependent if s in sites]
        self.tell(gates, chosen, told)
        return told

    def tell(self, gates: Gates, sites: Sequence[int], told: Told) -> None:
        pass


@dataclass(frozen=True)
class Dependence:
    """How the weights of a network depend on earlier choices.

    Args:
        weights: `Bias`, `SharedBias`, `Attention`, `Attention2` or `Split`
        depth: how many earlier choices, D in the paper
        graph: the choices at the edges into the edge's source node, not the last ones in plain order
        split_epoch: epochs after which the operations get copies for every context; 0 for weights that have none
    """

    weights: type[ContextWeights]
    depth: int = 1
    graph: bool = False
    split_epoch: int = 0

    def priors(self, options: Sequence[int], edges: Sequence[tuple[int, int]]) -> Priors:
        """Those of sites with so many options, on these (source, target) edges."""
        return Priors.of(options, self.depth, edges if self.graph else None)

    def module(self, priors: Priors, widths: Sequence[Sequence[int]]) -> ContextWeights:
        """What a skeleton keeps as its attribute `contexts`."""
        made = self.weights(priors, widths)
        made.split_epoch = self.split_epoch
        return made

    def copies(self, priors: Priors) -> list[int]:
        """How many copies of each site's operations a split makes."""
        return [priors.contexts(site) if self.weights.splits else 1 for site in range(len(priors.options))]


class DependenceSettings(Protocol):
    """What registers a context: its settings, and the way to what they say."""

    def make(self) -> Dependence | None:
        """None where weights depend on nothing."""
        ...


@dataclass(frozen=True)
class NoneSettings:
    """Weights that depend on nothing but the option that has them."""

    def make(self) -> Dependence | None:
        return None


@dataclass(frozen=True)
class ContextSettings:
    """Weights that depend on some choices before.

    Args:
        depth: on how many earlier choices (D in arXiv 2104.11522)
        priors: order (the last choices in plain order) or graph (those at the edges into the edge's source node)
    """

    depth: int = 1
    priors: str = "order"

    def __post_init__(self) -> None:
        check_least(self, depth=1)
        check_priors(self.priors)

    def make(self) -> Dependence | None:
        return Dependence(self.weights(), self.depth, self.priors == "graph")

    def weights(self) -> type[ContextWeights]:
        raise NotImplementedError


def check_priors(priors: str) -> None:
    if priors not in ("order", "graph"):
        raise ValueError(f"priors must be order or graph, got {priors!r}")

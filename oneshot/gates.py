"""Gates: which options run at which site, with what weight. All methods differ only in the gates that they hand out.

A *context* is a combination of the choices at the prior sites of a site. Who mixes options mixes contexts: they are
averaged with the products of the gates' weights, scaled to sum to 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from oneshot.space import Arch, Space

Gate = tuple[tuple[int, float | Tensor], ...]
"""The (option, weight) pairs that run at one site; an option that is not in the gate is not computed."""
Gates = tuple[Gate, ...]
"""One gate a site, in the order of `Space.sites`."""
Context = int | Tensor
"""A site's context: the index of its combination, or weights [contexts] over all of them that sum to 1."""

MOST_CONTEXTS = 1_000_000
"""Combinations of a site's choice and its priors'; more are a mistake in the depth."""


class PerCell(tuple[Gates, ...]):
    """Gates of their own for each cell of a network whose cells otherwise share one set."""


AnyGates = Gates | PerCell


def fixed(space: Space, arch: Arch) -> Gates:
    """The gates of one architecture, `Space.gates`: what it runs, with weight exactly 1.0."""
    return space.gates(arch)


def weighed(gates: Gates, like: Gates) -> Gates:
    """The same options, one by one with the weights of others; ValueError where there are not as many."""
    pairs = [list(zip(mine, theirs, strict=True)) for mine, theirs in zip(gates, like, strict=True)]
    return tuple(tuple((option, weight) for (option, _), (_, weight) in site) for site in pairs)


def mixture(space: Space, weights: Sequence[Tensor]) -> Gates:
    """Every option at every site; `weights` holds one vector a decision, as long as its options."""
    for decision, vector in zip(space.decisions, weights, strict=True):
        if vector.shape != (len(decision.options),):
            raise ValueError(f"{decision.name} takes {len(decision.options)} weights, got shape {tuple(vector.shape)}")
    return tuple(tuple((option, weights[d][choice]) for d, choice, option in site) for site in space.wiring)


def hard(space: Space, one_hots: Sequence[Tensor]) -> Gates:
    """The option of each decision that a one-hot vector names, with the vector's own entry as its weight of 1.

    So its gradient reaches whatever the vector was made of, the options that do not run among it.
    """
    arch = [int(vector.detach().argmax()) for vector in one_hots]
    weights = [vector[i] for vector, i in zip(one_hots, arch, strict=True)]
    return tuple(
        tuple((option, weights[d]) for d, choice, option in site if arch[d] == choice) for site in space.wiring
    )


ENGINES = ("first", "half", "last", "all")
"""Which cells of each kind are engines (EnTranNAS, Table 1)."""


def engines(cell_sites: Sequence[tuple[int, ...]], which: str = "first") -> tuple[bool, ...]:
    """Whether each cell of a network is an engine, given its `cell_sites`: cells that obey the same are of one kind.

    Of each kind the first, the first half rounded up, the last or all; ValueError for another word.
    """
    if which not in ENGINES:
        raise ValueError(f"engine cells must be one of {', '.join(ENGINES)}, got {which!r}")
    found = [False] * len(cell_sites)
    for kind in set(cell_sites):
        cells = [number for number, sites in enumerate(cell_sites) if sites == kind]
        half = (len(cells) + 1) // 2
        for number in {"first": cells[:1], "half": cells[:half], "last": cells[-1:], "all": cells}[which]:
            found[number] = True
    return tuple(found)


def in_cells(cell_sites: Sequence[tuple[int, ...]], each: Sequence[Gates]) -> PerCell:
    """Of gates for all sites of the space, one set for each cell of a network, those that the cell obeys."""
    return PerCell(tuple(gates[site] for site in sites) for sites, gates in zip(cell_sites, each, strict=True))


def of_cells(gates: AnyGates, sites: int, cells: int) -> list[Gates]:
    """The gates of each cell: one set that all share, or one for each; ValueError for any other number of them."""
    sets = list(gates) if isinstance(gates, PerCell) else [gates] * cells
    if len(sets) != cells or any(len(one) != sites for one in sets):
        got = f"{len(sets)} of {sorted({len(one) for one in sets})}" if isinstance(gates, PerCell) else f"{len(gates)}"
        raise ValueError(f"expected {sites} gates, or for each of {cells} cells (PerCell), got {got}")
    return sets  # pyright: ignore[reportReturnType]


@dataclass(frozen=True)
class Priors:
    """The earlier sites on whose choices each site depends, and the number of options of every site.

    A context's index counts through its priors' options with the last prior running fastest.
    """

    options: tuple[int, ...]
    before: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, options: Sequence[int], depth: int, edges: Sequence[tuple[int, int]] | None = None) -> Priors:
        """The `depth` sites before each, or with `edges` (source, target) those that lead to its edge's source.

        The first sites have fewer, and the very first none. ValueError for a depth that no site can have.
        """
        if not 1 <= depth < len(options):
            raise ValueError(f"depth must be from 1 to {len(options) - 1} for {len(options)} choices, got {depth}")
        before = [tuple(range(site)) for site in range(len(options))]
        if edges is not None:
            ends = [end for _, end in edges]
            before = [tuple(s for s in before[site] if ends[s] == edges[site][0]) for site in range(len(options))]
        priors = cls(tuple(options), tuple(sites[-depth:] for sites in before))
        most = max(priors.contexts(site) * count for site, count in enumerate(options))
        if most > MOST_CONTEXTS:
            raise ValueError(
                f"depth {depth} makes {most:,} combinations of choices, expected {MOST_CONTEXTS:,} at most"
            )
        return priors

    @property
    def dependent(self) -> list[int]:
        """The sites that have priors."""
        return [site for site, sites in enumerate(self.before) if sites]

    def contexts(self, site: int) -> int:
        """How many contexts a site has; 1 without priors."""
        return prod(self.options[prior] for prior in self.before[site])

    def choices(self, site: int, gates: Gates, device: torch.device) -> list[int | Tensor]:
        """The option at each prior, or the options' weights."""
        return [choice(gates[prior], self.options[prior], device) for prior in self.before[site]]

    def context(self, site: int, gates: Gates, device: torch.device) -> Context:
        index, weights = 0, None
        for prior, chosen in zip(self.before[site], self.choices(site, gates, device), strict=True):
            count = self.options[prior]
            if weights is None and isinstance(chosen, int):
                index = index * count + chosen
                continue
            if weights is None:
                weights = _one_hot(index, prod(self.options[p] for p in self.before[site] if p < prior), device)
            vector = _one_hot(chosen, count, device) if isinstance(chosen, int) else chosen
            weights = (weights[:, None] * vector).flatten()
        return index if weights is None else weights


def choice(gate: Gate, count: int, device: torch.device) -> int | Tensor:
    """The one option of a gate, else how much each option weighs [options], summing to 1.

    All weigh alike where nothing runs, or only with weights of zero.
    """
    if len(gate) == 1:
        return gate[0][0]
    if not gate:
        return torch.full((count,), 1 / count, device=device)
    weights = torch.stack([torch.as_tensor(weight, dtype=torch.float32, device=device) for _, weight in gate])
    options = torch.tensor([option for option, _ in gate], device=device)
    vector = torch.zeros(count, device=device).index_add(0, options, weights)
    total = vector.sum()
    is_zero = total == 0
    return torch.where(is_zero, 1 / count, vector / torch.where(is_zero, 1.0, total))


def _one_hot(index: int, count: int, device: torch.device) -> Tensor:
    vector = torch.zeros(count, device=device)
    vector[index] = 1.0
    return vector

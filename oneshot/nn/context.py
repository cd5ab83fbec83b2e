"""Weights that depend on earlier choices (arXiv 2104.11522): bias, split and attention, and what blocks are told."""

from __future__ import annotations

from collections.abc import Container, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor, nn

from oneshot.gates import Context, Gate, Gates, Priors


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


class Split(ContextWeights):
    """Copies of the operations' weights for every context, made in the middle of the training (section 3.3).

    At the split each copy equals the shared weights, BatchNorm statistics and momentum included; the copy of a context
    that is never drawn afterwards keeps holding just that.
    """

    splits = True

    def tell(self, gates: Gates, sites: Sequence[int], told: Told) -> None:
        for site in sites:
            given = Given(self.priors.context(site, gates, self.device))
            for block in told:
                block[site] = given


class Bias(ContextWeights):
    """One vector for each combination of a site's choice and its priors', zero at first (section 3.3).

    The vectors of all cells lie side by side in one row, and sites of equal widths in one table, so that a step with a
    fixed architecture looks them all up at once.
    """

    adds = True

    def __init__(self, priors: Priors, widths: Sequence[Sequence[int]]) -> None:
        super().__init__(priors, widths)
        groups: dict[tuple[int, ...], list[int]] = {}
        for site in priors.dependent:
            groups.setdefault(tuple(widths[site]), []).append(site)
        self._first: dict[int, int] = {}
        self._groups = list(groups.values())
        self.tables = nn.ModuleList()
        for columns, sites in groups.items():
            counts = [priors.contexts(site) * priors.options[site] for site in sites]
            self._first.update(zip(sites, accumulate(counts, initial=0), strict=False))
            self.tables.append(_zeros(nn.Embedding(sum(counts), sum(columns), sparse=True)))

    def tell(self, gates: Gates, sites: Sequence[int], told: Told) -> None:
        for group, table in zip(self._groups, self.tables, strict=True):
            rows: dict[int, int] = {}
            for site in group:
                if site not in sites:
                    continue
                context, gate = self.priors.context(site, gates, self.device), gates[site]
                if isinstance(context, int) and len(gate) == 1:
                    rows[site] = self._first[site] + context * self.priors.options[site] + gate[0][0]
                else:
                    vectors = self._mixed(table.weight, site, context, gate)  # pyright: ignore[reportArgumentType]
                    for block, part in zip(told, vectors.split(self.widths[site], 1), strict=True):
                        block[site] = Given(shift=part.unbind())
            if rows:
                vectors = table(torch.tensor(list(rows.values()), device=self.device))
                for block, part in zip(told, vectors.split(self.widths[group[0]], 1), strict=True):
                    block.update({site: Given(shift=(row,)) for site, row in zip(rows, part.unbind(), strict=True)})

    def _mixed(self, table: Tensor, site: int, context: Context, gate: Gate) -> Tensor:
        """The vectors [options in the gate, columns], averaged over the contexts."""
        contexts, options, first = self.priors.contexts(site), self.priors.options[site], self._first[site]
        every = table[first : first + contexts * options].view(contexts, options, -1)
        mean = every[context] if isinstance(context, int) else (context.view(-1, 1, 1) * every).sum(0)
        return mean[[option for option, _ in gate]]


def _zeros(table: nn.Embedding) -> nn.Embedding:
    nn.init.zeros_(table.weight)
    return table


class OneHots(nn.Module):
    """A fully connected layer over concatenated one-hot choices, computed as a sum of one row a choice."""

    def __init__(self, counts: Sequence[int], columns: int, bias: bool) -> None:
        super().__init__()
        self.rows = nn.EmbeddingBag(sum(counts), columns, mode="sum", sparse=True)
        self.bias = nn.Parameter(torch.zeros(columns)) if bias else None
        self._first = [0, *accumulate(counts)]
        bound = sum(counts) ** -0.5 if bias else 0.0  # as nn.Linear's; alone it adds to an input and begins at zero
        for p in self.parameters():
            nn.init.uniform_(p, -bound, bound)

    def forward(self, choices: Sequence[int | Tensor], options: Sequence[int]) -> Tensor:
        """[options, columns] for each option of the last choice, after an option or weights for each one before."""
        weight, rows = self.rows.weight, [self._first[len(choices)] + option for option in options]
        places = list(zip(self._first, choices, strict=False))
        if all(isinstance(chosen, int) for chosen in choices):
            total = self.rows(torch.tensor([[*(a + c for a, c in places), row] for row in rows], device=weight.device))
        else:
            # no matrix product, which autocast would round
            parts = [
                weight[a + c] if isinstance(c, int) else (c[:, None] * weight[a : a + len(c)]).sum(0) for a, c in places
            ]
            total = torch.stack(parts).sum(0) + weight[rows]
        return total if self.bias is None else total + self.bias


class SharedBias(ContextWeights):
    """One vector for each prior's choice and one for the site's own, all added (appendix D); zero at first."""

    adds = True
    bias = False

    def __init__(self, priors: Priors, widths: Sequence[Sequence[int]]) -> None:
        super().__init__(priors, widths)
        self.layers = nn.ModuleDict({str(site): self.layer(site) for site in priors.dependent})

    def counts(self, site: int) -> list[int]:
        """The lengths of the concatenated one-hot vectors."""
        return [self.priors.options[s] for s in (*self.priors.before[site], site)]

    def layer(self, site: int) -> nn.Module:
        return OneHots(self.counts(site), sum(self.widths[site]), self.bias)

    def tell(self, gates: Gates, sites: Sequence[int], told: Told) -> None:
        for site in sites:
            choices, options = self.priors.choices(site, gates, self.device), [option for option, _ in gates[site]]
            for block, vectors in zip(told, self.vectors(site, choices, options), strict=True):
                block[site] = self.given(vectors.unbind())

    def vectors(self, site: int, choices: Sequence[int | Tensor], options: Sequence[int]) -> Sequence[Tensor]:
        """[options, channels] for every cell's block."""
        return self.layers[str(site)](choices, options).split(self.widths[site], 1)

    def given(self, vectors: tuple[Tensor, ...]) -> Given:
        return Given(shift=vectors)


class Attention(SharedBias):
    """Scales the input's channels by a fully connected layer and a sigmoid over the one-hot choices (appendix D).

    Weights of mixed gates take the place of the one-hot vectors.
    """

    adds = False
    bias = True

    def given(self, vectors: tuple[Tensor, ...]) -> Given:
        return Given(scale=tuple(vector.sigmoid() for vector in vectors))


class Attention2(Attention):
    """Attention with a second fully connected layer, a ReLU before it (appendix D), as wide as the one-hot choices."""

    def layer(self, site: int) -> nn.Module:
        wide, widths = sum(self.counts(site)), self.widths[site]
        second = nn.ModuleList(nn.Linear(wide, width) for width in widths)
        return nn.ModuleDict({"first": OneHots(self.counts(site), wide * len(widths), True), "second": second})

    def vectors(self, site: int, choices: Sequence[int | Tensor], options: Sequence[int]) -> Sequence[Tensor]:
        layer, wide = self.layers[str(site)], sum(self.counts(site))
        hidden = layer["first"](choices, options).relu().split(wide, 1)  # pyright: ignore[reportIndexIssue]
        return [second(part) for second, part in zip(layer["second"], hidden, strict=True)]  # pyright: ignore


@dataclass(frozen=True)
class Dependence:
    """How the weights of a network depend on earlier choices.

    Args:
        weights: `Bias`, `SharedBias`, `Attention`, `Attention2` or `Split`
        depth: how many earlier choices, D in the paper
        graph: the choices at the edges into the edge's source node, not the last ones in plain order
    """

    weights: type[ContextWeights]
    depth: int = 1
    graph: bool = False

    def priors(self, options: Sequence[int], edges: Sequence[tuple[int, int]]) -> Priors:
        """Those of sites with so many options, on these (source, target) edges."""
        return Priors.of(options, self.depth, edges if self.graph else None)

    def copies(self, priors: Priors) -> list[int]:
        """How many copies of each site's operations a split makes."""
        return [priors.contexts(site) if self.weights.splits else 1 for site in range(len(priors.options))]

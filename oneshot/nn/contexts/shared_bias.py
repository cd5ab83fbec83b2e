"""One bias for each choice before, added up (arXiv 2104.11522, appendix D)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from oneshot.gates import Gates, Priors
from oneshot.nn.contexts.base import ContextSettings, ContextWeights, Given, Told


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


@dataclass(frozen=True)
class SharedBiasSettings(ContextSettings):
    """A vector for each prior's choice and one for the own, added to the input (appendix D)."""

    def weights(self) -> type[ContextWeights]:
        return SharedBias

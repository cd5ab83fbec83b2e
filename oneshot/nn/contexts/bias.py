"""One bias for each combination of choices (arXiv 2104.11522, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch
from torch import Tensor, nn

from oneshot.gates import Context, Gate, Gates, Priors
from oneshot.nn.contexts.base import ContextSettings, ContextWeights, Given, Told


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


@dataclass(frozen=True)
class BiasSettings(ContextSettings):
    """A vector for each combination of a choice and those before it, added to the input (section 3.3)."""

    def weights(self) -> type[ContextWeights]:
        return Bias

"""Hierarchical masks on operations, edges and weights (HM-NAS, section 3.3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from oneshot.space import Space


def nodes_of(space: Space) -> tuple[tuple[int, ...], ...]:
    """The sites whose results are added, for each node; every site by itself where a space says nothing of edges."""
    named = space.graphs([[str(site)] for site in range(len(space.wiring))])
    into: dict[tuple[str, str], list[int]] = {}
    for title, graph in named.items():
        for _, target, label in graph:
            if label:  # what joins the nodes of a cell is no site
                into.setdefault((title, target), []).append(int(label))
    found = [tuple(sites) for sites in into.values()]
    known = {site for sites in found for site in sites}
    return (*found, *((site,) for site in range(len(space.wiring)) if site not in known))


def maskable(net: nn.Module) -> list[nn.Parameter]:
    """The weights of convolutions and linear layers; biases and BatchNorm stay whole."""
    layers = {m.weight for m in net.modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    return [p for p in net.parameters() if p in layers]


class Masks(nn.Module):
    """Real numbers for every option of a site, every site that leads into a node, and every maskable weight.

    `options` says how many options each site has, `nodes` is that of `nodes_of`; without `edges` all of them stay.
    """

    def __init__(
        self, options: Sequence[int], nodes: Sequence[Sequence[int]], weights: Sequence[Tensor],
        threshold: float, start: float, edges: bool = True,
    ) -> None:  # fmt: skip
        super().__init__()
        self.nodes, self.threshold, self.start = nodes, threshold, start
        self.operations = nn.ParameterList(torch.full((count,), start) for count in options)
        self.edges = nn.ParameterList(torch.full((len(sites),), start) for sites in nodes if edges)
        self.weights = nn.ParameterList(torch.full_like(w, start, requires_grad=True) for w in weights)

    def binary(self, real: Tensor) -> Tensor:
        """Equation 4; gradients of the binary mask are those of the real one (straight-through)."""
        return (real.detach() > self.threshold).to(real) + (real - real.detach())

    def kept_weights(self) -> list[Tensor]:
        """Of each maskable weight what is kept, as booleans of its shape."""
        return [real.detach() > self.threshold for real in self.weights]

    def of_sites(self) -> tuple[list[Tensor], list[Tensor]]:
        """Binary masks of the options of each site, and of each site itself (a scalar), as `binary`.

        Where nothing would lead into a node, its strongest edge keeps its strongest option.
        """
        operations = [self.binary(real) for real in self.operations]
        edges: list[Tensor] = [real.new_ones(()) for real in self.operations]
        for sites, real in zip(self.nodes, self.edges, strict=False):
            for site, one in zip(sites, self.binary(real).unbind(), strict=True):
                edges[site] = one
        for site, option in self._saved():
            chosen = torch.arange(len(operations[site]), device=operations[site].device) == option
            operations[site] = torch.where(chosen, operations[site] - operations[site].detach() + 1, operations[site])
            edges[site] = edges[site] - edges[site].detach() + 1
        return operations, edges

    def _saved(self) -> Iterator[tuple[int, int]]:
        """(site, option) of what is kept in spite of its mask."""
        for node, sites in enumerate(self.nodes):
            reals = self.edges[node].tolist() if len(self.edges) else [self.start] * len(sites)
            able = [(site, edge) for site, edge in zip(sites, reals, strict=True) if len(self.operations[site])]
            if not able or any(
                edge > self.threshold and bool((self.operations[site] > self.threshold).any()) for site, edge in able
            ):
                continue
            site, _ = max(able, key=lambda pair: (pair[1], float(self.operations[pair[0]].max())))
            yield site, int(self.operations[site].argmax())

"""NAS-Bench-201 with any subset of its options on each edge, at least one into every node (EnTranNAS-DST)."""

from __future__ import annotations

from dataclasses import dataclass

from oneshot.cost import Cost
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL, CONVOLUTIONS, INTO, NONE, cost, live_convolutions, live_edges
from oneshot.spaces.subsets import SWITCH, Subsets


@dataclass(frozen=True)
class EdgeSubsets(Subsets):
    """Strings are `nor_conv_1x1+nor_conv_3x3|none|...` for the six edges; `one_each` leads back to NAS-Bench-201."""

    def facts(self, arch: Arch) -> dict[str, float]:
        """Those of NAS-Bench-201; on a live path every edge counts as its best option."""
        params, live = self.cost(arch).params, live_convolutions(self._best(arch))
        return {
            "parameters": float(params),
            "convolutions": float(sum(o in CONVOLUTIONS for edge in self.options_on(arch) for o in edge)),
            "live_path_convolutions": (-1.0 if live is None else live) + params / 1e9,  # ties broken by parameters
        }

    def cost(self, arch: Arch, **size: int) -> Cost:
        """That of NAS-Bench-201's network with all options of the edges that something flows along to the output."""
        on, live = self.options_on(arch), live_edges(self._best(arch))
        return cost(tuple(o for edge in sorted(live) for o in on[edge]), **size)

    def canonical(self, arch: Arch) -> Arch:
        """The architecture with the last option alone into a node that leads nowhere."""
        live, kept = live_edges(self._best(arch)), list(self.check(arch))
        for sites, switches in zip(self.nodes, self.switches, strict=True):
            if not live & set(sites) and all(len(self.decisions[d].options) == len(SWITCH) for d in switches):
                for d in switches:
                    kept[d] = int(d == switches[-1])
        return tuple(kept)

    def _best(self, arch: Arch) -> tuple[str, ...]:
        """A convolution on each edge that has one, else another option, or zero."""
        on = self.options_on(arch)
        return tuple(next((o for o in edge if o in CONVOLUTIONS), edge[0] if edge else NONE) for edge in on)


SUBSETS = EdgeSubsets.of(ALL, "nasbench201-subsets", INTO)

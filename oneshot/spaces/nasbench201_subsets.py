"""NAS-Bench-201 with any subset of its options on each edge; at least one into every node (EnTranNAS-DST), or not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from oneshot.cost import Cost
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL, CONVOLUTIONS, INTO, NONE, OPERATIONS, POOL, cost, facts, live_edges
from oneshot.spaces.subsets import SWITCH, Subsets


@dataclass(frozen=True)
class AnySubsets(Subsets):
    """Strings are `nor_conv_1x1+nor_conv_3x3|none|...` for the six edges; `one_each` leads back to NAS-Bench-201."""

    baseline: ClassVar[str] = "live_parameters"

    def facts(self, arch: Arch) -> dict[str, float]:
        """Those of NAS-Bench-201; on a live path every edge counts as its best option."""
        convolutions = (o for edge in self.options_on(arch) for o in edge if o in CONVOLUTIONS)
        return facts(self._best(arch), self._whole(arch), convolutions, self.live_cost(arch))

    def _whole(self, arch: Arch) -> Cost:
        """By NAS-Bench-201's formula all that is on, live or not: the network need not be made."""
        return cost(tuple(o for edge in self.options_on(arch) for o in edge))

    def live_cost(self, arch: Arch, **size: int) -> Cost:
        """That of NAS-Bench-201's network with all options of the edges that something flows along to the output."""
        on, live = self.options_on(arch), live_edges(self._best(arch))
        return cost(tuple(o for edge in sorted(live) for o in on[edge]), **size)

    def _best(self, arch: Arch) -> tuple[str, ...]:
        """A convolution on each edge that has one, else another option, or zero; pooling goes before skips."""
        on, kinds = self.options_on(arch), (CONVOLUTIONS, (POOL,), OPERATIONS)
        return tuple(next((o for kind in kinds for o in edge if o in kind), NONE) for edge in on)


@dataclass(frozen=True)
class EdgeSubsets(AnySubsets):
    """The same with something into every node."""

    def cost(self, arch: Arch, **size: int) -> Cost:
        """`live_cost`: nothing else is made."""
        return self.live_cost(arch, **size)

    def _whole(self, arch: Arch) -> Cost:
        return self.live_cost(arch)

    def canonical(self, arch: Arch) -> Arch:
        """The architecture with the last option alone into a node that leads nowhere."""
        live, kept = live_edges(self._best(arch)), list(self.check(arch))
        for sites, switches in zip(self.nodes, self.switches, strict=True):
            if not live & set(sites) and all(len(self.decisions[d].options) == len(SWITCH) for d in switches):
                for d in switches:
                    kept[d] = int(d == switches[-1])
        return tuple(kept)


ANY = AnySubsets.of(ALL, "nasbench201-any")
SUBSETS = EdgeSubsets.of(ALL, "nasbench201-subsets", INTO)

"""EnTranNAS-DST (arXiv 2101.11342, section 2.4): thresholds that are learned cut connections; what is left is derived.

The architecture parameters are one vector a site, of the options that may be on there, and one threshold a node.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.base.bounds import check_least
from oneshot.gates import Gates
from oneshot.methods.architecture import adam, refuse
from oneshot.methods.base import Setup, Step
from oneshot.methods.entrannas import EnTranNas, EnTranNasSettings
from oneshot.space import Arch


@dataclass(frozen=True)
class EnTranNasDstSettings(EnTranNasSettings):
    """Equations 7 to 11: any number of connections of a node, their number by its threshold.

    On ImageNet the temperature is 1 and falls by 0.9.

    Args:
        sparsity: lambda of equation 11 (published: 0.2, 0.1, 0.05); the larger, the fewer connections
        engine_cells: of each kind of cell the first, half of them, the last, or all (Table 1)
        temperature: that of the first epoch
        temperature_ratio: by which it falls every epoch
        arch_learning_rate: Adam's, of the architecture parameters (ImageNet: 6e-3)
        arch_weight_decay: Adam's
    """

    sparsity: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        check_least(self, sparsity=0)

    def make(self, setup: Setup) -> EnTranNasDst:
        why = f"keeps any subset of connections into each node, which {setup.space.name} does not offer"

        def offers(space: object) -> bool:
            return bool(getattr(space, "nodes", ()))

        refuse("entrannas-dst", setup, why, offers, lambda net: hasattr(net, "cell_sites"))
        return EnTranNasDst(setup, self)


class EnTranNasDst(EnTranNas):
    """See `EnTranNasDstSettings`; derives the connections whose coefficients are not zero (equation 10)."""

    def __init__(self, setup: Setup, settings: EnTranNasDstSettings | None = None) -> None:
        s = settings or EnTranNasDstSettings()
        super().__init__(setup, s, [len(options) for options in setup.space.site_options])
        self.nodes: tuple[tuple[int, ...], ...] = setup.space.nodes  # pyright: ignore[reportAttributeAccessIssue]
        self.thresholds = nn.Parameter(torch.zeros(len(self.nodes)))
        self.architecture = adam([*self.alphas, self.thresholds], s.arch_learning_rate, s.arch_weight_decay)
        self.weight = s.sparsity * len(set(self.cell_sites)) / len(self.nodes)

    def coefficients(self) -> list[Tensor]:
        """Of the options of each site, the q-hat of equation 9: zero where a connection is cut, else summing to 1.

        A threshold is below 1, however large its beta: a node always keeps its strongest connection.
        """
        p = self.probabilities()
        found = list(p)
        room = torch.sigmoid(-self.thresholds).clamp_min(torch.finfo(self.thresholds.dtype).tiny)  # 1 - t
        for sites, own in zip(self.nodes, room.unbind(), strict=True):
            largest = torch.cat([p[site] for site in sites]).amax()
            for site in sites:
                q = F.relu(p[site] / largest - 1 + own)  # equations 7 and 8
                total = q.sum()
                found[site] = q / torch.where(total > 0, total, 1.0)
        return found

    def penalty(self) -> Tensor:
        """The second term of equation 11, a mean over the nodes of each kind of cell."""
        return -self.weight * F.logsigmoid(self.thresholds).sum()

    def regularise(self, step: Step) -> None:
        step.learn(self.architecture, self.penalty(), "threshold_loss")

    def mixture(self) -> Gates:
        """What is left, with its coefficients."""
        found = self.coefficients()
        return tuple(tuple((i, q[i]) for i in own) for q, own in zip(found, _left(found), strict=True))

    def derived(self, mixed: Gates) -> Gates:
        return tuple(tuple((option, 1.0) for option, _ in gate) for gate in mixed)

    def derive(self) -> Arch:
        """Equation 10."""
        with torch.no_grad():
            left = _left(self.coefficients())
        arch = [0] * len(self.space.decisions)
        for site, own in zip(self.space.wiring, left, strict=True):
            for decision, on, option in site:
                off = next((i for i in range(len(self.space.decisions[decision].options)) if i != on), on)
                arch[decision] = on if option in own else off
        return tuple(arch)

    def facts(self) -> dict[str, float]:
        with torch.no_grad():
            left = _left(self.coefficients())
            mean = self.thresholds.sigmoid().mean()
        return {**super().facts(), "connections": float(sum(map(len, left))), "threshold": float(mean)}


def _left(coefficients: list[Tensor]) -> list[list[int]]:
    """The options of each site that are not cut."""
    kept = iter((torch.cat(coefficients).detach() > 0).tolist())
    return [[i for i in range(len(q)) if next(kept)] for q in coefficients]

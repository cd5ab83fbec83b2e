"""Copies of the weights for every context, made during the training (arXiv 2104.11522, section 3.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from oneshot.base.bounds import check_least
from oneshot.gates import Gates
from oneshot.nn.contexts.base import ContextWeights, Dependence, Given, Told, check_priors


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


@dataclass(frozen=True)
class SplitSettings:
    """A copy of the weights for each option of the choice before, made during the training (section 3.3).

    Args:
        split_epoch: epochs after which the weights are split
        priors: order (the last choice in plain order) or graph (that at the edge into the edge's source node)
    """

    split_epoch: int = 125
    priors: str = "order"

    def __post_init__(self) -> None:
        check_least(self, split_epoch=1)
        check_priors(self.priors)

    def make(self) -> Dependence | None:
        return Dependence(Split, 1, self.priors == "graph", self.split_epoch)

"""The networks of DARTS (arXiv 1806.09055), and what EnTranNAS's search adds (arXiv 2101.11342)."""

from __future__ import annotations

from dataclasses import dataclass

from oneshot.supernets.nasnet import NasNetSkeleton


@dataclass(frozen=True)
class DartsSkeleton(NasNetSkeleton):
    """DARTS's network: two cells a stage are the 8 of its search, six the 20 and four the 14 of its evaluation."""

    pool_norm: bool = True

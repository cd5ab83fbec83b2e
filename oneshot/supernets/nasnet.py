"""The NASNet-like skeleton of VAENAS, appendix A.4: DARTS's network (arXiv 1806.09055) with cells of 14 edges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor, nn

from oneshot.base.bounds import CELLS, CHANNELS, check_least, check_most
from oneshot.gates import AnyGates, Gate, Gates, PerCell
from oneshot.nn.auxiliary import AuxiliaryHead
from oneshot.nn.blocks import block_output
from oneshot.nn.cell import Cell
from oneshot.nn.feature import Feature
from oneshot.nn.operations import ReluConvNorm
from oneshot.nn.separable import FactorizedReduce, cells
from oneshot.nn.stems import KINDS
from oneshot.space import Space
from oneshot.spaces.cells import EDGES, NODES, NONE, SITES, flowing, layout, live_edges, of_kind

AUXILIARY = 0.4
"""Weight of the auxiliary classifier's loss."""


@dataclass(frozen=True)
class NasNetSkeleton:
    """Three stages of normal cells, a reduction cell between them.

    Args:
        channels: width of the first stage
        cells: normal cells a stage
        sharing: operations belong to the node that they read, and are made once for all nodes behind it (eq. 6 of
            EnTranNAS)
        bottleneck: a cell's operations run at this part of its width, between two 1x1 convolutions (EnTranNAS: 4)
        auxiliary: a second classifier behind the second reduction cell while training
        drop_path: probability at the end of the training that an edge's result is dropped for an image
        stem: cifar (one convolution) or imagenet (three that halve the image)
        pool_norm: BatchNorm behind pooling in supernets, never in networks of one architecture
    """

    channels: int = 16
    cells: int = 2
    sharing: bool = False
    bottleneck: int = 1
    auxiliary: bool = False
    drop_path: float = 0.0
    stem: str = "cifar"
    pool_norm: bool = False
    carries_contexts: ClassVar[bool] = False

    def __post_init__(self) -> None:
        check_least(self, channels=1, cells=1, bottleneck=1, drop_path=0)
        check_most(self, channels=CHANNELS, cells=CELLS)
        if self.channels % self.bottleneck:
            raise ValueError(f"bottleneck must divide the {self.channels} channels, got {self.bottleneck}")
        if self.stem not in KINDS:
            raise ValueError(f"stem must be one of {', '.join(KINDS)}, got {self.stem!r}")
        if self.drop_path >= 1:
            raise ValueError(f"drop_path must be at least 0 and below 1, got {self.drop_path}")

    def make(self, space: Space, classes: int, alone: bool = False) -> NasNetNet:
        return NasNetNet(space, self, classes, alone)


class NasNetNet(nn.Module):
    """A supernet of a NASNet-like space, or of one architecture alone (`space.only(arch)`, `affine=True`).

    Three stages of `cells` normal cells with a reduction cell between them: DARTS's depths of 8 and 20 are two and six
    cells a stage. What nothing reaches, or nobody takes, is not computed. Gates are one set of 28 for all cells, or 14
    for each cell (`PerCell`).
    """

    def __init__(
        self, space: Space, settings: NasNetSkeleton | None = None, classes: int = 10, affine: bool = False
    ) -> None:
        super().__init__()
        self.settings = settings = settings or NasNetSkeleton()
        if classes < 1:
            raise ValueError(f"classes must be positive, got {classes}")
        self.space, self.layout, width = space, layout(settings.cells), settings.channels
        options = space.site_options
        self.stem = KINDS[settings.stem](width)
        possible = live_edges([bool(set(site) - {NONE}) for site in options], settings.cells)
        operations, blocks = cells(affine, settings.pool_norm and not affine), list[nn.Module]()
        before, last, halved = self.stem.channels, self.stem.channels, self.stem.halves
        self.auxiliary: AuxiliaryHead | None = None
        for reduces, edges in zip(self.layout, possible, strict=True):
            width *= 2 if reduces else 1
            first = FactorizedReduce(before, width, affine) if halved else ReluConvNorm(before, width, 1, 1, affine)
            projections = first, ReluConvNorm(last, width, 1, 1, affine)
            own = of_kind(options, reduces)
            blocks.append(Cell(own, operations, projections, edges, width, reduces, settings, affine))
            before, last, halved = last, len(NODES) * width, reduces
        self.blocks = nn.ModuleList(blocks)
        self.classifier = nn.Linear(last, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        if settings.auxiliary:  # last, so that the other weights are those of a network without it
            self.auxiliary = AuxiliaryHead(len(NODES) * width, classes, AUXILIARY)

    def forward(self, x: Tensor, gates: AnyGates) -> Tensor:
        """Logits [B, classes] of images [B, 3, H, W], float, normalised; H and W divisible by four."""
        each = self._of_cells(gates)
        live = flowing([[self._runs(gate, site) for gate, site in self._sites(one, r)] for one, r in each])
        one, other = self.stem.both(x)
        before = last = Feature(other)
        if one is not other:
            before = Feature(one)
        second_reduction = len(self.layout) - 1 - self.layout[::-1].index(True)
        for number, (block, (one, _), edges) in enumerate(zip(self.blocks, each, live, strict=True)):
            given = before, last
            before, last = last, block_output(block(given, one, edges)) if edges else None
            if number == second_reduction and self.auxiliary is not None and last is not None:
                self.auxiliary(last.value)
        if last is None:
            return self.classifier(x.new_zeros(x.shape[0], self.classifier.in_features))
        return self.classifier(last.value.mean((2, 3)))

    @property
    def cell_sites(self) -> tuple[tuple[int, ...], ...]:
        """The sites that each cell obeys."""
        return tuple(tuple(of_kind(range(len(SITES)), reduces)) for reduces in self.layout)

    def _of_cells(self, gates: AnyGates) -> list[tuple[Gates, bool]]:
        """The 14 gates of each cell, and whether it reduces."""
        sets = list(gates) if isinstance(gates, PerCell) else [of_kind(gates, reduces) for reduces in self.layout]
        if len(sets) != len(self.layout) or any(len(one) != len(EDGES) for one in sets):
            got = f"{len(sets)} sets" if isinstance(gates, PerCell) else f"{len(gates)}"
            raise ValueError(
                f"expected {2 * len(EDGES)} gates, or {len(EDGES)} for each of {len(self.layout)} cells (PerCell), "
                f"got {got}"
            )
        return list(zip(sets, self.layout, strict=True))  # pyright: ignore[reportReturnType]

    def _sites(self, gates: Gates, reduces: bool) -> zip:
        return zip(gates, of_kind(self.space.site_options, reduces), strict=True)

    @staticmethod
    def _runs(gate: Gate, site: Sequence[str]) -> bool:
        return any(site[option] != NONE for option, _ in gate)

"""The NAS-Bench-201 skeleton (arXiv 2001.00326): three stages of shared cells, two residual reductions between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.base.bounds import CELLS, CHANNELS, check_least, check_most
from oneshot.gates import AnyGates, Gates, of_cells
from oneshot.nn.auxiliary import AuxiliaryHead
from oneshot.nn.blocks import block_output
from oneshot.nn.choice import ChoiceBlock
from oneshot.nn.contexts.base import ALONE, Dependence, Given, Told
from oneshot.nn.feature import Feature, normalised_later
from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Conv, ConvNorm, Operations, ReluConvNorm, nasbench201
from oneshot.space import Space
from oneshot.spaces.nasbench201 import EDGES

NOTHING: Mapping[int, Given] = {}


@dataclass(frozen=True)
class NasBench201Skeleton:
    """Three stages of cells at widths C, 2C, 4C.

    Args:
        channels: width of the first stage
        cells: cells a stage
        pool_conv: a 1x1 convolution behind pooling, as the supernet of arXiv 2104.11522 has it
    """

    channels: int = 16
    cells: int = 2
    pool_conv: bool = False
    carries_contexts: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_least(self, channels=1, cells=1)
        check_most(self, channels=CHANNELS, cells=CELLS)

    def make(
        self, space: Space, classes: int, alone: bool = False, dependence: Dependence | None = None
    ) -> NasBench201Net:
        return NasBench201Net(space, self.channels, self.cells, classes, alone, self.pool_conv, dependence)


class Cell(nn.Module):
    """Four nodes, a choice block on each edge; what is not on a live path is absent, not computed as zeros.

    Unless a bias is added to it: then a node that nothing reaches is zeros, and what leaves it runs.
    """

    def __init__(
        self, space: Space, operations: Operations, channels: int, copies: Sequence[int] = (1,) * len(EDGES)
    ) -> None:
        super().__init__()
        self.edges = nn.ModuleList(
            ChoiceBlock(options, operations, channels, channels, contexts=count)
            for options, count in zip(space.site_options, copies, strict=True)
        )
        for edge in self.edges:
            edge.is_path = True  # pyright: ignore[reportArgumentType]

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        return self.lazy(Feature(x), gates, NOTHING, self.live(gates)).whole()

    def lazy(self, x: Feature, gates: Gates, told: Mapping[int, Given], live: Sequence[int]) -> Feature:
        """`forward` for the next cell, given what the blocks are told and which edges run."""
        nodes: list[Feature] = []
        for node in range(4):
            total = None if node else x
            for edge in live:
                source, target = EDGES[edge]
                if target == node:
                    y = self._block(edge).lazy(nodes[source], gates[edge], told.get(edge, ALONE))
                    total = y if total is None else total + y
            leaving = [edge for edge in live if EDGES[edge][0] == node]
            if total is None:
                total = x.zeros() if leaving or node == 3 else x
            taken = [self._block(edge).takes(gates[edge], told.get(edge, ALONE)) for edge in leaving]
            values = {key for keys, _ in taken for key in keys}
            total.foresee(len(values), [shift for _, shifts in taken for shift in shifts])
            nodes.append(total)
        return nodes[3]

    def live(self, gates: Gates, adds: bool = False) -> Sequence[int]:
        """The edges that lie between the input and the output along edges that run.

        Where something is added to zeros, a way may also begin at an inner node.
        """
        runs = [edge for edge in range(len(EDGES)) if self._block(edge).runs(gates[edge])]
        reached, needed = {0, 1, 2} if adds else {0}, {3}
        for edge in runs:  # sources come before targets in EDGES
            if EDGES[edge][0] in reached:
                reached.add(EDGES[edge][1])
        for edge in reversed(runs):
            if EDGES[edge][1] in needed:
                needed.add(EDGES[edge][0])
        return [edge for edge in runs if EDGES[edge][0] in reached and EDGES[edge][1] in needed]

    def _block(self, edge: int) -> ChoiceBlock:
        return self.edges[edge]  # pyright: ignore[reportReturnType]


class Reduction(nn.Module):
    """The residual block that halves the image and doubles the width."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = ReluConvNorm(channels_in, channels_out, 3, stride=2)
        self.second = ReluConvNorm(channels_out, channels_out, 3)
        self.shortcut = Conv(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.lazy(Feature(x)).whole()

    def lazy(self, x: Feature) -> Feature:
        """`forward` whose sum is not yet made."""
        value, relu = x.whole_and_rectified()
        y = normalised_later(self.second, normalised_later(self.first, relu).rectified())
        return Feature(self.shortcut(F.avg_pool2d(value, 2))) + y


class NasBench201Net(nn.Module):
    """A supernet of a NAS-Bench-201 space, or of one architecture alone (`space.only(arch)`, `affine=True`).

    At C=16, two cells a stage and 10 classes it has 718,426 parameters; with `pool_conv` 782,938
    (arXiv 2104.11522, Table 3). `dependence` makes weights depend on earlier choices of the cell; all cells share the
    topology, so that they share the contexts, but each has vectors or copies of its own.
    """

    def __init__(
        self,
        space: Space,
        channels: int = 16,
        cells: int = 2,
        classes: int = 10,
        affine: bool = False,
        pool_conv: bool = False,
        dependence: Dependence | None = None,
    ) -> None:
        super().__init__()
        if min(channels, cells, classes) < 1:
            raise ValueError(f"channels, cells and classes must be positive, got {channels}, {cells}, {classes}")
        self.space = space
        self.stem = ConvNorm(Conv(3, channels, 3))
        operations = nasbench201(affine, pool_conv)
        widths = [channels << stage for stage in range(3)]
        inputs = [[width for width in widths for _ in range(cells)]] * len(EDGES)
        options = [len(options) for options in space.site_options]
        priors = dependence.priors(options, EDGES) if dependence else None
        copies = dependence.copies(priors) if dependence and priors else [1] * len(EDGES)
        blocks: list[nn.Module] = []
        for stage, width in enumerate(widths):
            if stage:
                blocks.append(Reduction(width // 2, width))
            blocks.extend(Cell(space, operations, width, copies) for _ in range(cells))
        self.blocks, self.aside_channels = nn.ModuleList(blocks), widths[-1]
        self.auxiliary: AuxiliaryHead | None = None
        self.norm = BatchNorm(channels << 2)
        self.classifier = nn.Linear(channels << 2, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        # last, so that the other weights are those of a network without them
        self.contexts = dependence.module(priors, inputs) if dependence and priors else None

    def forward(self, x: Tensor, gates: AnyGates) -> Tensor:
        """Logits [B, classes] of images [B, 3, H, W], float, normalised; H and W divisible by four."""
        return self.features(Feature(x), gates).whole()

    @property
    def cell_sites(self) -> tuple[tuple[int, ...], ...]:
        """The sites that each cell obeys: all of them."""
        return (tuple(range(len(EDGES))),) * sum(isinstance(block, Cell) for block in self.blocks)

    def features(self, x: Feature, gates: AnyGates) -> Feature:
        """`forward` as steps of which architectures that begin alike may share the results."""
        cells = [block for block in self.blocks if isinstance(block, Cell)]
        each = of_cells(gates, len(EDGES), len(cells))
        adds = self.contexts is not None and self.contexts.adds
        live, told = dict[int, Sequence[int]](), dict[int, Told]()
        for one in each:  # mostly the same for all cells
            if id(one) not in live:
                live[id(one)] = cells[0].live(one, adds)
                told[id(one)] = [] if self.contexts is None else self.contexts(one, live[id(one)])
        x = x.through(self.stem, lambda stem, x: normalised_later(stem, x.whole()))
        number = 0
        for block in self.blocks:
            if isinstance(block, Cell):
                one = each[number]
                given = told[id(one)][number] if told[id(one)] else NOTHING
                x, number = block.lazy(x, one, given, live[id(one)]), number + 1
            else:
                if x.shift is None:
                    x.foresee(1, [None])
                x = x.through(block, Reduction.lazy)
                if self.auxiliary is not None and self.training and number == len(cells) - len(cells) // 3:
                    self.auxiliary(x.whole())  # behind the second reduction, as in DARTS's networks
            x = block_output(x)
        return x.through(self.norm, self._logits)

    def _logits(self, norm: BatchNorm, x: Feature) -> Feature:
        y = Feature(norm.later(x.whole()) if norm.training else norm(x.whole()))
        return Feature(self.classifier(y.rectified().mean((2, 3))))

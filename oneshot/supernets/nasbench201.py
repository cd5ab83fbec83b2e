"""The NAS-Bench-201 skeleton (arXiv 2001.00326): three stages of shared cells, two residual reductions between them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.gates import Gates
from oneshot.nn.choice import ChoiceBlock, Feature
from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Conv, Operations, ReluConvNorm, nasbench201
from oneshot.spaces.nasbench201 import EDGES, NasBench201


class Cell(nn.Module):
    """Four nodes, a choice block on each edge; what is not on a live path is absent, not computed as zeros."""

    def __init__(self, space: NasBench201, operations: Operations, channels: int) -> None:
        super().__init__()
        self.edges = nn.ModuleList(ChoiceBlock(d.options, operations, channels, channels) for d in space.decisions)

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        live = self._live(gates)
        nodes: dict[int, Feature] = {0: Feature(x)}
        for target in range(1, 4):
            total: Tensor | None = None
            for edge, (source, end) in enumerate(EDGES):
                if end == target and edge in live:
                    y = self.edges[edge](nodes[source], gates[edge])
                    total = y if total is None else total + y
            if total is not None:
                nodes[target] = Feature(total)
        return nodes[3].value if 3 in nodes else torch.zeros_like(x)

    def _live(self, gates: Gates) -> set[int]:
        """The edges that lie between the input and the output along edges that run."""
        runs = [edge for edge in range(len(EDGES)) if self.edges[edge].runs(gates[edge])]  # pyright: ignore
        reached, needed = {0}, {3}
        for edge in runs:  # sources come before targets in EDGES
            if EDGES[edge][0] in reached:
                reached.add(EDGES[edge][1])
        for edge in reversed(runs):
            if EDGES[edge][1] in needed:
                needed.add(EDGES[edge][0])
        return {edge for edge in runs if EDGES[edge][0] in reached and EDGES[edge][1] in needed}


class Reduction(nn.Module):
    """The residual block that halves the image and doubles the width."""

    def __init__(self, channels_in: int, channels_out: int) -> None:
        super().__init__()
        self.first = ReluConvNorm(channels_in, channels_out, 3, stride=2)
        self.second = ReluConvNorm(channels_out, channels_out, 3)
        self.shortcut = Conv(channels_in, channels_out, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.second(F.relu(self.first(F.relu(x))))
        return self.shortcut(F.avg_pool2d(x, 2)) + y


class NasBench201Net(nn.Module):
    """A supernet of a NAS-Bench-201 space, or of one architecture alone (`space.only(arch)`, `affine=True`).

    At C=16, two cells a stage and 10 classes it has 718,426 parameters; with `pool_conv` 782,938
    (arXiv 2104.11522, Table 3).
    """

    def __init__(
        self,
        space: NasBench201,
        channels: int = 16,
        cells: int = 2,
        classes: int = 10,
        affine: bool = False,
        pool_conv: bool = False,
    ) -> None:
        super().__init__()
        if min(channels, cells, classes) < 1:
            raise ValueError(f"channels, cells and classes must be positive, got {channels}, {cells}, {classes}")
        self.space = space
        self.stem = nn.Sequential(Conv(3, channels, 3), BatchNorm(channels))
        operations = nasbench201(affine, pool_conv)
        blocks: list[nn.Module] = []
        for stage in range(3):
            width = channels << stage
            if stage:
                blocks.append(Reduction(width // 2, width))
            blocks.extend(Cell(space, operations, width) for _ in range(cells))
        self.blocks = nn.ModuleList(blocks)
        self.norm = BatchNorm(channels << 2)
        self.classifier = nn.Linear(channels << 2, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        """Logits [B, classes] of images [B, 3, H, W], float, normalised; H and W divisible by four."""
        x = self.stem(x)
        for block in self.blocks:
            x = block(x, gates) if isinstance(block, Cell) else block(x)
        return self.classifier(F.relu(self.norm(x)).mean((2, 3)))

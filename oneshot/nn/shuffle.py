"""Shuffle blocks (ShuffleNetV2, arXiv 1807.11164; SPOS, arXiv 1904.00420) with Swish and squeeze-and-excitation."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn

from oneshot.nn.depthwise import Depthwise
from oneshot.nn.mobile import conv_norm
from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Operations
from oneshot.spaces.shufflenet import BLOCKS, Block, squeezed


class SqueezeExcite(nn.Module):
    """Each channel times a number in (0, 1) that depends on the means of all of them (arXiv 1709.01507)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        inner = squeezed(channels)
        self.weigh = nn.Sequential(nn.Linear(channels, inner), nn.ReLU(), nn.Linear(inner, channels), nn.Sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weigh(x.mean((2, 3)))[:, :, None, None]


class Shuffle(nn.Module):
    """Every second channel passes as it is, the others go through a branch; both follow each other in the output.

    At stride 2 all channels go through the branch and through a short one beside it.
    """

    def __init__(self, channels_in: int, channels_out: int, stride: int, block: Block) -> None:
        super().__init__()
        halves = stride == 1
        if channels_in != channels_out or channels_in % 2 if halves else channels_in >= channels_out:
            raise ValueError(
                f"a shuffle block keeps an even number of channels at stride 1 and makes more of them at stride 2, "
                f"got {channels_in} to {channels_out} at stride {stride}"
            )
        passed, inner, kernel = channels_in // 2 if halves else channels_in, channels_out // 2, block.kernel
        act = nn.SiLU if block.swish else nn.ReLU
        branch: list[nn.Module]
        if block.xception:
            branch = [depthwise_norm(passed, kernel, stride), conv_norm(passed, inner, 1), act()]
            branch += [depthwise_norm(inner, kernel), conv_norm(inner, inner, 1), act(), depthwise_norm(inner, kernel)]
        else:
            branch = [conv_norm(passed, inner, 1), act(), depthwise_norm(inner, kernel, stride)]
        made = channels_out - passed
        branch += [conv_norm(inner, made, 1), act()]
        self.branch = nn.Sequential(*branch, *([SqueezeExcite(made)] if block.squeeze else []))
        beside = (depthwise_norm(passed, kernel, stride), conv_norm(passed, passed, 1), act())
        self.beside = None if halves else nn.Sequential(*beside)

    def forward(self, x: Tensor) -> Tensor:
        if self.beside is None:
            return torch.cat((x[:, ::2], self.branch(x[:, 1::2])), 1)
        return torch.cat((self.beside(x), self.branch(x)), 1)


def depthwise_norm(channels: int, kernel: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(Depthwise(channels, kernel, stride), BatchNorm(channels))


@dataclass(frozen=True)
class Shuffles:
    """The four operations of the ShuffleNetV2 space."""

    def make(self) -> Operations:
        return shuffles()


def shuffles() -> Operations:
    """The four operations of the ShuffleNetV2 space."""
    return {name: partial(Shuffle, block=block) for name, block in BLOCKS.items()}

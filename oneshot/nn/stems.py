"""What a network of cells begins with: it gives both inputs of the first cell."""

from __future__ import annotations

from torch import Tensor, nn

from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Conv
from oneshot.spaces.cell_operations import STEM


class CifarStem(nn.Sequential):
    """A 3x3 convolution and BatchNorm, the same for both inputs."""

    halves = False
    """Whether the first input is twice as large as the second."""

    def __init__(self, width: int) -> None:
        super().__init__(Conv(3, STEM * width, 3), BatchNorm(STEM * width))
        self.channels = STEM * width

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self(x)
        return y, y


class ImageNetStem(nn.Module):
    """Three convolutions of stride 2; the first input of the first cell is what two of them give (DARTS's code)."""

    halves = True

    def __init__(self, width: int) -> None:
        super().__init__()
        self.channels, half = width, width // 2
        self.first = nn.Sequential(
            Conv(3, half, 3, 2), BatchNorm(half), nn.ReLU(), Conv(half, width, 3, 2), BatchNorm(width)
        )
        self.second = nn.Sequential(nn.ReLU(), Conv(width, width, 3, 2), BatchNorm(width))

    def both(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.first(x)
        return y, self.second(y)


KINDS = {"cifar": CifarStem, "imagenet": ImageNetStem}

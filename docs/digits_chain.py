"""A search space of one's own: a chain of three layers on small images, its operations and its network."""

from dataclasses import dataclass

from torch import nn

from oneshot import skeleton
from oneshot.nn.mobile import conv_norm, inverted_residuals
from oneshot.nn.operations import Skip
from oneshot.spaces.sequential import Layer, sequential
from oneshot.supernets.sequential import SequentialNet

space = sequential("digits-chain", options=("skip", "conv3", "k3e2", "k5e4"), layers=3)


def skip(channels_in, channels_out, stride):
    """The identity where the shape stays, a linear projection where it does not."""
    same = channels_in == channels_out and stride == 1
    return Skip() if same else conv_norm(channels_in, channels_out, 1, stride)


operations = {
    "skip": skip,
    "conv3": lambda c_in, c_out, stride: nn.Sequential(conv_norm(c_in, c_out, 3, stride), nn.ReLU()),
    **inverted_residuals(kernels=(3, 5), expansions=(2, 4)),  # k3e2, k5e2, k3e4, k5e4
}


@skeleton(space)
@dataclass(frozen=True)
class Chain:
    """A stem, three layers, a head.

    Args:
        width: channels of the first layer
    """

    width: int = 8

    def make(self, space, classes, alone=False):
        narrow, wide = self.width, 2 * self.width
        stem = nn.Sequential(conv_norm(3, narrow, 3), nn.ReLU())
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, classes))
        return SequentialNet(
            space, operations, (Layer(narrow, narrow), Layer(narrow, wide, 2), Layer(wide, wide)), stem, head
        )

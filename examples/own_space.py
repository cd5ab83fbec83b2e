"""A search space of one's own, a chain of layers on digits: trained as one supernet, then every architecture ranked.

python examples/own_space.py --epochs 10
"""

import argparse
from dataclasses import dataclass

from torch import nn

import oneshot
from oneshot.nn.mobile import conv_norm, inverted_residuals
from oneshot.nn.operations import Skip
from oneshot.spaces.sequential import Layer, sequential
from oneshot.supernets.sequential import SequentialNet

space = sequential("three-layers", options=("skip", "conv3", "k3e2", "k5e4"), layers=3)


def skip(channels_in, channels_out, stride):
    """The identity where the shape stays, a linear projection where it does not."""
    same = channels_in == channels_out and stride == 1
    return Skip() if same else conv_norm(channels_in, channels_out, 1, stride)


operations = {
    "skip": skip,
    "conv3": lambda c_in, c_out, stride: nn.Sequential(conv_norm(c_in, c_out, 3, stride), nn.ReLU()),
    **inverted_residuals(kernels=(3, 5), expansions=(2, 4)),
}


@oneshot.skeleton(space)
@dataclass(frozen=True)
class Chain:
    """A stem, three layers, a head; the supernet of the whole space, or the network of one architecture.

    Args:
        width: channels of the first layer
    """

    width: int = 8

    def make(self, space, classes, alone=False):
        narrow, wide = self.width, 2 * self.width
        layers = (Layer(narrow, narrow), Layer(narrow, wide, stride=2), Layer(wide, wide))
        stem = nn.Sequential(conv_norm(3, narrow, 3), nn.ReLU())
        head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(wide, classes))
        return SequentialNet(space, operations, layers, stem, head)


def main(epochs: int) -> None:
    config = oneshot.Config.of(space=space.name, width=8, sampler="fair", dataset="digits", split="half")
    recipe = oneshot.Recipe(epochs=epochs, batch_size=64, learning_rate=0.05, shift=1, flip=False)
    run = oneshot.fit(config, recipe)

    predictions = oneshot.predict(run, list(space), norm="reset-cumulative-4")
    ranked = sorted(zip(predictions.accuracy, predictions.archs, strict=True), reverse=True)
    print(f"{len(ranked)} architectures; the best and the worst by predicted accuracy:")
    for accuracy, arch in [*ranked[:3], *ranked[-3:]]:
        print(f"{accuracy:6.2f} %  {space.cost(arch, image_size=8).params:7,} parameters  {space.format(arch)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)

"""An ordinary network with `Choice` modules is a search space: trained on digits, then searched for its front.

    python examples/own_network.py --epochs 10

What is found is as accurate as any that has as few parameters, by the supernet's own predictions.
"""

import argparse

from torch import nn

import oneshot


def convolution(channels, kernel, groups=1):
    layer = nn.Conv2d(channels, channels, kernel, padding=kernel // 2, groups=groups)
    return nn.Sequential(layer, nn.BatchNorm2d(channels), nn.ReLU())


def network(classes):
    """Four layers, each left out, or a convolution of its choice; choices of one name would be one decision."""
    layers = [
        oneshot.Choice(
            f"layer{i}",
            {
                "none": nn.Identity(),
                "depthwise": convolution(12, 3, groups=12),
                "k1": convolution(12, 1),
                "k3": convolution(12, 3),
                "k5": convolution(12, 5),
            },
        )
        for i in range(4)
    ]
    stem = nn.Sequential(nn.Conv2d(3, 12, 3, padding=1), nn.BatchNorm2d(12), nn.ReLU())
    return nn.Sequential(stem, *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, classes))


def main(epochs: int) -> None:
    space = oneshot.register_network("four-layers", network, image_size=8)
    config = oneshot.Config.of(space=space.name, dataset="digits", split="half")
    recipe = oneshot.Recipe(epochs=epochs, batch_size=64, learning_rate=0.05, shift=1, flip=False)
    run = oneshot.fit(config, recipe)

    algorithm = oneshot.Nsga2(population=12, generations=4)
    task = oneshot.run_search(run, algorithm, objectives=["params"], norm="reset-cumulative-4")
    print(f"{task.evaluations} of {space.size} architectures evaluated; the front of accuracy against parameters:")
    for found in task.front():
        print(f"{found.predicted:6.2f} %  {found.costs[0]:7,.0f} parameters  {space.format(found.arch)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=10)
    main(parser.parse_args().epochs)

"""One training step, and what a method asked of it."""

from __future__ import annotations

from torch import Tensor, nn

from oneshot.gates import AnyGates
from oneshot.methods.base import Method
from oneshot.training.recipe import Recipe
from oneshot.training.step import Step
from oneshot.training.weights import Weights

Batch = tuple[Tensor, Tensor]
PLAIN = Recipe(epochs=2, batch_size=4, precision="float32", shift=0, flip=False)


class Watched(nn.Module):
    """A network that remembers the images that it saw, and the gates that they went through."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net
        self.seen: list[tuple[Tensor, AnyGates]] = []

    def forward(self, images: Tensor, gates: AnyGates) -> Tensor:
        self.seen.append((images, gates))
        return self.net(images, gates)


def prepared(
    net: nn.Module,
    method: Method,
    images: Batch,
    held_out: Batch,
    recipe: Recipe = PLAIN,
    numbers: tuple[int, int, int] = (0, 0, 0),
    progress: float = 0.0,
) -> Step:
    """A step that a method may take; `finish` moves what it learned."""
    targets = list(method.targets().values())
    return Step(Weights(net, recipe), targets, images, lambda: held_out, numbers, progress)

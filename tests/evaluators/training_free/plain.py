"""A small network with every kind of layer, and the same one written out in plain operations."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from oneshot.evaluators.training_free.subject import Batch, Subject
from torch import Tensor, nn

from oneshot.gates import Gates
from oneshot.nn.blocks import block_output

CLASSES, SIDE = 4, 8


class Small(nn.Module):
    """A stem, a block that halves and widens the image, a residual block, a classifier; `dead` blocks give zeros."""

    def __init__(self, dead: bool = False, activation: type[nn.Module] = nn.ReLU) -> None:
        super().__init__()
        self.dead = dead
        self.stem, self.norm = nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4)
        self.halve, self.norm2 = nn.Conv2d(4, 6, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(6)
        self.keep, self.norm3 = nn.Conv2d(6, 6, 1, bias=False), nn.BatchNorm2d(6)
        self.unused = nn.Conv2d(6, 6, 3)
        self.act = activation()
        self.classifier = nn.Linear(6, CLASSES)

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        x = block_output(self.norm(self.stem(x)))
        x = block_output(self.norm2(self.halve(self.act(x))))
        x = block_output(x * 0 if self.dead else x + self.norm3(self.keep(self.act(x))))
        return self.classifier(self.act(x).mean((2, 3)))


@dataclass
class Written:
    """`Small` as a formula of tensors, in float64."""

    weights: dict[str, Tensor]
    training: bool = True
    normalises: bool = True
    relus: list[Tensor] = field(default_factory=list)
    blocks: list[Tensor] = field(default_factory=list)

    @classmethod
    def of(cls, net: nn.Module, training: bool = True, normalises: bool = True) -> Written:
        taken = {name: p.detach().double().clone().requires_grad_() for name, p in net.named_parameters()}
        return cls(taken, training, normalises)

    def __call__(self, x: Tensor) -> Tensor:
        w = self.weights
        self.relus, self.blocks = [], []
        x = self._left(self._norm(F.conv2d(x, w["stem.weight"], padding=1)))
        x = self._left(self._norm(F.conv2d(self._relu(x), w["halve.weight"], stride=2, padding=1)))
        x = self._left(x + self._norm(F.conv2d(self._relu(x), w["keep.weight"])))
        return self._relu(x).mean((2, 3)) @ w["classifier.weight"].T + w["classifier.bias"]

    def _norm(self, x: Tensor) -> Tensor:
        if not self.normalises:
            return x
        if not self.training:
            return x / (1 + 1e-5) ** 0.5
        mean = x.mean((0, 2, 3), keepdim=True)
        return (x - mean) / ((x - mean).square().mean((0, 2, 3), keepdim=True) + 1e-5).sqrt()

    def _relu(self, x: Tensor) -> Tensor:
        self.relus.append(x.clamp(min=0))
        return self.relus[-1]

    def _left(self, x: Tensor) -> Tensor:
        self.blocks.append(x)
        return x


def small(seed: int = 0, dead: bool = False, activation: type[nn.Module] = nn.ReLU) -> Subject:
    """Six images and the network."""
    torch.manual_seed(seed)
    net, images = Small(dead, activation).train(), 6
    batch = Batch(torch.randn(images, 3, SIDE, SIDE), torch.randint(CLASSES, (images,)), CLASSES, {})
    return Subject(net, (), batch, seed, 1.5)

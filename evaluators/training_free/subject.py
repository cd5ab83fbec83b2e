"""What a score looks at: small stand-alone networks, freshly initialised, and a batch of images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from oneshot.data.load import load
from oneshot.gates import Gates
from oneshot.nn.cpu import without_loops
from oneshot.registry import skeleton_of
from oneshot.runs.config import Chosen, Config
from oneshot.runs.network import network
from oneshot.space import Arch, Space

NOISE = "noise"
"""In place of a data set: Gaussian images with labels drawn uniformly, of CLASSES classes."""
CLASSES, SIDE = 10, 32
SMALL = {"channels": 16, "cells": 1}
"""The networks' sizes where nothing else is said and the space has them."""


def small(space: str) -> dict[str, int]:
    """Of SMALL what the space's networks have."""
    known = {f.name for f in fields(skeleton_of(space))}
    return {name: value for name, value in SMALL.items() if name in known}


class Unreadable(ValueError):
    """A network that a score cannot read."""


@dataclass(frozen=True)
class Batch:
    """Images [B, 3, H, W], normalised, their labels [B], the number of classes, and what a protocol says of them."""

    images: Tensor
    labels: Tensor
    classes: int
    facts: Mapping[str, Any]


@dataclass(frozen=True)
class Subject:
    """One architecture's network, its gates, what it is shown, and what it costs (millions of multiply-adds)."""

    net: nn.Module
    gates: Gates
    batch: Batch
    seed: int
    mflops: float

    def logits(self, images: Tensor | None = None) -> Tensor:
        """[B, classes] of the batch or of other images."""
        return self.net(self.batch.images if images is None else images, self.gates)

    def generator(self) -> torch.Generator:
        """For what a score draws beside weights and images; the same every time."""
        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True)
class Networks:
    """The stand-alone networks of a space, of a size, and the images that they are shown; picklable.

    `dataset` is one of `oneshot.data`, whose training images are drawn from, or noise; `image_size` 0 is its own, or
    what the space's networks are made for.
    """

    space_name: str
    given: Mapping[str, Any]
    dataset: str = NOISE
    image_size: int = 0
    data_dir: str | None = None
    device: str = "cpu"

    @property
    def space(self) -> Space:
        return self.config.search_space

    @cached_property
    def config(self) -> Config:
        sizes = {**small(self.space_name), **self.given}
        return Config(space=Chosen(self.space_name, sizes, "space").reduced())

    def on(self, dataset: str) -> Networks:
        return replace(self, dataset=dataset)

    def batch(self, images: int, seed: int) -> Batch:
        return _batch(self.dataset, self.side, self.data_dir, self.device, images, seed)

    @property
    def side(self) -> int:
        """Of the images; 0 for the data set's own."""
        own = getattr(skeleton_of(self.space_name), "sizes", {}).get("image_size", SIDE)
        return self.image_size or (own if self.dataset == NOISE else 0)

    def subject(self, arch: Arch, batch: Batch, seed: int, fan_in: bool = False) -> Subject:
        """The network of an architecture with the weights of a seed, which no other draw moves, while training.

        They are the network's own, or drawn anew by Kaiming's normal rule (`fan_in`).
        """
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = network(self.config, batch.classes, arch)
            if fan_in:
                _draw_anew(net)
        net = net.to(self.device, memory_format=torch.channels_last).train()  # pyright: ignore[reportCallIssue]
        alone = self.space.only(arch)
        gates = alone.gates((0,) * len(alone.decisions))
        size = {**self.space.sizes(self.config.space.settings), "classes": batch.classes}
        cost = self.space.cost(arch, **size, image_size=batch.images.shape[-1])
        return Subject(net, gates, batch, seed, cost.mflops)


def _draw_anew(net: nn.Module) -> None:
    """Kaiming's normal rule by fan in for convolutions and linear maps, whose biases are zero."""
    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)


@lru_cache(maxsize=8)
def _batch(dataset: str, side: int, data_dir: str | None, device: str, count: int, seed: int) -> Batch:
    if dataset == NOISE:
        draws = torch.Generator().manual_seed(seed)
        images = torch.randn(count, 3, side, side, generator=draws).to(device, memory_format=torch.channels_last)
        labels = torch.randint(CLASSES, (count,), generator=draws).to(device)
        return Batch(images, labels, CLASSES, {"dataset": NOISE, "image_size": side})
    whole = load(dataset, data_dir, side or None, device)
    train, _ = whole.split("auto", "image")
    if len(train) < count:
        raise ValueError(f"{dataset} has {len(train)} training images, {count} were asked for")
    chosen = np.random.default_rng(seed).choice(len(train), count, replace=False)
    images, labels = next(train.subset(torch.from_numpy(chosen)).batches(count))
    facts = {"dataset": dataset, "image_size": images.shape[-1], **whole.fingerprint("auto", "image").summary()}
    return Batch(images, labels, whole.classes, facts)


def plain_forward(subject: Subject, images: Tensor | None = None) -> Tensor:
    """Logits by PyTorch's own operations alone, for whoever watches them."""
    with without_loops():
        return subject.logits(images)

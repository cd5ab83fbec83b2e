"""What every network skeleton keeps."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from oneshot.cost import SIZES
from oneshot.gates import Gates
from oneshot.nn.choice import ChoiceBlock
from oneshot.nn.counting import counted
from oneshot.registry import SPACES, skeleton_of
from oneshot.samplers.uniform import Uniform
from oneshot.space import Arch, Space

SIZE, CLASSES = 16, 7


def some(space: Space) -> list[Arch]:
    return [space.canonical(arch) for arch in Uniform(space).draw(3, np.random.default_rng(0))]


def small(name: str, **sizes: int) -> Any:
    """A small network's settings."""
    kind = skeleton_of(name)
    known = {f.name for f in fields(kind)}
    return kind(**{key: value for key, value in sizes.items() if key in known})


class SkeletonContract:
    """Of the network that the space called `name` is registered with; `size` is that of its images."""

    size = SIZE

    def supernet(self, name: str) -> nn.Module:
        return small(name, channels=8, cells=1).make(SPACES[name], CLASSES)

    def images(self, n: int = 4) -> torch.Tensor:
        return torch.randn(n, 3, self.size, self.size)

    def test_logits_of_images(self, name: str) -> None:
        net, x = self.supernet(name), self.images()
        for arch in some(SPACES[name]):
            y = net(x, SPACES[name].gates(arch))
            assert y.shape == (4, CLASSES)
            assert y.isfinite().all()

    def test_a_weight_of_one_is_no_weight(self, name: str) -> None:
        net, x, space = self.supernet(name), self.images(), SPACES[name]
        gates = space.gates(some(space)[0])
        weighted: Gates = tuple(tuple((option, torch.tensor(1.0)) for option, _ in gate) for gate in gates)
        assert torch.allclose(net(x, weighted), net(x, gates), atol=1e-5)

    def test_other_numbers_of_gates_are_refused(self, name: str) -> None:
        net, gates = self.supernet(name), SPACES[name].gates(some(SPACES[name])[0])
        for wrong in (gates[:-1], gates * 3):
            with pytest.raises(ValueError, match=r"expected \d+ gates"):
                net(self.images(), wrong)

    def test_a_block_computes_and_trains_one_option_alone(self, name: str) -> None:
        net, space = self.supernet(name), SPACES[name]
        ran: list[nn.Module] = []
        blocks = [list(module.options) for module in net.modules() if isinstance(module, ChoiceBlock)]
        for option in (option for options in blocks for option in options):
            option.register_forward_hook(lambda module, inputs, output: ran.append(module))
        arch = some(space)[0]
        net(self.images(), space.gates(arch)).sum().backward()
        most = max(len(gate) for gate in space.gates(arch))
        assert len(ran) == len(set(ran))
        for options in blocks:
            assert sum(option in ran for option in options) <= most
            for option in options:
                tried = [p.grad is not None for p in option.parameters()]
                assert all(tried) if option in ran else not any(tried)

    def test_its_settings_say_what_its_networks_cost(self, name: str) -> None:
        space, kind = SPACES[name], skeleton_of(name)
        arch, settings = some(space)[0], kind()
        said, alone = space.cost(arch, **space.sizes(settings), classes=CLASSES), space.only(arch)
        if type(space).cost is Space.cost:  # counted on the network
            net, side = settings.make(alone, CLASSES, True), getattr(kind, "sizes", {}).get("image_size", 32)
            assert said.params == counted(net, alone.gates((0,) * len(alone.decisions)), side).params
        assert said.params > 0

    def test_a_stand_alone_network_costs_what_the_space_says(self, name: str) -> None:
        space, sizes = SPACES[name], {"channels": 8, "cells": 1, "classes": CLASSES, "image_size": self.size}
        assert set(sizes) == set(SIZES)
        for arch in some(space):
            alone = space.only(arch)
            net = small(name, **sizes).make(alone, CLASSES, True)
            got = counted(net, alone.gates((0,) * len(alone.decisions)), self.size)
            said = space.cost(arch, **sizes)
            assert got.params == said.params <= sum(p.numel() for p in net.parameters())
            assert got.mflops == pytest.approx(said.mflops, rel=1e-12)

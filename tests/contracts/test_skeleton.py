"""What every network skeleton keeps, for each space of the catalogue."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from oneshot.cost import counted
from oneshot.gates import Gates, fixed
from oneshot.nn.choice import ChoiceBlock
from oneshot.runs.config import Config
from oneshot.runs.run import network
from oneshot.samplers.uniform import Uniform
from oneshot.search.costs import formula
from oneshot.space import Arch, Space
from oneshot.spaces import SPACES

CONFIG, SIZE, CLASSES = Config(channels=8, cells=1), 16, 7


def some(space: Space) -> list[Arch]:
    return [space.canonical(arch) for arch in Uniform(space).draw(3, np.random.default_rng(0))]


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
class TestSkeleton:
    def test_logits_of_images(self, space: Space) -> None:
        net, x = network(space, CONFIG, CLASSES), torch.randn(4, 3, SIZE, SIZE)
        for arch in some(space):
            y = net(x, fixed(space, arch))
            assert y.shape == (4, CLASSES)
            assert y.isfinite().all()

    def test_a_weight_of_one_is_no_weight(self, space: Space) -> None:
        net, x = network(space, CONFIG, CLASSES), torch.randn(4, 3, SIZE, SIZE)
        arch = some(space)[0]
        weighted: Gates = tuple(((option, torch.tensor(1.0)),) for ((option, _),) in fixed(space, arch))
        assert torch.allclose(net(x, weighted), net(x, fixed(space, arch)), atol=1e-5)

    def test_a_block_computes_and_trains_one_option_alone(self, space: Space) -> None:
        net = network(space, CONFIG, CLASSES)
        ran: list[nn.Module] = []
        blocks = [list(module.options) for module in net.modules() if isinstance(module, ChoiceBlock)]
        for option in (option for options in blocks for option in options):
            option.register_forward_hook(lambda module, inputs, output: ran.append(module))
        net(torch.randn(4, 3, SIZE, SIZE), fixed(space, some(space)[0])).sum().backward()
        assert len(ran) == len(set(ran)) > 0
        for options in blocks:
            assert sum(option in ran for option in options) <= 1
            for option in options:
                tried = [p.grad is not None for p in option.parameters()]
                assert all(tried) if option in ran else not any(tried)

    def test_a_stand_alone_network_costs_the_formula(self, space: Space) -> None:
        sizes = {"channels": CONFIG.channels, "cells": CONFIG.cells, "classes": CLASSES, "image_size": SIZE}
        cost = formula(space, **sizes)
        assert cost is not None
        for arch in some(space):
            alone = space.only(arch)
            net = network(alone, CONFIG, CLASSES, affine=True)
            got = counted(net, fixed(alone, (0,) * len(space.decisions)), SIZE)
            assert got.params == cost(arch).params == sum(p.numel() for p in net.parameters())
            assert got.mflops == pytest.approx(cost(arch).mflops, rel=1e-12)

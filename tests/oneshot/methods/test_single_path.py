"""Single-path training: one loss for each path that the sampler draws."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from oneshot.gates import Gates, fixed
from oneshot.methods.base import Batch
from oneshot.methods.single_path import SinglePath
from oneshot.samplers.fair import StrictlyFair
from oneshot.samplers.uniform import Uniform
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import NO_ZERO


class Asked(nn.Module):
    """Remembers the gates; its logits are one number for each path so far."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[Gates] = []

    def forward(self, images: Tensor, gates: Gates) -> Tensor:
        self.gates.append(gates)
        return images.new_full((len(images), 2), float(len(self.gates)))


def batch(seed: int) -> Batch:
    images, labels = torch.zeros(3, 3, 2, 2), torch.zeros(3, dtype=torch.long)
    return Batch(images, labels, lambda: (images, labels), np.random.default_rng(seed), lambda y, _: y.mean())


def drawn(archs: Sequence[Arch]) -> list[Gates]:
    return [fixed(NO_ZERO, arch) for arch in archs]


def test_each_path_of_the_group_has_a_loss_of_its_own() -> None:
    for sampler in (Uniform(NO_ZERO), StrictlyFair(NO_ZERO)):
        net, method = Asked(), SinglePath(NO_ZERO, sampler)
        losses = [float(loss) for loss in method.losses(net, batch(5), 0.0)]
        assert losses == [float(n + 1) for n in range(sampler.group)]
        assert net.gates == drawn(sampler.draw(sampler.group, np.random.default_rng(5)))


def test_a_path_runs_only_when_its_loss_is_asked_for() -> None:
    net, method = Asked(), SinglePath(NO_ZERO, StrictlyFair(NO_ZERO))
    losses = method.losses(net, batch(0), 0.0)
    assert not net.gates
    next(losses)
    assert len(net.gates) == 1


def test_it_learns_nothing_beside_the_weights() -> None:
    method = SinglePath(NO_ZERO, Uniform(NO_ZERO))
    assert not method.arch_parameters()
    assert method.derive() is None

"""Single-path training: one loss for each path that the sampler draws."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from oneshot.gates import Gates, fixed
from oneshot.methods.single_path import SinglePath
from oneshot.samplers.base import Sampler
from oneshot.samplers.fair import StrictlyFair
from oneshot.samplers.uniform import Uniform
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import NO_ZERO
from oneshot.training.step import Step
from tests.oneshot.methods.stepping import prepared


class Asked(nn.Module):
    """Remembers the gates, and which of its passes were learned from before it was asked for the next."""

    def __init__(self) -> None:
        super().__init__()
        self.gates: list[Gates] = []
        self.learned: list[int] = []
        self.scale = nn.Parameter(torch.ones(()))
        self.scale.register_hook(lambda grad: self.learned.append(len(self.gates)))

    def forward(self, images: Tensor, gates: Gates) -> Tensor:
        self.gates.append(gates)
        return self.scale * torch.tensor([float(len(self.gates)), 0.0]).expand(len(images), 2)


def step(net: nn.Module, method: SinglePath, seed: int = 0) -> Step:
    batch = torch.zeros(3, 3, 2, 2), torch.zeros(3, dtype=torch.long)
    return prepared(net, method, batch, batch, numbers=(seed, 0, 0))


def drawn(archs: Sequence[Arch]) -> list[Gates]:
    return [fixed(NO_ZERO, arch) for arch in archs]


SAMPLERS = pytest.mark.parametrize("sampler", [Uniform(NO_ZERO), StrictlyFair(NO_ZERO)], ids=["uniform", "fair"])


@SAMPLERS
def test_each_path_of_the_group_has_a_loss_of_its_own(sampler: Sampler) -> None:
    net, method = Asked(), SinglePath(NO_ZERO, sampler)
    taken = step(net, method, seed=5)
    method.step(taken)
    expected = [float(torch.tensor(-float(n + 1)).exp().log1p()) for n in range(sampler.group)]
    assert [float(loss) for loss in taken.losses["loss"]] == pytest.approx(expected, rel=1e-4)
    assert net.gates == drawn(sampler.draw(sampler.group, step(net, method, seed=5).rng))


@SAMPLERS
def test_a_path_runs_only_when_the_one_before_was_learned_from(sampler: Sampler) -> None:
    """So that one graph at a time is in memory."""
    net, method = Asked(), SinglePath(NO_ZERO, sampler)
    method.step(step(net, method))
    assert net.learned == list(range(1, sampler.group + 1))


def test_a_step_draws_by_its_own_numbers() -> None:
    gates = []
    for numbers in ((0, 0, 0), (0, 0, 1), (0, 1, 0), (1, 0, 0), (0, 0, 0)):
        net, method = Asked(), SinglePath(NO_ZERO, StrictlyFair(NO_ZERO))
        batch = torch.zeros(3, 3, 2, 2), torch.zeros(3, dtype=torch.long)
        method.step(prepared(net, method, batch, batch, numbers=numbers))
        gates.append(net.gates)
    assert gates[0] == gates[-1]
    assert all(one != other for i, one in enumerate(gates[:4]) for other in gates[:i])


def test_it_learns_nothing_beside_the_weights() -> None:
    method = SinglePath(NO_ZERO, Uniform(NO_ZERO))
    assert not method.targets()
    assert not [*method.parameters(), *method.buffers()]
    assert method.derive() is None
    assert method.facts() == {}

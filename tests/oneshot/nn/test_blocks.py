"""What networks tell of their blocks."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oneshot.nn.blocks import block_outputs
from oneshot.registry import SPACES
from oneshot.samplers.uniform import Uniform
from oneshot.testing.skeletons import small, some

COUNTS = {"nasbench201": 5, "nasbench101": 3, "darts": 5, "fairnas": 19, "shufflenet": 20}


@pytest.mark.parametrize("name", list(COUNTS))
def test_networks_tell_what_leaves_each_block_and_compute_the_same(name: str) -> None:
    space = SPACES[name]
    arch = some(space)[0]
    net, x = small(name, channels=8, cells=1).make(space, 4).eval(), torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        unwatched = net(x, space.gates(arch))
        with block_outputs() as found:
            watched = net(x, space.gates(arch))
        with block_outputs() as again:
            pass
    assert len(found) == COUNTS[name]
    assert again == []
    assert torch.allclose(watched, unwatched, atol=1e-5)
    assert all(y.dim() == 4 and len(y) == 2 for y in found)


def test_what_follows_uses_what_is_told() -> None:
    space = SPACES["nasbench201"]
    arch = next(
        arch
        for arch in Uniform(space).draw(50, np.random.default_rng(0))
        if 3 in arch and space.bucket(arch) is not None
    )
    net = small("nasbench201", channels=4, cells=1).make(space, 4).train()
    x = torch.randn(4, 3, 8, 8, requires_grad=True)
    with block_outputs() as found:
        logits = net(x, space.gates(arch))
    grads = torch.autograd.grad(logits.sum(), found, allow_unused=True)
    assert all(g is not None for g in grads)

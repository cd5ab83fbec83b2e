"""BatchNorm against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oneshot.nn.norm import BatchNorm

pytestmark = pytest.mark.usefixtures("_one_thread_and_two")


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(("channels", "batch", "size"), [(5, 3, 7), (8, 4, 6), (16, 2, 4), (200, 2, 3), (3, 1, 5)])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_equals_the_parent_class(affine: bool, channels: int, batch: int, size: int, momentum: float | None) -> None:
    ours = BatchNorm(channels, affine=affine, momentum=momentum)
    theirs = nn.BatchNorm2d(channels, affine=affine, momentum=momentum)
    if affine:
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            with torch.no_grad():
                q.copy_(p.normal_())
    x = torch.empty(0)
    for _ in range(3):
        x = torch.randn(batch, channels, size, size) * 3 + 20
        x = x.contiguous(memory_format=torch.channels_last)
        mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        y, z = ours(mine), theirs(other)
        grad = torch.randn_like(y)
        y.backward(grad)
        z.backward(grad)
        assert torch.allclose(y, z, atol=2e-5)
        assert mine.grad is not None
        assert other.grad is not None
        assert torch.allclose(mine.grad, other.grad, atol=1e-5)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.grad is not None
        assert q.grad is not None
        assert torch.allclose(p.grad, q.grad, rtol=1e-4, atol=1e-4)
    for p, q in zip(ours.buffers(), theirs.buffers(), strict=True):
        assert torch.allclose(p, q, rtol=1e-5)
    ours.eval()
    theirs.eval()
    assert torch.equal(ours(x), theirs(x)) or torch.allclose(ours(x), theirs(x), atol=1e-4)


def test_gradient_is_the_numerical_one() -> None:
    x = torch.randn(3, 2, 2, 2).contiguous(memory_format=torch.channels_last).requires_grad_()
    norm, weights = BatchNorm(2), torch.randn(3, 2, 2, 2)
    (norm(x) * weights).sum().backward()
    step = 1e-2
    for index in [(0, 0, 0, 0), (2, 1, 1, 0), (1, 0, 1, 1)]:
        ends = []
        for sign in (1, -1):
            moved = x.detach().clone(memory_format=torch.channels_last)
            moved[index] += sign * step
            ends.append(float((norm(moved) * weights).sum().detach()))
        assert x.grad is not None
        assert float(x.grad[index]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-2)


def test_zeros_stay_zero() -> None:
    x = torch.zeros(2, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    assert not BatchNorm(4, affine=False)(x).any()

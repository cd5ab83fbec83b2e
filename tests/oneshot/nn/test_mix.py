"""Weighted sums of the same images for several readers."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from oneshot.nn.mix import mixed


@pytest.mark.parametrize("is_last", [True, False])
def test_sums_and_gradients_are_those_written_out(is_last: bool) -> None:
    torch.manual_seed(0)
    memory = torch.channels_last if is_last else torch.contiguous_format
    images = [torch.randn(3, 5, 4, 6, dtype=torch.float64).contiguous(memory_format=memory) for _ in range(4)]
    images = [x.requires_grad_() for x in images]
    learned = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    rows = [[*learned[0]], [learned[1, 0], 0.0, learned[1, 2], 1.0], [0.0, *learned[2, 1:]]]

    def gradients(sums: list[Tensor]) -> tuple[Tensor, ...]:
        loss = torch.stack([(k + 1) * y.square().sum() for k, y in enumerate(sums)]).sum()
        return torch.autograd.grad(loss, (*images, learned))

    found = mixed(images, rows)
    expected = [torch.stack([w * x for w, x in zip(row, images, strict=True)]).sum(0) for row in rows]
    for got, wanted in zip((*found, *gradients(found)), (*expected, *gradients(expected)), strict=True):
        torch.testing.assert_close(got, wanted)
    assert all(y.is_contiguous(memory_format=memory) for y in found)


def test_a_weight_of_zero_adds_nothing() -> None:
    one, other = torch.randn(2, 3, 4, 4), torch.randn(2, 3, 4, 4)
    first, second = mixed([one, other], [[1.0, 0.0], [0.0, torch.tensor(1.0)]])
    assert torch.equal(first, one)
    assert torch.equal(second, other)

"""Sums of what BatchNorm has still to do, and their ReLUs, against PyTorch layer by layer; gradients too."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.nn import sums
from oneshot.nn.cpu import RELU, RELU6, Term
from oneshot.nn.norm import BatchNorm
from oneshot.nn.sums import Wanted, make


def images(*shape: int, last: bool = True) -> Tensor:
    x = torch.randn(*shape) * 2 + 1
    return x.contiguous(memory_format=torch.channels_last) if last else x


@pytest.mark.parametrize("shape", [(3, 5, 7, 7), (4, 16, 8, 8), (2, 300, 3, 3), (16, 16, 16, 20)], ids=str)
@pytest.mark.parametrize("last", [True, False])
def test_everything_at_once(shape: tuple[int, ...], last: bool) -> None:
    """A normalised term with weights, one without, a plain one; the value, ReLUs with and without a vector, twice."""
    torch.manual_seed(0)
    values, vectors = [images(*shape, last=last) for _ in range(3)], [torch.randn(shape[1]) for _ in range(3)]
    factors = [torch.randn(shape) for _ in range(5)]
    found = []
    for ours in (True, False):
        a, b, c = (v.clone().requires_grad_() for v in values)
        weight, bias, shift = (v.clone().requires_grad_() for v in vectors)
        if ours:
            affine, bare = BatchNorm(shape[1]), BatchNorm(shape[1], affine=False)
            affine.weight, affine.bias = torch.nn.Parameter(weight.detach()), torch.nn.Parameter(bias.detach())
            weight, bias = affine.weight, affine.bias
            wanted = [Wanted(), Wanted(None, RELU), Wanted(shift, RELU), Wanted(None, RELU), Wanted(None, RELU6)]
            ys = make([affine.later(a), bare.later(b), Term(c)], wanted)
        else:
            total = F.batch_norm(a, None, None, weight, bias, training=True)
            total = total + F.batch_norm(b, None, None, training=True) + c
            ys = [total, F.relu(total), F.relu(total + shift.view(1, -1, 1, 1)), F.relu(total), F.relu6(total)]
        sum((y * factor).sum() for y, factor in zip(ys, factors, strict=True)).backward()  # pyright: ignore
        found.append([*(y.detach() for y in ys), *(x.grad for x in (a, b, c, weight, bias, shift))])
    for mine, other in zip(*found, strict=True):
        assert mine is not None
        assert other is not None
        # a ReLU of nearly zero may be rounded to either side, which sums over pixels see too
        apart = ~torch.isclose(
            mine, other, rtol=1e-4, atol=(1e-4 if mine.dim() > 1 else 2e-3) * float(other.abs().max())
        )
        assert apart.sum() <= 3e-6 * apart.numel()


def test_what_is_wanted_twice_shares_memory_and_adds_gradients() -> None:
    x, y = images(2, 4, 3, 3).requires_grad_(), images(2, 4, 3, 3).requires_grad_()
    first, second = make([Term(x), Term(y)], [Wanted(None, RELU)] * 2)
    assert first is not second
    assert first.data_ptr() == second.data_ptr()
    (3 * first + 4 * second).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, 7.0 * (first > 0))


def test_one_plain_term_is_its_own_value() -> None:
    x = images(2, 4, 3, 3).requires_grad_()
    (value,) = make([Term(x)], [Wanted()])
    assert value.data_ptr() == x.data_ptr()
    (2 * value).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, torch.full_like(x, 2))


@pytest.mark.parametrize("used", [[0], [1], [0, 1], []])
def test_what_is_not_used_takes_no_part_in_the_gradient(used: list[int]) -> None:
    x = images(2, 4, 3, 3).requires_grad_()
    shifts = [torch.randn(4, requires_grad=True) for _ in range(2)]
    norm = BatchNorm(4)
    ys = make([norm.later(x)], [Wanted(b, RELU) for b in shifts])
    sum((ys[i].square().sum() for i in used), 0 * x.sum()).backward()
    for i, b in enumerate(shifts):
        assert (b.grad is not None and bool(b.grad.any())) == (i in used)


@pytest.mark.parametrize("shape", [(4, 3, 3), (16, 8, 8), (300, 2, 2)], ids=str)
def test_terms_of_one_image_and_of_many(shape: tuple[int, ...]) -> None:
    """Whether or not the image is a whole number of rows."""
    values, norm, factor = [images(1, *shape), images(6, *shape)], BatchNorm(shape[0]), torch.randn(6, *shape)
    found = []
    for ours in (True, False):
        one, many = (v.clone().requires_grad_() for v in values)
        if ours:
            value, relu = make([Term(one), norm.later(many)], [Wanted(), Wanted(None, RELU)])
        else:
            value = one + F.batch_norm(many, None, None, training=True)
            relu = F.relu(value)
        ((value + 2 * relu) * factor).sum().backward()
        found.append([value.detach(), relu.detach(), one.grad, many.grad])
    for mine, other in zip(*found, strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)


def test_gradients_of_gradients_are_refused() -> None:
    x = images(2, 4, 3, 3).requires_grad_()
    (y,) = make([Term(x), Term(x)], [Wanted(None, RELU)])
    with pytest.raises(RuntimeError, match="without_loops"):
        torch.autograd.grad(y.square().sum(), x, create_graph=True)


def test_gradients_go_through_the_plain_way_without_the_loops(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sums, "is_rows", lambda x: False)
    x = images(2, 4, 3, 3).requires_grad_()
    y, z = make([Term(x)], [Wanted(None, RELU), Wanted(torch.ones(4), RELU6)])
    (y + z).sum().backward()
    assert x.grad is not None
    assert torch.equal(x.grad, (x > 0).float() + ((x > -1) & (x < 5)).float())

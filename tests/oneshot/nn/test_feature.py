"""Lazy sums, and vectors that wait to be added, against the plain way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.nn.choice import ChoiceBlock
from oneshot.nn.context import Given
from oneshot.nn.feature import Feature, repeated
from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import ReluConvNorm, nasbench201
from oneshot.nn.shifted import shifted_relus


def images(*shape: int, last: bool = True) -> Tensor:
    x = torch.randn(*shape)
    return x.contiguous(memory_format=torch.channels_last) if last else x


def plain(terms: list[Tensor], shifts: list[Tensor | None]) -> list[Tensor]:
    return [F.relu(sum(terms) if b is None else sum(terms) + b.view(1, -1, 1, 1)) for b in shifts]  # pyright: ignore


@pytest.mark.parametrize("shape", [(3, 5, 7, 7), (4, 16, 8, 8), (2, 300, 3, 3), (64, 16, 32, 32)], ids=str)
@pytest.mark.parametrize("last", [True, False])
def test_rectified_sums_and_their_gradients(shape: tuple[int, ...], last: bool) -> None:
    values, vectors = [images(*shape, last=last) for _ in range(3)], [torch.randn(shape[1]) for _ in range(2)]
    kernels = [torch.randn(4, shape[1], 1, 1) for _ in range(3)]
    found = []
    for way in (shifted_relus, plain):
        terms = [v.clone().requires_grad_() for v in values]
        first, second = (v.clone().requires_grad_() for v in vectors)
        ys = way(terms, [first, None, second])
        sum(F.conv2d(y, kernel).square().mean() for y, kernel in zip(ys, kernels, strict=True)).backward()  # pyright: ignore
        found.append(([y.detach() for y in ys], [p.grad for p in (*terms, first, second)]))
    for mine, other in zip(found[0][0], found[1][0], strict=True):
        assert torch.equal(mine, other)
    for mine, other in zip(found[0][1], found[1][1], strict=True):
        assert mine is not None
        assert other is not None
        assert torch.allclose(mine, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))


def test_what_is_not_used_takes_no_part_in_the_gradient() -> None:
    x, b, c = (
        images(2, 4, 3, 3).requires_grad_(),
        torch.randn(4, requires_grad=True),
        torch.randn(4, requires_grad=True),
    )
    y, _ = shifted_relus([x], [b, c])
    F.conv2d(y, torch.randn(1, 4, 1, 1)).sum().backward()
    assert b.grad is not None
    assert c.grad is None or not c.grad.any()


def column(vector: Tensor) -> Tensor:
    return vector.view(1, -1, 1, 1)


SHIFTED: dict[str, Callable[[nn.Module, Tensor], Tensor]] = {
    "skip_connect": lambda operation, x: x,
    "avg_pool_3x3": lambda operation, x: F.avg_pool2d(x, 3, 1, 1, count_include_pad=False),
    "nor_conv_1x1": lambda operation, x: operation.norm(operation.conv(F.relu(x))),  # pyright: ignore
    "nor_conv_3x3": lambda operation, x: operation.norm(operation.conv(F.relu(x))),  # pyright: ignore
}


@pytest.mark.parametrize("name", SHIFTED)
@pytest.mark.parametrize("weight", [1.0, 0.25])
def test_a_shift_is_added_to_the_input_and_a_scale_multiplies_it(name: str, weight: float) -> None:
    """Also where the input itself is a sum with a vector that was not yet added."""
    block = ChoiceBlock((name,), nasbench201(affine=False), 4, 4)
    a, b, pending, shift = images(3, 4, 6, 6), images(3, 4, 6, 6), torch.randn(4), torch.randn(4)
    x = a + b + column(pending)
    operation = block.options[0]
    y = block(Feature(a, b, shift=pending), ((0, weight),), Given(shift=(shift,)))
    assert torch.allclose(y, weight * SHIFTED[name](operation, x + column(shift)), atol=1e-5)
    z = block(Feature(a, b, shift=pending), ((0, weight),), Given(scale=(shift,)))
    assert torch.allclose(z, weight * SHIFTED[name](operation, x * column(shift)), atol=1e-5)


def test_pooling_with_a_convolution_and_operations_of_ones_own() -> None:
    operations = {
        **nasbench201(affine=False, pool_conv=True),
        "own": lambda c_in, c_out, stride: nn.Conv2d(c_in, c_out, 3),
    }
    x, shift = images(3, 4, 6, 6), torch.randn(4)
    block = ChoiceBlock(("avg_pool_3x3", "own"), operations, 4, 4)
    pooled = F.avg_pool2d(x + column(shift), 3, 1, 1, count_include_pad=False)
    y = block(Feature(x), ((0, 1.0),), Given(shift=(shift,)))
    assert torch.allclose(y, block.options[0].project(pooled), atol=1e-5)  # pyright: ignore
    z = block(Feature(x), ((1, 1.0),), Given(shift=(shift,)))
    assert torch.allclose(z, block.options[1](x + column(shift)), atol=1e-5)


def test_rectified_once_for_all_that_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    real = shifted_relus
    monkeypatch.setattr(
        "oneshot.nn.feature.shifted_relus", lambda terms, shifts: calls.append(1) or real(terms, shifts)
    )
    x, shifts = Feature(images(2, 4, 3, 3)), [torch.randn(4), None, torch.randn(4)]
    x.rectify(shifts)
    for shift in shifts:
        assert x.is_rectified(shift)
        y = x.rectified(shift)
        assert torch.equal(y, plain([x.value], [shift])[0])
    assert len(calls) == 1
    assert not Feature(x.value).is_rectified(None)
    assert Feature(x.value, shift=shifts[0]).is_rectified(None)
    assert torch.equal(Feature(x.value, shift=shifts[0]).rectified(None), x.rectified(shifts[0]))


@pytest.mark.parametrize("momentum", [0.1, None])
def test_one_image_that_stands_for_many(momentum: float | None) -> None:
    """Output, gradient and BatchNorm statistics are those of the whole batch of equal images."""
    shift, found = torch.randn(4), []
    for images_there in (1, 6):
        torch.manual_seed(3)
        operation, b = ReluConvNorm(4, 4, 3, affine=False), shift.clone().requires_grad_()
        operation.norm.momentum = momentum
        x = Feature(torch.zeros(images_there, 4, 5, 5), images=6 // images_there)
        first, y = (repeated(operation, x.rectified(b), x.images).whole() for _ in range(2))
        assert len(first) == len(y) == 6
        (y * torch.arange(6.0).view(-1, 1, 1, 1) * torch.linspace(-1, 2, 25).view(5, 5)).square().sum().backward()
        found.append([y.detach(), b.grad, operation.conv.weight.grad, *operation.norm.buffers()])
    for mine, other in zip(*found, strict=True):
        assert mine is not None
        assert torch.allclose(mine, other, rtol=1e-4, atol=1e-5 * float(other.abs().max()))  # pyright: ignore


def test_zeros_are_one_image_unless_it_has_a_single_pixel() -> None:
    assert Feature(images(6, 4, 2, 2)).zeros().value.shape == (1, 4, 2, 2)
    assert Feature(images(6, 4, 2, 2)).zeros().zeros().whole().shape == (6, 4, 2, 2)
    assert Feature(images(6, 4, 1, 1)).zeros().value.shape == (6, 4, 1, 1)
    mixed = Feature(images(6, 4, 2, 2)).zeros() + Feature(torch.ones(6, 4, 2, 2))
    assert torch.equal(mixed.whole(), torch.ones(6, 4, 2, 2))
    norm = BatchNorm(4)
    assert repeated(norm.eval(), torch.zeros(1, 4, 2, 2), 6).whole().shape == (6, 4, 2, 2)

"""Lazy sums, and vectors that wait to be added, against the plain way."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.nn import feature
from oneshot.nn.choice import ChoiceBlock
from oneshot.nn.contexts.base import Given
from oneshot.nn.feature import Feature, normalised_later, repeated
from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import ReluConvNorm, nasbench201
from oneshot.nn.sums import make


def images(*shape: int, last: bool = True) -> Tensor:
    x = torch.randn(*shape)
    return x.contiguous(memory_format=torch.channels_last) if last else x


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


def test_foreseen_at_once_for_all_that_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []
    monkeypatch.setattr(feature, "make", lambda terms, wanted: calls.append(len(wanted)) or make(terms, wanted))
    a, b, pending, shift = images(2, 4, 3, 3), images(2, 4, 3, 3), torch.randn(4), torch.randn(4)
    x = Feature(a.requires_grad_(), b, shift=pending)
    x.foresee(2, [shift, None, None])
    expected = a + b
    for _ in range(2):
        torch.testing.assert_close(x.value, expected)
        torch.testing.assert_close(x.rectified(), F.relu(expected + column(pending)))
    assert calls == [5]
    y = x.rectified(shift)  # adds two vectors, of which the sum is another tensor
    torch.testing.assert_close(y, F.relu(expected + column(pending) + column(shift)))


@pytest.mark.parametrize("relu_first", [True, False])
@pytest.mark.parametrize("grad", [True, False])
def test_value_and_its_relu_in_either_order(relu_first: bool, grad: bool) -> None:
    operation = ReluConvNorm(4, 5, 3, affine=False).to(memory_format=torch.channels_last)  # pyright: ignore
    x = images(6, 4, 8, 8)
    with torch.set_grad_enabled(grad):
        y = normalised_later(operation, x) + Feature(images(6, 5, 8, 8))
        expected = F.batch_norm(operation.conv(x), None, None, training=True) + y.terms[1].tensor
        relu = y.rectified() if relu_first else None
        value = y.value
        relu = y.rectified() if relu is None else relu
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-5)
        assert torch.equal(relu, F.relu(value))
        assert value.requires_grad == grad


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_normalised_later(affine: bool, momentum: float | None) -> None:
    """Output and tracked statistics are PyTorch's own."""
    operation = ReluConvNorm(4, 5, 3, affine=affine).to(memory_format=torch.channels_last)  # pyright: ignore
    theirs = nn.BatchNorm2d(5, affine=affine, momentum=momentum)
    for parameter in operation.norm.parameters():
        parameter.data.normal_()
    theirs.load_state_dict(operation.norm.state_dict())
    operation.norm.momentum = momentum
    for _ in range(3):
        x = images(6, 4, 8, 8)
        expected = theirs(operation.conv(x))
        torch.testing.assert_close(normalised_later(operation, x).whole(), expected, rtol=1e-5, atol=1e-5)
    for mine, other in zip(operation.norm.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-6)


def test_modules_with_hooks_are_called() -> None:
    operation, ran = ReluConvNorm(4, 5, 3).to(memory_format=torch.channels_last), []  # pyright: ignore
    x = images(2, 4, 4, 4)
    expected = normalised_later(operation, x).whole()
    operation.norm.register_forward_hook(lambda *_: ran.append("norm"))
    torch.testing.assert_close(normalised_later(operation, x).whole(), expected)
    operation.register_forward_pre_hook(lambda *_: ran.append("operation"))
    torch.testing.assert_close(normalised_later(operation, x).whole(), expected)
    assert ran == ["norm", "operation", "norm"]


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

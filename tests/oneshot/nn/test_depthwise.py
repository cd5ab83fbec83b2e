"""Depthwise convolutions: their way back by the loops is PyTorch's own."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from oneshot.nn.cpu import without_loops
from oneshot.nn.depthwise import Depthwise


def images(*shape: int) -> Tensor:
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last).requires_grad_()


@pytest.mark.parametrize("shape", [(3, 4, 9, 7), (8, 16, 32, 32), (2, 300, 5, 6), (1, 3, 2, 1), (5, 20, 8, 8)], ids=str)
@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"), [(5, 1, 1), (7, 1, 1), (3, 1, 2), (5, 1, 2), (3, 2, 2), (5, 2, 2)]
)
def test_gradients_are_pytorchs(shape: tuple[int, ...], kernel: int, stride: int, dilation: int) -> None:
    torch.manual_seed(0)
    conv, x = Depthwise(shape[1], kernel, stride, dilation), images(*shape)
    y = conv(x)
    assert "_Depthwise" in type(y.grad_fn).__name__
    grad = torch.randn_like(y)
    found = torch.autograd.grad(y, (x, conv.weight), grad)
    with without_loops():
        plain = conv(x)
        assert "_Depthwise" not in type(plain.grad_fn).__name__
        expected = torch.autograd.grad(plain, (x, conv.weight), grad)
    assert torch.equal(y, plain)
    for got, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-4)


def test_the_number_of_threads_changes_no_bit() -> None:
    conv, x = Depthwise(16, 5, 1, 2), images(16, 16, 16, 16)
    grad, found = torch.randn(16, 16, 16, 16), []
    threads = torch.get_num_threads()
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            found.append(torch.autograd.grad(conv(x), conv.weight, grad)[0])
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(*found)


def test_small_kernels_and_passes_without_gradients_are_left_to_pytorch() -> None:
    x = images(2, 4, 8, 8)
    for conv in (Depthwise(4, 3), Depthwise(4, 5, 2), Depthwise(4, 3, 2)):
        assert "_Depthwise" not in type(conv(x).grad_fn).__name__
    assert "_Depthwise" not in type(Depthwise(4, 5)(torch.randn(2, 4, 8, 8, requires_grad=True)).grad_fn).__name__
    with torch.no_grad():
        assert Depthwise(4, 5)(x).grad_fn is None
    assert Depthwise(4, 5).double()(x.double()).dtype == torch.float64


def test_gradients_of_gradients_are_refused_by_the_loops_and_taken_without() -> None:
    conv, x = Depthwise(2, 5), images(1, 2, 6, 6)
    with pytest.raises(RuntimeError, match="without_loops"):
        torch.autograd.grad(conv(x).square().sum(), conv.weight, create_graph=True)
    with without_loops():
        (by_weight,) = torch.autograd.grad(conv(x).square().sum(), conv.weight, create_graph=True)
        by_weight.square().sum().backward()
    assert conv.weight.grad is not None

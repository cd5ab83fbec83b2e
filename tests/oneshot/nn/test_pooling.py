"""Average pooling against PyTorch's own."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.nn import pooling
from oneshot.nn.pooling import average_pool


def plain(x: Tensor) -> Tensor:
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (4, 16, 32, 32), (1, 5, 18, 16), (2, 8, 4, 4), (1, 1, 64, 4)])
def test_equals_the_plain_pooling_and_its_gradient(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x = torch.randn(shape).contiguous(memory_format=torch.channels_last).requires_grad_()
    twin = x.detach().clone().requires_grad_()
    grad = torch.randn(shape)
    y, z = average_pool(x), plain(twin)
    torch.testing.assert_close(y, z)
    y.backward(grad)
    z.backward(grad)
    torch.testing.assert_close(x.grad, twin.grad)


def test_other_images_take_the_plain_way(monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*_: object) -> None:
        pytest.fail("contiguous or bf16 images have no faster way")

    monkeypatch.setattr(pooling, "box_mean", never)
    x = torch.randn(2, 3, 16, 16)
    assert torch.equal(average_pool(x), plain(x))
    average_pool(x.bfloat16().contiguous(memory_format=torch.channels_last))


def test_works_after_inference_mode() -> None:
    with torch.inference_mode():
        average_pool(torch.randn(1, 7, 16, 16).contiguous(memory_format=torch.channels_last))
    x = torch.randn(1, 7, 16, 16).contiguous(memory_format=torch.channels_last).requires_grad_()
    average_pool(x).sum().backward()
    assert x.grad is not None

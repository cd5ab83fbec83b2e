"""The 3x3 convolution by Winograd's algorithm against PyTorch's, on sizes that are no multiple of its tiles."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.nn.cpu import kernels, rows
from oneshot.nn.operations import Conv

SHAPES = [
    (1, 16, 16, 1, 1),
    (3, 16, 32, 7, 9),
    (2, 32, 16, 4, 5),
    (5, 64, 64, 8, 8),
    (4, 48, 48, 3, 2),
    (2, 16, 128, 6, 6),
    (70, 16, 16, 32, 32),
]


def given(images: int, inputs: int, outputs: int, *size: int) -> tuple[Tensor, Tensor, Tensor]:
    x = torch.randn(images, inputs, *size).contiguous(memory_format=torch.channels_last)
    return x, torch.randn(outputs, inputs, 3, 3) / inputs, torch.randn(outputs)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_same_as_the_plain_sum(shape: tuple[int, ...]) -> None:
    x, weight, bias = given(*shape)
    exact = F.conv2d(x.double(), weight.double(), bias.double(), padding=1)
    made = rows.convolved(x, weight, bias)
    assert made.is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(made.double(), exact, rtol=0, atol=2e-6 * float(exact.abs().max()))
    without = rows.convolved(x, weight.to(memory_format=torch.channels_last), None)
    torch.testing.assert_close(without + bias.view(1, -1, 1, 1), made, rtol=0, atol=1e-5)


@pytest.mark.usefixtures("_threads")
def test_neither_threads_nor_other_images_change_a_bit() -> None:
    x, weight, bias = given(70, 32, 32, 15, 16)
    torch.set_num_threads(1)
    made = rows.convolved(x, weight, bias)
    alone = rows.convolved(x[41:42].contiguous(memory_format=torch.channels_last), weight, bias)
    assert torch.equal(alone[0], made[41])
    torch.set_num_threads(2)
    assert torch.equal(rows.convolved(x, weight, bias), made)


def test_no_images() -> None:
    x, weight, bias = given(0, 16, 16, 8, 8)
    assert rows.convolved(x, weight, bias).shape == x.shape


def test_nan_is_not_lost() -> None:
    x, weight, bias = given(2, 16, 16, 8, 8)
    x[1, 3, 2, 2] = float("nan")
    made = rows.convolved(x, weight, bias)
    assert made[1, :, 1:4, 1:4].isnan().all()
    assert made[0].isfinite().all()


def test_a_convolution_makes_use_of_it_only_where_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, ...]] = []

    def convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        asked.append(tuple(weight.shape))
        return rows.convolved(x, weight, bias)

    monkeypatch.setattr("oneshot.nn.operations.convolved", convolved)
    monkeypatch.setattr(kernels, "has_wide_registers", lambda: True)
    x, _, _ = given(2, 16, 16, 8, 8)
    conv = Conv(16, 32, 3)
    plain = conv(x)
    assert plain.requires_grad
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        assert conv(x).dtype == torch.bfloat16
    with torch.no_grad():
        for other, images in (
            (Conv(16, 32, 1), x),
            (Conv(16, 32, 3, stride=2), x),
            (Conv(16, 24, 3), x),
            (conv.double(), x.double()),
        ):
            other(images)
        assert not asked
        conv.float()
        conv(x.contiguous())  # not channels-last
        assert not asked
        torch.testing.assert_close(conv(x), plain.detach(), rtol=1e-5, atol=1e-5)
        monkeypatch.setattr(kernels, "has_wide_registers", lambda: False)
        conv(x)
    assert asked == [(32, 16, 3, 3)]

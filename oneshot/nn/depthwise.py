"""Depthwise convolutions, whose way back is fast on a CPU."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.nn.cpu import as_rows, correlated, differentiable_once, is_rows


class Depthwise(nn.Conv2d):
    """A convolution of every channel by itself, without bias, at "same" padding.

    PyTorch's way back is fast for small kernels alone: of larger ones it takes twice as long, of dilated ones three
    times, of dilated ones that halve the image twenty times.
    """

    def __init__(self, channels: int, kernel: int, stride: int = 1, dilation: int = 1) -> None:
        padding = kernel // 2 * dilation
        super().__init__(channels, channels, kernel, stride, padding, dilation, channels, bias=False)
        self._by_loops = kernel % 2 == 1 and (dilation > 1 or (stride == 1 and kernel > 3))

    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:  # pyright: ignore
        plain = weight.dtype == x.dtype and not torch.is_autocast_enabled("cpu")
        if self._by_loops and plain and torch.is_grad_enabled() and is_rows(x):
            return _Depthwise.apply(x, weight, self.stride[0], self.dilation[0])  # pyright: ignore[reportReturnType]
        return super()._conv_forward(x, weight, bias)


class _Depthwise(torch.autograd.Function):
    """The way back to the images is forward by the kernel turned around, from gradients that are zero where none is."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.dilation = stride, dilation
        return _convolved(x, weight, stride, dilation)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *grads: Tensor) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        (x, weight), grad = ctx.saved_tensors, as_rows(grads[0])
        if ctx.stride > 1:
            grad = torch.zeros_like(x)
            grad[:, :, :: ctx.stride, :: ctx.stride] = grads[0]
        by_x = _convolved(grad, weight.flip(2, 3), 1, ctx.dilation) if ctx.needs_input_grad[0] else None
        by_weight = correlated(x, grad, weight.shape[2], ctx.dilation) if ctx.needs_input_grad[1] else None
        return by_x, by_weight, None, None


def _convolved(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    return F.conv2d(x, weight, None, stride, weight.shape[2] // 2 * dilation, dilation, len(weight))

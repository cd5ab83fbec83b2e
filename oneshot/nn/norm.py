"""BatchNorm: fast on a CPU in channels-last memory, and correct when the batch is spread over several processes."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

ROW = 128
"""Floats in a row of the matrix as which narrow images are read: long enough for vector instructions."""


class BatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` with two other ways to the same result while it uses the batch's own statistics.

    Float32 images that are channels-last on a CPU are read as a matrix with long rows, where PyTorch's kernel goes
    channel by channel. While training under torch.distributed the statistics are those of all processes' batches,
    on every backend, gloo on a CPU included.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return super().forward(x)
        if dist.is_initialized() and dist.get_world_size() > 1:
            y, mean, variance, count = self._over_processes(x)
        elif _is_rows(x):
            y, mean, variance = _Normalise.apply(x, self.weight, self.bias, self.eps)  # pyright: ignore
            count = x.numel() // x.shape[1]
        else:
            return super().forward(x)
        self._track(mean, variance * (count / max(count - 1, 1)))
        return y

    def _over_processes(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
        count = x.numel() // x.shape[1] * dist.get_world_size()
        wide = x.float()
        mean = _AllReduceSum.apply(wide.sum((0, 2, 3))) / count  # pyright: ignore[reportOptionalOperand]
        centred = wide - mean.view(1, -1, 1, 1)
        variance = _AllReduceSum.apply(centred.square().sum((0, 2, 3))) / count  # pyright: ignore
        scale = (variance + self.eps).rsqrt()
        y = centred * (scale if self.weight is None else scale * self.weight).view(1, -1, 1, 1)
        if self.bias is not None:
            y = y + self.bias.view(1, -1, 1, 1)
        return y.to(x.dtype), mean, variance, count

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        if self.running_mean is None or self.running_var is None or self.num_batches_tracked is None:
            return
        self.num_batches_tracked.add_(1)
        rate = 1.0 / float(self.num_batches_tracked) if self.momentum is None else self.momentum
        self.running_mean.lerp_(mean.detach(), rate)
        self.running_var.lerp_(variance.detach(), rate)


def _is_rows(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and x.is_contiguous(memory_format=torch.channels_last)


class _Normalise(torch.autograd.Function):
    """(y, mean [C], variance [C]) of x [B, C, H, W]; the statistics take no gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Any:
        rows, repeat = _rows(x)
        count = x.numel() // x.shape[1]
        mean = _channel_sums(rows, repeat) / count
        y = rows - mean.repeat(repeat)
        variance = _channel_sums(y * y, repeat) / count
        scale = (variance + eps).rsqrt()
        y.mul_(scale.repeat(repeat))
        ctx.save_for_backward(y, scale, weight)
        ctx.repeat, ctx.count, ctx.has_bias = repeat, count, bias is not None
        ctx.mark_non_differentiable(mean, variance)
        if weight is not None and bias is not None:
            y = torch.addcmul(bias.repeat(repeat), y, weight.repeat(repeat))
        return _images(y, x.shape), mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        y, scale, weight = ctx.saved_tensors
        repeat, grad = ctx.repeat, grads[0].contiguous(memory_format=torch.channels_last)
        rows, _ = _rows(grad)
        total = _channel_sums(rows, repeat)
        along = _channel_sums(rows * y, repeat)
        if weight is not None:
            scale = scale * weight
        inputs = torch.addcmul((-total * scale / ctx.count).repeat(repeat), rows, scale.repeat(repeat))
        inputs.addcmul_(y, (-along * scale / ctx.count).repeat(repeat))
        affine = (along, total) if weight is not None else (None, None)
        return _images(inputs, grad.shape), *affine, None


def _rows(x: Tensor) -> tuple[Tensor, int]:
    """Channels-last images as a matrix [-1, repeat * C] without a copy."""
    pixels, channels = x.numel() // x.shape[1], x.shape[1]
    repeat = 1
    while repeat * channels < ROW and pixels % (2 * repeat) == 0:
        repeat *= 2
    return x.permute(0, 2, 3, 1).reshape(-1, repeat * channels), repeat


def _images(rows: Tensor, shape: torch.Size) -> Tensor:
    batch, channels, height, width = shape
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)


def _channel_sums(rows: Tensor, repeat: int) -> Tensor:
    """Sums [C] over a matrix [-1, repeat * C]."""
    return (rows.new_ones(1, rows.shape[0]) @ rows).view(repeat, -1).sum(0)


class _AllReduceSum(torch.autograd.Function):
    """Sum over all processes; the gradient is the sum of their gradients."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        total = grads[0].contiguous().clone()
        dist.all_reduce(total)
        return total


def batch_norms(net: nn.Module) -> list[nn.BatchNorm2d]:
    """Every BatchNorm of a network, in a fixed order."""
    return [module for module in net.modules() if isinstance(module, nn.BatchNorm2d)]


def average_pool(x: Tensor) -> Tensor:
    """3x3 average pooling at stride 1 that does not count the padding."""
    return F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)

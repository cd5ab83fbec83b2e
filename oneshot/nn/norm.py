"""BatchNorm: fast on a CPU in channels-last memory, and correct when the batch is spread over several processes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from oneshot.nn.rows import is_rows, moments

LANES = 16
"""Floats in a vector register."""
ROW = 128
"""Floats in a row of the matrix as which narrow images are read."""


class BatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` with two other ways to the same result while it uses the batch's own statistics.

    Narrow float32 images that are channels-last on a CPU are read as a matrix with long rows, five times faster than
    PyTorch's kernel shares a handful of channels among threads. While training under torch.distributed the statistics
    are those of all processes' batches, on every backend, gloo on a CPU included.
    """

    folds = False
    """Whether, without gradients, the convolution before it or the sum behind it may do its work."""

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
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

    @torch.no_grad()
    def collect(self, x: Tensor) -> tuple[Tensor, Tensor] | None:
        """Scale and shift [C] that normalise x by its own statistics, which are tracked; None to do it as usual."""
        if not self.folds or not is_rows(x) or (dist.is_initialized() and dist.get_world_size() > 1):
            return None
        count = x.numel() // x.shape[1]
        mean, variance = moments(x)
        self._track(mean, variance * (count / max(count - 1, 1)))
        return self._scale_and_shift(mean, variance)

    def _scale_and_shift(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        scale = (variance + self.eps).rsqrt()
        scale = scale if self.weight is None else scale * self.weight
        return scale, -mean * scale if self.bias is None else self.bias - mean * scale

    def folded(self) -> tuple[Tensor, Tensor] | None:
        """Scale and shift [C] that are all it does in evaluation; None to do it the usual way."""
        if not self.folds or self.training or torch.is_grad_enabled():
            return None
        if self.running_mean is None or self.running_var is None:
            return None
        return self._scale_and_shift(self.running_mean, self.running_var)

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
    """Where PyTorch's own kernel is slow: several threads share fewer channels than a vector register has lanes."""
    narrow = x.device.type == "cpu" and x.dtype == torch.float32 and x.shape[1] < LANES and torch.get_num_threads() > 1
    return narrow and x.is_contiguous(memory_format=torch.channels_last)


class _Normalise(torch.autograd.Function):
    """(y, mean [C], variance [C]) of x [B, C, H, W]; the statistics take no gradient.

    Shapes: M pixels of C channels are read as rows [M / k, k C]. Statistics stay repeated k times, as the rows need
    them: `ones @ rows` sums the rows, and `@ average` folds the k copies of a channel, divides by M and repeats.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float) -> Any:
        channels = x.shape[1]
        ones, average = _sums(x.numel() // channels, channels)
        width = average.shape[0]
        rows = x.permute(0, 2, 3, 1).view(-1, width)
        mean = ones @ rows @ average
        y = rows - mean
        variance = ones @ (y * y) @ average
        scale = (variance + eps).rsqrt_()
        y.mul_(scale)
        ctx.save_for_backward(y, scale, weight)
        mean, variance = mean[0, :channels], variance[0, :channels]
        ctx.mark_non_differentiable(mean, variance)
        if weight is not None and bias is not None:
            y = torch.addcmul(_repeated(bias, width), y, _repeated(weight, width))
        return _images(y, x.shape), mean, variance

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        y, scale, weight = ctx.saved_tensors
        grad = grads[0].contiguous(memory_format=torch.channels_last)
        channels = grad.shape[1]
        count = grad.numel() // channels
        ones, average = _sums(count, channels)
        rows = grad.permute(0, 2, 3, 1).view(y.shape)
        mean, along = ones @ rows @ average, ones @ (rows * y) @ average
        inputs = (rows - mean).addcmul_(y, along, value=-1)
        if weight is None:
            return _images(inputs.mul_(scale), grad.shape), None, None, None
        inputs.mul_(scale * _repeated(weight, y.shape[1]))
        return _images(inputs, grad.shape), along[0, :channels] * count, mean[0, :channels] * count, None


@lru_cache(maxsize=256)
def _sums(pixels: int, channels: int) -> tuple[Tensor, Tensor]:
    """ones [1, M / k] and average [k C, k C] for M pixels."""
    repeat = 1
    while repeat * channels < ROW and pixels % (2 * repeat) == 0:
        repeat *= 2
    with torch.inference_mode(False):
        average = torch.eye(channels).repeat(repeat, repeat) / pixels
        return torch.ones(1, pixels // repeat), average


def _repeated(vector: Tensor, width: int) -> Tensor:
    return vector.expand(width // len(vector), -1).reshape(-1)


def _images(rows: Tensor, shape: torch.Size) -> Tensor:
    batch, channels, height, width = shape
    return rows.view(batch, height, width, channels).permute(0, 3, 1, 2)


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

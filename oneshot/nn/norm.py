"""BatchNorm: fast on a CPU in channels-last memory, and correct when the batch is spread over several processes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.distributed as dist
from torch import Tensor, nn

from oneshot.base.distributed import total
from oneshot.nn.cpu import Running, Term, is_rows, normalised
from oneshot.nn.sums import Wanted, make


class BatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` with two other ways to the same result while it uses the batch's own statistics.

    Where the loops of `rows` work, the sum that its output goes into may do its work. While training under
    torch.distributed the statistics are those of all processes' batches, on every backend, gloo on a CPU included.
    """

    folds = False
    """Whether, in evaluation without gradients, the convolution before it may do its work."""

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        if not self.training:
            return super().forward(x)
        if self._is_alone:
            return make([self._term(x)], [Wanted()])[0] if _is_sample(x) else super().forward(x)
        y, mean, variance, count = self._over_processes(x)
        self._track(mean, variance * (count / max(count - 1, 1)))
        return y

    def later(self, x: Tensor) -> Term:
        """The output while training, whose statistics are tracked now, as a term of a sum that may do the work."""
        return self._term(x) if self._is_alone and _is_sample(x) and not is_watched(self) else Term(self(x))

    def _term(self, x: Tensor) -> Term:
        scale = normalised(x, self.eps, self._running(), self.momentum)
        return Term(x, scale, self.weight, self.bias)

    @property
    def _is_alone(self) -> bool:
        return not dist.is_initialized() or dist.get_world_size() == 1

    def folded(self) -> tuple[Tensor, Tensor] | None:
        """Scale and shift [C] that are all it does in evaluation; None to do it the usual way."""
        if not self.folds or self.training or torch.is_grad_enabled():
            return None
        if self.running_mean is None or self.running_var is None:
            return None
        scale = (self.running_var + self.eps).rsqrt()
        scale = scale if self.weight is None else scale * self.weight
        shift = -self.running_mean * scale
        return scale, shift if self.bias is None else shift + self.bias

    def _over_processes(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
        count = x.numel() // x.shape[1] * dist.get_world_size()
        wide = x.float()
        mean = total(wide.sum((0, 2, 3))) / count
        centred = wide - mean.view(1, -1, 1, 1)
        variance = total(centred.square().sum((0, 2, 3))) / count
        scale = (variance + self.eps).rsqrt()
        y = centred * (scale if self.weight is None else scale * self.weight).view(1, -1, 1, 1)
        if self.bias is not None:
            y = y + self.bias.view(1, -1, 1, 1)
        return y.to(x.dtype), mean, variance, count

    def _running(self) -> Running | None:
        batches, mean, variance = self.num_batches_tracked, self.running_mean, self.running_var
        if not self.track_running_stats or batches is None or mean is None or variance is None:
            return None
        return Running(batches, mean, variance)

    @torch.no_grad()
    def _track(self, mean: Tensor, variance: Tensor) -> None:
        running = self._running()
        if running is not None:
            running.batches.add_(1)
            rate = 1.0 / float(running.batches) if self.momentum is None else self.momentum
            running.mean.lerp_(mean.detach(), rate)
            running.variance.lerp_(variance.detach(), rate)


def _is_sample(x: Tensor) -> bool:
    """Whether the loops can work on these images, which have more than one value a channel, as BatchNorm demands."""
    return is_rows(x) and x.numel() > x.shape[1]


@contextmanager
def still(net: nn.Module) -> Iterator[None]:
    """Inside, no BatchNorm statistic moves, although its batches are normalised by their own."""
    norms = [m for m in net.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm) and m.track_running_stats]
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def is_watched(module: nn.Module) -> bool:
    """Whether somebody expects the module to be called as such."""
    hooks = module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks, module._backward_hooks
    return any(hooks)


def batch_norms(net: nn.Module) -> list[nn.BatchNorm2d]:
    """Every BatchNorm of a network, over images or vectors, in a fixed order."""
    norms = (module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    return [norm for norm in norms if norm.track_running_stats]  # pyright: ignore[reportReturnType]

"""BatchNorm: fast on a CPU in channels-last memory, and correct when the batch is spread over several processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.base.distributed import total
from oneshot.nn.cpu import Running, Term, is_rows, normalised
from oneshot.nn.sums import Wanted, make

_folds = ContextVar("_folds", default=False)


class Parts(NamedTuple):
    """What a pass uses of a BatchNorm, vectors over the channels that come."""

    weight: Tensor | None
    bias: Tensor | None
    statistics: Running | None


class BatchNorm(nn.BatchNorm2d):
    """`nn.BatchNorm2d` with two other ways to the same result while it uses the batch's own statistics.

    Where the compiled loops work, the sum that its output goes into may do its work. While training under
    torch.distributed the statistics are those of all processes' batches, on every backend, gloo on a CPU included.
    """

    def forward(self, x: Tensor) -> Tensor:  # pyright: ignore[reportIncompatibleMethodOverride]
        self._check_input_dim(x)
        parts = self.parts(x.shape[1])
        if self.training and not self._is_alone:
            return self._over_processes(x, parts)
        if self.training and _is_sample(x):
            return make([self._term(x, parts)], [Wanted()])[0]
        running = self._tracked(parts) if self.training else parts.statistics
        mean, variance = (None, None) if running is None else running[1:]
        rate = 0.0 if running is None or not self.training else self._counted(running)
        by_batch = self.training or running is None
        if by_batch and x.numel() == x.shape[1]:
            raise ValueError(
                "one image at 1x1 pixels has no BatchNorm statistics of its own: expected batches of several images, "
                "the last one too; choose another batch size"
            )
        return F.batch_norm(x, mean, variance, parts.weight, parts.bias, by_batch, rate, self.eps)

    def parts(self, channels: int) -> Parts:
        """What a pass over so many channels uses, and moves."""
        return Parts(self.weight, self.bias, statistics(self))

    def later(self, x: Tensor) -> Term:
        """The output while training, whose statistics are tracked now, as a term of a sum that may do the work."""
        if not self._is_alone or not _is_sample(x) or is_watched(self):
            return Term(self(x))
        return self._term(x, self.parts(x.shape[1]))

    def folded(self) -> tuple[Tensor, Tensor] | None:
        """Scale and shift [C] that are all it does in evaluation, where `folding`; None to do it the usual way."""
        if not _folds.get() or self.training or torch.is_grad_enabled():
            return None
        if self.running_mean is None or self.running_var is None:
            return None
        scale = (self.running_var + self.eps).rsqrt()
        scale = scale if self.weight is None else scale * self.weight
        shift = -self.running_mean * scale
        return scale, shift if self.bias is None else shift + self.bias

    @property
    def _is_alone(self) -> bool:
        return not dist.is_initialized() or dist.get_world_size() == 1

    def _term(self, x: Tensor, parts: Parts) -> Term:
        return Term(x, normalised(x, self.eps, self._tracked(parts), self.momentum), parts.weight, parts.bias)

    def _tracked(self, parts: Parts) -> Running | None:
        """What training moves."""
        return parts.statistics if self.track_running_stats else None

    def _counted(self, running: Running) -> float:
        """The share by which the statistics move towards those of one batch more."""
        running.batches.add_(1)
        return 1.0 / float(running.batches) if self.momentum is None else self.momentum

    def _over_processes(self, x: Tensor, parts: Parts) -> Tensor:
        count = x.numel() // x.shape[1] * dist.get_world_size()
        wide = x.float()
        mean = total(wide.sum((0, 2, 3))) / count
        centred = wide - mean.view(1, -1, 1, 1)
        variance = total(centred.square().sum((0, 2, 3))) / count
        scale = (variance + self.eps).rsqrt()
        y = centred * (scale if parts.weight is None else scale * parts.weight).view(1, -1, 1, 1)
        if parts.bias is not None:
            y = y + parts.bias.view(1, -1, 1, 1)
        running = self._tracked(parts)
        if running is not None:
            with torch.no_grad():
                rate = self._counted(running)
                running.mean.lerp_(mean, rate)
                running.variance.lerp_(variance * (count / max(count - 1, 1)), rate)
        return y.to(x.dtype)


def _is_sample(x: Tensor) -> bool:
    """Whether the loops can work on these images, which have more than one value a channel, as BatchNorm demands."""
    return is_rows(x) and x.numel() > x.shape[1]


@contextmanager
def folding() -> Iterator[None]:
    """Inside, evaluation without gradients leaves a BatchNorm's work to the convolution before it, where it can."""
    token = _folds.set(True)
    try:
        yield
    finally:
        _folds.reset(token)


@contextmanager
def still(net: nn.Module) -> Iterator[None]:
    """Inside, no BatchNorm statistic moves, although its batches are normalised by their own."""
    norms = batch_norms(net)
    try:
        for norm in norms:
            norm.track_running_stats = False
        yield
    finally:
        for norm in norms:
            norm.track_running_stats = True


def statistics(norm: nn.BatchNorm2d) -> Running | None:
    """What a BatchNorm of any kind keeps of its batches, moved in place by training; None where it keeps nothing."""
    batches, mean, variance = norm.num_batches_tracked, norm.running_mean, norm.running_var
    return None if batches is None or mean is None or variance is None else Running(batches, mean, variance)


@contextmanager
def with_statistics(norms: Sequence[nn.BatchNorm2d], given: Sequence[Running]) -> Iterator[None]:
    """Inside, the norms use and move these statistics in place of their own."""
    places = [norm._buffers for norm in norms]  # written directly: a module is slow to assign to
    own = [buffers.copy() for buffers in places]
    try:
        for buffers, each in zip(places, given, strict=True):
            buffers["num_batches_tracked"], buffers["running_mean"], buffers["running_var"] = each
        yield
    finally:
        for buffers, before in zip(places, own, strict=True):
            buffers.update(before)


def is_watched(module: nn.Module) -> bool:
    """Whether somebody expects the module to be called as such."""
    hooks = module._forward_pre_hooks, module._forward_hooks, module._backward_pre_hooks, module._backward_hooks
    return any(hooks)


def batch_norms(net: nn.Module) -> list[nn.BatchNorm2d]:
    """Every BatchNorm of a network, over images or vectors, in a fixed order."""
    norms = (module for module in net.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm))
    return [norm for norm in norms if norm.track_running_stats]  # pyright: ignore[reportReturnType]

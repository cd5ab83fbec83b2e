"""relu(x + b) for several vectors b over channels: what biases before convolutions cost, in as few memory passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

ROW = 256
"""Floats in a row of the matrix as which images are read."""
PART = 2**18
"""Floats of each image tensor that are worked on at a time: they stay in a core's cache."""

_threshold = torch.ops.aten.threshold_backward.grad_input


def channels(vector: Tensor, like: Tensor) -> Tensor:
    """A vector over channels [C] as [1, C, 1, 1] of the other tensor's type."""
    return vector.to(like.dtype).view(1, -1, 1, 1)


def shifted_relus(terms: Sequence[Tensor], shifts: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """relu(x + b) for every b [C] or None, each for an operation that begins with a convolution.

    x [B, C, H, W] is the sum of the terms. The gradient is written over those that come in: nobody but the
    convolutions, which made them, may hold these.
    """
    if all(_is_rows(term) for term in terms):
        return _ShiftedReLUs.apply(len(terms), *terms, *shifts)  # pyright: ignore[reportReturnType]
    x = terms[0]
    for term in terms[1:]:
        x = x + term
    return tuple(F.relu(x) if b is None else F.relu(x + channels(b, x), inplace=True) for b in shifts)


def _is_rows(x: Tensor) -> bool:
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32
    return on_cpu and x.is_contiguous(memory_format=torch.channels_last)


class _ShiftedReLUs(torch.autograd.Function):
    """For channels-last images on a CPU, read as a matrix whose rows are some pixels of all C channels."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        terms: list[Tensor] = list(tensors[:count])  # pyright: ignore[reportAssignmentType]
        shifts = tensors[count:]
        pixels = _pixels(terms[0])
        wide = [None if b is None else b.repeat(pixels) for b in shifts]
        ys = tuple(torch.empty_like(terms[0]) for _ in shifts)
        for parts in zip(*map(_parts, terms), *map(_parts, ys), strict=True):
            source = parts[0]
            for term in parts[1:count]:
                source = source + term
            for target, row in zip(parts[count:], wide, strict=True):
                if row is None:
                    torch.clamp_min(source, 0, out=target)
                else:
                    torch.add(source, row, out=target).relu_()
        ctx.save_for_backward(*ys)
        ctx.terms = count
        ctx.set_materialize_grads(False)
        return ys

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> Any:
        used = [i for i, grad in enumerate(grads) if grad is not None]
        sums: list[Tensor | None] = [None] * len(grads)
        if not used:
            return None, *[None] * ctx.terms, *sums
        dense = [grads[i].contiguous(memory_format=torch.channels_last) for i in used]  # pyright: ignore
        results = [ctx.saved_tensors[i] for i in used]
        summed = [ctx.needs_input_grad[1 + ctx.terms + i] for i in used]
        for parts in zip(*map(_parts, dense), *map(_parts, results), strict=True):
            ones = parts[0].new_ones(1, len(parts[0]))
            for k, (grad, y) in enumerate(zip(parts[: len(used)], parts[len(used) :], strict=True)):
                _threshold(grad, y, 0, grad_input=grad)
                if summed[k]:
                    rows = ones @ grad
                    sums[used[k]] = rows if sums[used[k]] is None else rows.add_(sums[used[k]])
                if k:
                    parts[0].add_(grad)
        sums = [None if rows is None else rows.view(-1, dense[0].shape[1]).sum(0) for rows in sums]
        return None, *[dense[0]] * ctx.terms, *sums


def _pixels(x: Tensor) -> int:
    """How many pixels make a row: a power of two that divides the number of pixels."""
    count, pixels = 1, x.numel() // x.shape[1]
    while count * x.shape[1] < ROW and pixels % (2 * count) == 0:
        count *= 2
    return count


def _parts(x: Tensor) -> tuple[Tensor, ...]:
    width = _pixels(x) * x.shape[1]
    return x.permute(0, 2, 3, 1).view(-1, width).split(max(PART // width, 1))

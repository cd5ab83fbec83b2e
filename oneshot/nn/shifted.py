"""relu(x + b) for several vectors b over channels: what biases before convolutions cost, in as few memory passes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.nn.rows import channels, is_rows, parts, pixels

_threshold = torch.ops.aten.threshold_backward.grad_input


def shifted_relus(terms: Sequence[Tensor], shifts: Sequence[Tensor | None]) -> tuple[Tensor, ...]:
    """relu(x + b) for every b [C] or None, each for an operation that begins with a convolution.

    x [B, C, H, W] is the sum of the terms. The gradient is written over those that come in: nobody but the
    convolutions, which made them, may hold these.
    """
    if all(is_rows(term) for term in terms):
        return _ShiftedReLUs.apply(len(terms), *terms, *shifts)  # pyright: ignore[reportReturnType]
    x = terms[0]
    for term in terms[1:]:
        x = x + term
    return tuple(F.relu(x) if b is None else F.relu(x + channels(b, x), inplace=True) for b in shifts)


class _ShiftedReLUs(torch.autograd.Function):
    """For channels-last images on a CPU, read as a matrix whose rows are some pixels of all C channels."""

    @staticmethod
    def forward(ctx: Any, count: int, *tensors: Tensor | None) -> tuple[Tensor, ...]:
        terms: list[Tensor] = list(tensors[:count])  # pyright: ignore[reportAssignmentType]
        shifts = tensors[count:]
        count_a_row = pixels(terms[0])
        wide = [None if b is None else b.repeat(count_a_row) for b in shifts]
        ys = tuple(torch.empty_like(terms[0]) for _ in shifts)
        for together in zip(*map(parts, terms), *map(parts, ys), strict=True):
            source = together[0]
            for term in together[1:count]:
                source = source + term
            for target, row in zip(together[count:], wide, strict=True):
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
        for together in zip(*map(parts, dense), *map(parts, results), strict=True):
            ones = together[0].new_ones(1, len(together[0]))
            for k, (grad, y) in enumerate(zip(together[: len(used)], together[len(used) :], strict=True)):
                _threshold(grad, y, 0, grad_input=grad)
                if summed[k]:
                    rows = ones @ grad
                    sums[used[k]] = rows if sums[used[k]] is None else rows.add_(sums[used[k]])
                if k:
                    together[0].add_(grad)
        sums = [None if rows is None else rows.view(-1, dense[0].shape[1]).sum(0) for rows in sums]
        return None, *[dense[0]] * ctx.terms, *sums

"""Sums of tensors, BatchNorm's work included, and their ReLUs: a whole node of a cell in as few passes as it takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.nn.cpu import (
    LINEAR,
    Clamp,
    Term,
    as_rows,
    channels,
    combined,
    differentiable_once,
    gathered,
    is_rows,
    over_images,
    repeats,
    spread,
)


class Wanted(NamedTuple):
    """Something to be made of a sum: a vector [C] is added, then it is clamped."""

    shift: Tensor | None = None
    clamp: Clamp = LINEAR


def make(terms: Sequence[Term], wanted: Sequence[Wanted]) -> list[Tensor]:
    """All that is wanted of a sum, at once.

    Whatever is wanted twice shares its memory, but takes gradients apart from the other: they are added on the way.
    """
    return _quickly(terms, wanted) if _fit(terms) else _slowly(terms, wanted)


def _quickly(terms: Sequence[Term], wanted: Sequence[Wanted]) -> list[Tensor]:
    if not torch.is_grad_enabled():
        return _combined(terms, wanted)
    tensors, scales, weights, biases = zip(*terms, strict=True)
    clamps, shifts = [clamp for _, clamp in wanted], [shift for shift, _ in wanted]
    return list(_Sum.apply(scales, clamps, *tensors, *weights, *biases, *shifts))  # pyright: ignore


def _fit(terms: Sequence[Term]) -> bool:
    """Whether the loops can add them: images of one shape, and perhaps some that are one for all of them."""
    tensors = [term.tensor for term in terms]
    if not all(map(is_rows, tensors)) or len({x.shape[1:] for x in tensors}) > 1:
        return False
    most = max(map(len, tensors))
    fewer = [term for term in terms if len(term.tensor) < most]
    return all(len(x) == 1 and scale is None and repeats(x) for x, scale, *_ in fewer)


def _slowly(terms: Sequence[Term], wanted: Sequence[Wanted]) -> list[Tensor]:
    """The same by PyTorch; only what BatchNorm has still to do is done by the loops, which have begun it."""
    total, *rest = (term.tensor if term.scale is None else _quickly([term], [Wanted()])[0] for term in terms)
    for term in rest:
        total = total + term
    made = {key: _clamped(total, *key) for key in dict.fromkeys(wanted)}
    return [made[key] for key in wanted]


def _clamped(total: Tensor, shift: Tensor | None, clamp: Clamp) -> Tensor:
    y = total if shift is None else total + channels(shift, total)
    if clamp == LINEAR:
        return y
    return F.hardtanh(y, *clamp) if clamp.high < float("inf") else y.clamp_min(clamp.low) if clamp.low else F.relu(y)


def _combined(terms: Sequence[Term], wanted: Sequence[Wanted]) -> list[Tensor]:
    different = list(dict.fromkeys(wanted))
    if len(terms) == 1 and terms[0].scale is None and different == [Wanted()]:
        return [terms[0].tensor] * len(wanted)
    shifts = [None if shift is None else shift.detach().float().contiguous() for shift, _ in different]
    outputs = combined(terms, shifts, [clamp for _, clamp in different])
    made = dict(zip(different, outputs, strict=True))
    return [made[key] for key in wanted]


class _Sum(torch.autograd.Function):
    """`make` where gradients may be asked for."""

    @staticmethod
    def forward(
        ctx: Any, scales: Sequence[Tensor | None], clamps: Sequence[Clamp], *tensors: Tensor | None
    ) -> tuple[Tensor, ...]:
        count = len(scales)
        weights, biases = tensors[count : 2 * count], tensors[2 * count : 3 * count]
        terms: Any = [Term(*parts) for parts in zip(tensors[:count], scales, weights, biases, strict=True)]  # pyright: ignore
        wanted = [Wanted(shift, clamp) for shift, clamp in zip(tensors[3 * count :], clamps, strict=True)]
        made: list[Tensor] = []
        for y in _combined(terms, wanted):
            made.append(_alias(y) if any(y is other for other in (*made, *tensors)) else y)
        ctx.scales, ctx.clamps, ctx.images = scales, clamps, [len(term.tensor) for term in terms]
        masks = [None if clamp == LINEAR else y for y, clamp in zip(made, clamps, strict=True)]
        ctx.save_for_backward(*(None if t.scale is None else t.tensor for t in terms), *weights, *biases, *masks)
        ctx.set_materialize_grads(False)
        return tuple(made)

    @staticmethod
    @differentiable_once
    def backward(ctx: Any, *grads: Tensor | None) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
        count, saved = len(ctx.scales), ctx.saved_tensors
        weights, biases, masks = saved[count : 2 * count], saved[2 * count : 3 * count], saved[3 * count :]
        used = [i for i, grad in enumerate(grads) if grad is not None]
        results: list[Tensor | None] = [None] * (3 * count + len(grads))
        if not used:
            return None, None, *results
        where = [k for k, scale in enumerate(ctx.scales) if scale is not None]
        terms = [Term(saved[k], ctx.scales[k], weights[k], biases[k]) for k in where]
        given = [as_rows(grads[i]) for i in used]  # pyright: ignore[reportArgumentType]
        summed = [ctx.needs_input_grad[2 + 3 * count + i] for i in used]
        gradient, sums = gathered(given, [masks[i] for i in used], [ctx.clamps[i] for i in used], summed, terms)
        for number, i in enumerate(used):
            if summed[number]:
                results[3 * count + i] = sums[number]
        of_one = over_images(gradient) if min(ctx.images) < len(gradient) else gradient
        results[:count] = [gradient if images == len(gradient) else of_one for images in ctx.images]
        if terms:
            outputs = [torch.empty_like(gradient) for _ in terms[1:]]
            ours = len(terms) == count and all(gradient is not grad for grad in grads)
            outputs.append(gradient if ours else torch.empty_like(gradient))
            spread(gradient, terms, sums, len(used), outputs)
            for number, (k, output) in enumerate(zip(where, outputs, strict=True)):
                results[k] = output
                if terms[number].weight is not None:
                    results[count + k] = sums[len(used) + 1 + number]
                if terms[number].bias is not None:
                    results[2 * count + k] = sums[len(used)]
        needed = ctx.needs_input_grad[2:]
        return None, None, *(grad if wanted else None for grad, wanted in zip(results, needed, strict=True))


def _alias(x: Tensor) -> Tensor:
    """Another tensor of the same memory that autograd does not know to be a view."""
    return x.new_empty(0).set_(x)  # pyright: ignore[reportArgumentType]

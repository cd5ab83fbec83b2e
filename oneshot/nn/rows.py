"""Channels-last images on a CPU, read as a matrix and worked on in parts that stay in a core's cache."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

ROW = 256
"""Floats in a row of the matrix, which are some pixels of all channels."""
PART = 2**18
"""Floats of each tensor that a thread works on at a time."""


def channels(vector: Tensor, like: Tensor) -> Tensor:
    """A vector over channels [C] as [1, C, 1, 1] of the other tensor's type."""
    return vector.to(like.dtype).view(1, -1, 1, 1)


def is_rows(x: Tensor) -> bool:
    on_cpu = x.device.type == "cpu" and x.dtype == torch.float32
    return on_cpu and x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)


def pixels(x: Tensor) -> int:
    """How many pixels make a row: a power of two that divides the number of pixels."""
    count, of = 1, x.numel() // x.shape[1]
    while count * x.shape[1] < ROW and of % (2 * count) == 0:
        count *= 2
    return count


def parts(x: Tensor) -> tuple[Tensor, ...]:
    """Matrices of about PART numbers for each thread."""
    width = pixels(x) * x.shape[1]
    return x.permute(0, 2, 3, 1).view(-1, width).split(max(PART * torch.get_num_threads() // width, 1))


def combined(
    terms: Sequence[Tensor], scales: Sequence[Tensor | None], shift: Tensor | None = None, rectify: bool = False
) -> Tensor:
    """The sum of terms [B, C, H, W] times scales [C], plus a shift [C], and its ReLU if asked for."""
    like = terms[0]
    if torch.is_grad_enabled() or not all(is_rows(term) and term.shape == like.shape for term in terms):
        return _combined_slowly(terms, scales, shift, rectify)
    out, count = torch.empty_like(like), pixels(like)
    *wide, last = (None if vector is None else vector.repeat(count) for vector in (*scales, shift))
    for *sources, target in zip(*map(parts, terms), parts(out), strict=True):
        total = sources[0] if wide[0] is None else torch.mul(sources[0], wide[0], out=target)
        for source, scale in zip(sources[1:], wide[1:], strict=True):
            if scale is None:
                total = torch.add(total, source, out=target)
            else:
                total = torch.addcmul(total, source, scale, out=target)
        if last is not None:  # after the sum, so that it makes no difference whether that was there already
            total = torch.add(total, last, out=target)
        if rectify:
            torch.clamp_min(total, 0, out=target)
        elif total is not target:
            target.copy_(total)
    return out


def _combined_slowly(
    terms: Sequence[Tensor], scales: Sequence[Tensor | None], shift: Tensor | None, rectify: bool
) -> Tensor:
    each = [term if s is None else term * channels(s, term) for term, s in zip(terms, scales, strict=True)]
    total = each[0]
    for term in each[1:]:
        total = total + term
    total = total if shift is None else total + channels(shift, total)
    return F.relu(total) if rectify else total


def moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and variance [C], the latter without correction for the size of the sample, of images that `is_rows`."""
    each = parts(x)
    width = each[0].shape[1]
    total, squares, ones = torch.zeros(1, width), torch.zeros(1, width), torch.ones(1, len(each[0]))
    buffer = torch.empty_like(each[0])
    for part in each:
        square = torch.mul(part, part, out=buffer[: len(part)])
        total.addmm_(ones[:, : len(part)], part)
        squares.addmm_(ones[:, : len(part)], square)
    count = x.numel() // x.shape[1]
    mean, square = (sums.view(-1, x.shape[1]).double().sum(0) / count for sums in (total, squares))
    return mean.float(), (square - mean * mean).clamp_min_(0).float()

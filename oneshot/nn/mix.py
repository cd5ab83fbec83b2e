"""Weighted sums of the same images for several readers, as one product of matrices."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def mixed(images: Sequence[Tensor], weights: Sequence[Sequence[float | Tensor]]) -> list[Tensor]:
    """A sum of the K images [B, C, H, W] for each row of weights [T, K], numbers or tensors of one number.

    One pass over the images each way, whatever T is: they are copied behind each other, and multiplied once.
    """
    like = images[0]
    is_last = like.is_contiguous(memory_format=torch.channels_last)
    flat = torch.stack([(x.permute(0, 2, 3, 1) if is_last else x).reshape(-1) for x in images])
    exact = torch.promote_types(like.dtype, torch.float32)
    rows = [torch.stack([torch.as_tensor(w, dtype=exact, device=like.device) for w in row]) for row in weights]
    with torch.autocast(like.device.type, enabled=False):
        sums = torch.stack(rows).to(flat.dtype) @ flat
    if not is_last:
        return [one.view(like.shape) for one in sums.unbind()]
    count, width, height, length = like.shape
    return [one.view(count, height, length, width).permute(0, 3, 1, 2) for one in sums.unbind()]

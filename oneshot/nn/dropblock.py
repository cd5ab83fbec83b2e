"""DropBlock on identities, which weakens what architecture parameters learn through them (MSG-DAS, section 3.2)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.base import distributed
from oneshot.nn.choice import ChoiceBlock
from oneshot.nn.operations import Skip
from oneshot.nn.separable import FactorizedReduce


def block_mask(shape: torch.Size, rate: float, block: int, generator: torch.Generator) -> Tensor:
    """Zeros in squares of side `block` and ones elsewhere [B, C, H, W]; about `rate` of all are zeros.

    Seeds of squares by arXiv 1810.12890, Algorithm 1 and equation 1; a square is no larger than the image.
    """
    batch, width, *sides = shape
    block = min(block, *sides)
    places = [side - block + 1 for side in sides]
    share = rate * sides[0] * sides[1] / (block**2 * places[0] * places[1])
    seeds = torch.rand(batch, width, *places, generator=generator, device=generator.device) < share
    return 1 - F.max_pool2d(F.pad(seeds.float(), (block - 1,) * 4), block, 1)


@contextmanager
def dropped(net: nn.Module, rate: float, block: int, seed: int) -> Iterator[None]:
    """Inside, what identities that can be chosen give is dropped in squares, and not scaled up (equation 4).

    Masks are those of one process, of which each has the share of its images.
    """
    parameter = next(net.parameters(), None)
    generator = torch.Generator("cpu" if parameter is None else parameter.device).manual_seed(seed)
    rank, world = distributed.rank(), distributed.world()

    def drop(module: nn.Module, inputs: Any, y: Tensor) -> Tensor:
        mask = block_mask(torch.Size((len(y) * world, *y.shape[1:])), rate, block, generator)
        return y * mask[rank::world].to(y.dtype)

    handles = [module.register_forward_hook(drop) for module in identities(net)] if rate else []
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def identities(net: nn.Module) -> Iterator[nn.Module]:
    """The identities among what can be chosen, those that halve the image included."""
    for module in net.modules():
        if isinstance(module, ChoiceBlock):
            yield from (option for option in module.options if isinstance(option, Skip | FactorizedReduce))
        elif isinstance(module, nn.Identity):
            yield module

"""Whether images fit a network, before anything is trained."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import deepcopy

import torch
from torch import nn

from oneshot.gates import Gates
from oneshot.space import Arch, Space

TRIES = 32
"""Smaller sizes that are tried, to name one that fits."""


@torch.no_grad()
def check_fit(net: nn.Module, space: Space, shape: tuple[int, int], batch: int) -> None:
    """ValueError unless images of this height and width go through the network, `batch` of them while it trains."""
    covering = [space.gates(arch) for arch in _covering(space)]
    if not _fits(net, covering, shape):
        smaller = range(min(shape), max(min(shape) - TRIES, 0), -1)
        found = next((size for size in smaller if _fits(net, covering, (size, size))), None)
        hint = f"{found}x{found} ones do: --image-size {found}" if found else "nor do somewhat smaller ones"
        raise ValueError(f"images of {shape[0]}x{shape[1]} pixels do not fit the network of {space.name}; {hint}")
    if batch == 1:  # BatchNorm has no statistics of one value
        alone = deepcopy(net).train()
        if not _passes(alone, covering, shape):
            raise ValueError(
                f"batches of one image of {shape[0]}x{shape[1]} pixels leave BatchNorm one value a channel in the "
                f"network of {space.name}: --batch-size must be at least 2 (for each process)"
            )


def _fits(net: nn.Module, covering: Sequence[Gates], shape: tuple[int, int]) -> bool:
    modes = {module: module.training for module in net.modules()}
    try:
        return _passes(net.eval(), covering, shape)
    finally:
        for module, mode in modes.items():
            module.training = mode


def _passes(net: nn.Module, covering: Sequence[Gates], shape: tuple[int, int]) -> bool:
    x = torch.zeros(1, 3, *shape, device=next(net.parameters()).device).contiguous(memory_format=torch.channels_last)
    with torch.random.fork_rng(devices=[]):
        try:
            for gates in covering:
                net(x, gates)
        except (RuntimeError, ValueError):
            return False
    return True


def _covering(space: Space) -> Iterator[Arch]:
    """Architectures that hold every option of every decision between them, as far as the space allows them."""
    for option in range(max(len(decision.options) for decision in space.decisions)):
        arch = tuple(min(option, len(decision.options) - 1) for decision in space.decisions)
        if space.allows(arch):
            yield arch

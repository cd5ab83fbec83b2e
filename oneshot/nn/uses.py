"""Which weights and statistics a pass of a network uses, in which order; what another network of the same steps takes.

Nothing is assumed of a network but that it is run: a supernet at one architecture, and the network of that architecture
alone, take the same steps in the same order, so that the first use of each tensor in one is that in the other.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from oneshot.gates import Gates
from oneshot.nn.cpu import without_loops


class Unused(nn.Module):
    """Stands where a module was whose weights no pass uses; what it is given, it gives."""

    def forward(self, *inputs: Any) -> Any:
        return inputs[0] if inputs else None


class _Uses(TorchDispatchMode):
    """Writes down the known tensors in the order of their first use by any operation."""

    def __init__(self, known: Collection[Tensor]) -> None:
        super().__init__()
        self.known, self.found = {id(value) for value in known}, dict[int, Tensor]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        for value in tree_leaves((args, kwargs)):
            if isinstance(value, Tensor) and id(value) in self.known:
                self.found.setdefault(id(value), value)
        return func(*args, **(kwargs or {}))


@torch.no_grad()
def used(net: nn.Module, gates: Gates, images: Tensor) -> tuple[list[Tensor], Tensor]:
    """Parameters and buffers by their first use in one evaluation pass, and the logits."""
    modes = {module: module.training for module in net.modules()}
    uses = _Uses([*net.parameters(), *net.buffers()])
    try:
        with without_loops(), uses:
            logits = net.eval()(images, gates)
    finally:
        for module, mode in modes.items():
            module.training = mode
    return list(uses.found.values()), logits


@torch.no_grad()
def take(theirs: Sequence[Tensor], ours: Sequence[Tensor], aside: Iterable[nn.Module] = ()) -> None:
    """Copy tensors one by one, but for those of some modules; of larger ones the leading part, as sliced layers use it.

    ValueError where they do not correspond.
    """
    left = {id(value) for module in aside for value in (*module.parameters(), *module.buffers())}
    theirs, ours = ([value for value in tensors if id(value) not in left] for tensors in (theirs, ours))
    if len(theirs) != len(ours):
        raise ValueError(f"expected as many weights and statistics, got {len(theirs)} for {len(ours)}")
    for source, target in zip(theirs, ours, strict=True):
        fits = source.dim() == target.dim() and all(a >= b for a, b in zip(source.shape, target.shape, strict=True))
        if not fits:
            raise ValueError(f"expected a tensor of at least {tuple(target.shape)}, got {tuple(source.shape)}")
        target.copy_(source[tuple(slice(0, n) for n in target.shape)])


def prune(net: nn.Module, kept: Collection[Tensor]) -> None:
    """Take out every module that has tensors of its own of which none is kept; the places of all others stay."""
    known = {id(value) for value in kept}
    for parent in list(net.modules()):
        for name, child in list(parent._modules.items()):
            own = [] if child is None else [*child._parameters.values(), *child._buffers.values()]
            if any(value is not None for value in own) and not any(id(value) in known for value in own):
                parent._modules[name] = child = _without(child)  # pyright: ignore[reportArgumentType]


def _without(module: nn.Module) -> nn.Module:
    """What is left of a module without tensors of its own: its children, if it has any."""
    if not list(module.children()):
        return Unused()
    for name in (*module._parameters, *module._buffers):
        setattr(module, name, None)
    return module

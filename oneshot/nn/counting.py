"""The cost of an architecture counted on its network, by hooks: the slow twin of every formula of a space."""

from __future__ import annotations

from dataclasses import fields
from functools import lru_cache
from math import prod

import torch
from torch import Tensor, nn

from oneshot.cost import Cost
from oneshot.gates import Gates
from oneshot.registry import skeleton_of
from oneshot.space import Arch, Space


def counted(net: nn.Module, gates: Gates, image_size: int = 32) -> Cost:
    """The cost of what runs in one forward pass, by hooks: the slow twin of every formula.

    Counts the multiply-adds of convolutions and of linear layers with their bias, as NAS-Bench-201 does; a supernet's
    parameters are those of the modules that ran.
    """
    ran: dict[nn.Parameter, None] = {}
    multiplies = 0

    def count(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        nonlocal multiplies
        ran.update(dict.fromkeys(module.parameters(recurse=False)))
        if isinstance(module, nn.Conv2d):
            # not by the shape of the weight, of which a sliced convolution uses a part
            multiplies += output.numel() * (inputs[0].shape[1] // module.groups) * prod(module.kernel_size)
        elif isinstance(module, nn.Linear):
            places = output.numel() // module.out_features
            multiplies += places * sum(p.numel() for p in module.parameters())
        elif isinstance(module, nn.MultiheadAttention):  # which calls no module but its own tensors
            tokens, width = inputs[0].numel() // inputs[0].shape[-1], module.embed_dim
            multiplies += tokens * (4 * width * width + 2 * inputs[0].shape[-2] * width)
            ran.update(dict.fromkeys(module.parameters()))

    training, device = net.training, next(net.parameters()).device
    hooks = [module.register_forward_hook(count) for module in net.modules()]
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(1, 3, image_size, image_size, device=device), gates)
    finally:
        net.train(training)
        for hook in hooks:
            hook.remove()
    return Cost(sum(p.numel() for p in ran), multiplies / 1e6)


@lru_cache(maxsize=1 << 14)
def counted_alone(space: Space, arch: Arch, **size: int) -> Cost:
    """The cost of the stand-alone network that the space is registered with; sizes it does not have play no part."""
    kind = skeleton_of(space.name)
    known = {f.name for f in fields(kind)}
    size = {"classes": 10, "image_size": 32, **getattr(kind, "sizes", {}), **size}
    settings = kind(**{name: value for name, value in size.items() if name in known})
    alone = space.only(arch)
    net = settings.make(alone, size["classes"], True)
    return counted(net, alone.gates((0,) * len(alone.decisions)), size["image_size"])

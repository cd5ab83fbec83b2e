"""What an architecture costs: counted on a network, and the type that the formulas of spaces return."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields
from functools import lru_cache
from math import prod
from typing import TYPE_CHECKING

from oneshot.registry import skeleton_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from oneshot.gates import Gates
    from oneshot.space import Arch, Space

SIZES = ("channels", "cells", "classes", "image_size")
"""What the cost of a network may depend on."""


@dataclass(frozen=True)
class Cost:
    """Trainable parameters of a stand-alone network, and its multiply-adds of one image in millions."""

    params: int
    mflops: float


def live_facts(whole: Cost, live: Cost, convolutions: Iterable[int], depth: int) -> dict[str, float]:
    """What every space of cells counts: all, what is *live* (on a path from input to output), and its kernels.

    `convolutions` are the kernels of those that the space counts; `depth` is how many operations but skips the longest
    live path has, -1 where there is none.
    """
    kernels = tuple(convolutions)
    return {
        "parameters": float(whole.params),
        "multiply_adds": whole.mflops,
        "live_parameters": float(live.params),
        "live_multiply_adds": live.mflops,
        "convolutions": float(len(kernels)),
        "convolutions_3x3": float(kernels.count(3)),
        "live_depth": float(depth),
    }


def counted(net: nn.Module, gates: Gates, image_size: int = 32) -> Cost:
    """The cost of what runs in one forward pass, by hooks: the slow twin of every formula.

    Counts the multiply-adds of convolutions and of linear layers with their bias, as NAS-Bench-201 does; a supernet's
    parameters are those of the modules that ran.
    """
    import torch
    from torch import nn

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

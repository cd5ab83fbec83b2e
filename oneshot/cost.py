"""What an architecture costs: counted on a network, and the type that the formulas of spaces return."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor, nn

    from oneshot.gates import Gates


@dataclass(frozen=True)
class Cost:
    """Trainable parameters of a stand-alone network, and its multiply-adds of one image in millions."""

    params: int
    mflops: float


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
            multiplies += sum(p.numel() for p in module.parameters())

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

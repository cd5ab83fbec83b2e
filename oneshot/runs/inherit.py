"""The network of one architecture with what it inherits from a trained supernet."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from oneshot.nn.contexts.base import Told
from oneshot.nn.contexts.constant import Constant, vectors_of
from oneshot.nn.uses import take, used
from oneshot.space import Arch, Space

CLOSE = 1e-3
"""How far logits may differ, as a share of the largest, by the order of additions in a network that is cut out."""


def inherit(net: nn.Module, space: Space, arch: Arch, alone: nn.Module, own: Space, images: Tensor) -> list[Tensor]:
    """Give `alone`, of the one-architecture space `own`, what the supernet uses for this architecture.

    Weights of channels that are not used, of copies of other contexts, and what tells contexts apart are left behind;
    what a context says of this architecture becomes constant. Returns the tensors that `alone` uses. ValueError where
    its steps are not those of the supernet, or its logits of the images differ.
    """
    gates, only = space.gates(arch), own.gates((0,) * len(own.decisions))
    contexts, told = getattr(net, "contexts", None), list[Told]()
    watch = (
        None if contexts is None else contexts.register_forward_hook(lambda module, asked, given: told.append(given))
    )
    try:
        theirs, expected = used(net, gates, images)
    finally:
        if watch is not None:
            watch.remove()
    constant = Constant({name: vector for given in told for name, vector in vectors_of(given)})
    if list(constant.parameters()):
        alone.contexts = constant
    ours, _ = used(alone, only, images)
    try:
        take(_but(theirs, contexts), _but(ours, constant))
        got = used(alone, only, images)[1]
        if not torch.allclose(got, expected, rtol=0, atol=CLOSE * max(1.0, float(expected.abs().max()))):
            raise ValueError(f"logits differ by {float((got - expected).abs().max()):.3g}")
    except ValueError as error:
        raise ValueError(
            f"the network of {own.name} alone is no part of its supernet, whose weights it could inherit: {error}"
        ) from error
    constant.keep(ours)
    if contexts is not None and not list(constant.parameters()):
        alone.contexts = None  # pyright: ignore[reportArgumentType]
    return ours


def _but(tensors: Sequence[Tensor], module: nn.Module | None) -> list[Tensor]:
    """The tensors that are not this module's."""
    aside = set() if module is None else {*map(id, (*module.parameters(), *module.buffers()))}
    return [value for value in tensors if id(value) not in aside]

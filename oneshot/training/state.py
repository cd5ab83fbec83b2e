"""What a checkpoint keeps of a network, and what of it another network takes."""

from __future__ import annotations

import re
from collections.abc import Mapping, Set

from torch import Tensor, nn

from oneshot.nn.auxiliary import AuxiliaryHead

CONTEXTS = "contexts."
"""What the names of weights begin with that depend on earlier choices, see `oneshot.nn.contexts`."""


def network_state(net: nn.Module) -> dict[str, Tensor]:
    return {f"net.{key}": value for key, value in net.state_dict().items()}


def load_network(net: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy a saved state into a network of the same shape; ValueError names what does not fit."""
    _load(net, _saved(state))


def convert_network(net: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Copy the weights that all choices share, and keep the network's own where weights depend on earlier choices.

    So a baseline becomes a bias supernet (zeros) or one that is yet to split, and a bias supernet a baseline, without
    its biases. ValueError for a checkpoint after its split: several copies cannot become one.
    """
    shared = {key: value for key, value in _saved(state).items() if not key.startswith(CONTEXTS)}
    _load(net, shared | {key: value for key, value in net.state_dict().items() if key.startswith(CONTEXTS)})


def load_common(net: nn.Module, other: nn.Module) -> list[str]:
    """Copy what two networks have in common; what only one of them has, but for BatchNorm and auxiliary classifiers."""
    found = net.load_state_dict(other.state_dict(), strict=False)
    kinds = (nn.modules.batchnorm._BatchNorm, AuxiliaryHead)
    modules = [*net.named_modules(), *other.named_modules()]
    free = {f"{name}." for name, module in modules if isinstance(module, kinds)}
    return [k for k in (*found.missing_keys, *found.unexpected_keys) if not any(map(k.startswith, free))]


def _saved(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix("net."): value for key, value in state.items() if key.startswith("net.")}


def _load(net: nn.Module, saved: Mapping[str, Tensor]) -> None:
    own = net.state_dict()
    shapes = [k for k in sorted(own.keys() & saved.keys()) if own[k].shape != saved[k].shape]
    odd = sorted(own.keys() ^ saved.keys()) + [f"{k} {tuple(saved[k].shape)} for {tuple(own[k].shape)}" for k in shapes]
    if odd:
        raise ValueError(
            f"the checkpoint does not fit this network: {len(odd)} differences, first {', '.join(odd[:3])}"
            + _explained(own.keys() - saved.keys(), saved.keys() - own.keys())
        )
    net.load_state_dict(saved)


def _explained(missing: Set[str], unexpected: Set[str]) -> str:
    """What the names say if all of the difference is weights that depend on earlier choices."""
    names = missing | unexpected
    if names and all(name.startswith(CONTEXTS) for name in names):
        which = "context weights (bias or attention)"
    elif names and all(re.search(r"\.options\.\d+\.", name) for name in names):
        which = "copies of split weights"
    else:
        return ""
    has, lacks = ("network", "checkpoint") if missing else ("checkpoint", "network")
    return f"; the {has} has {which} that the {lacks} lacks; --init-from converts, except after a split"


def named(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A state within that of a whole training."""
    return {f"{prefix}.{name}": value for name, value in state.items()}


def part(prefix: str, state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What `named` put there."""
    return {name.removeprefix(f"{prefix}."): value for name, value in state.items() if name.startswith(f"{prefix}.")}


def load_method(method: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Take over what a method remembers; ValueError names what does not fit."""
    saved, own = part("method", state), method.state_dict()
    odd = sorted(own.keys() ^ saved.keys()) + [k for k in own.keys() & saved.keys() if own[k].shape != saved[k].shape]
    if odd:
        raise ValueError(f"the checkpoint does not fit this method: {len(odd)} differences, first {', '.join(odd[:3])}")
    method.load_state_dict(saved)

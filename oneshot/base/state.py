"""The state of optimisers as named tensors."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def optimizer_state(prefix: str, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """The tensors of an optimiser, named PREFIX.parameter number.key."""
    return {
        f"{prefix}.{number}.{key}": value
        for number, entry in optimizer.state_dict()["state"].items()
        for key, value in entry.items()
        if isinstance(value, Tensor)
    }


def load_optimizer(prefix: str, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]) -> None:
    """Take over what `optimizer_state` wrote; ValueError names what does not fit the optimiser's parameters."""
    entries: dict[int, dict[str, Tensor]] = {}
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for name, value in state.items():
        if name.startswith(f"{prefix}."):
            number, _, key = name.removeprefix(f"{prefix}.").partition(".")
            if not key or not number.isdecimal() or int(number) >= len(parameters):
                raise ValueError(f"the checkpoint does not fit this optimiser: it has no parameter of {name!r:.200}")
            _check_shape(name, value, parameters[int(number)])
            entries.setdefault(int(number), {})[key] = value.clone()
    optimizer.load_state_dict({"state": entries, "param_groups": optimizer.state_dict()["param_groups"]})


def _check_shape(name: str, value: Tensor, parameter: Tensor) -> None:
    """State is as its parameter, or has one number in place of some of its sides, or of all."""
    whole = parameter.shape if value.dim() else ()
    fits = value.dim() == len(whole) and all(n in (1, m) for n, m in zip(value.shape, whole, strict=True))
    if not fits:
        raise ValueError(
            f"the checkpoint does not fit this optimiser: {name} has shape {tuple(value.shape)}, its parameter "
            f"{tuple(parameter.shape)}"
        )

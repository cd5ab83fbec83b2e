"""Number formats of a training or an evaluation."""

from __future__ import annotations

from functools import cache

import torch


def autocast(precision: str, device: torch.device) -> torch.autocast:
    """The recipe's precision on a device."""
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=used(precision, device) == "bf16")


def used(precision: str, device: torch.device) -> str:
    """What a recipe's precision is on a device: float32 or bf16."""
    if precision != "auto":
        return precision
    return "bf16" if device.type == "cuda" or (device.type == "cpu" and _has_matrix_units()) else "float32"


@cache
def _has_matrix_units() -> bool:
    """Whether the processor multiplies matrices of bf16 in hardware (AMX); float32's convolutions are slower there."""
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", lambda: False)())

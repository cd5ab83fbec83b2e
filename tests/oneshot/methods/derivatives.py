"""Derivatives by central differences, in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn


def numeric(loss: Callable[[], Tensor], parameters: Sequence[Tensor], by: float = 1e-6) -> list[Tensor]:
    """Of a loss by each entry of these parameters, which are moved in place and taken back."""
    found = []
    with torch.no_grad():
        for p in parameters:
            flat, gradient = p.view(-1), torch.zeros(p.numel(), dtype=p.dtype)
            for i in range(len(flat)):
                before = flat[i].clone()
                flat[i] = before + by
                ahead = loss()
                flat[i] = before - by
                gradient[i] = (ahead - loss()) / (2 * by)
                flat[i] = before
            found.append(gradient.view_as(p))
    return found


def analytic(loss: Callable[[], Tensor], parameters: Sequence[Tensor]) -> list[Tensor]:
    found = torch.autograd.grad(loss(), list(parameters), allow_unused=True)
    return [torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True)]


class Two(nn.Module):
    """Two numbers are the logits of two options, mixed by the gate of the only site."""

    def __init__(self) -> None:
        super().__init__()
        self.options = nn.Parameter(torch.tensor([[0.5, -1.0], [2.0, 0.25]], dtype=torch.float64))

    def forward(self, images: Tensor, gates: tuple[tuple[tuple[int, Tensor | float], ...], ...]) -> Tensor:
        total = torch.zeros(2, dtype=torch.float64)
        for option, weight in gates[0]:
            total = total + self.options[option] * weight
        return total.expand(len(images), 2)

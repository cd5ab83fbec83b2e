"""Synflow: how much flows through all weights together (arXiv 2006.05467)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from oneshot.evaluators.training_free.base import Single
from oneshot.evaluators.training_free.gradients import weights
from oneshot.evaluators.training_free.subject import Subject, Unreadable
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.overrides import TorchFunctionMode

CLAMPS = {F.relu6, F.hardtanh, F.hardtanh_}
DOUBLED = 1e-6
"""How far, relatively, logits may be from twice as large where the images are."""


class _Unclamped(TorchFunctionMode):
    """ReLU6 without its upper end, which positive weights soon reach."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in CLAMPS:
            return F.relu(args[0])
        return func(*args, **(kwargs or {}))


def linearise(net: nn.Module) -> list[nn.Parameter]:
    """Make weights float64 and absolute, and BatchNorm and biases do nothing; returns the weights."""
    net.double()
    norms = [module for module in net.modules() if isinstance(module, _BatchNorm)]
    with torch.no_grad():
        for p in net.parameters():
            p.abs_() if p.dim() >= 2 else p.zero_()
    for norm in norms:  # evaluated, with fresh statistics
        norm.eval()
        norm.eps = 0.0
        norm.reset_running_stats()
        norm.reset_parameters()
    return weights(net)


@dataclass(frozen=True)
class Synflow(Single):
    """The sum of dR/dw times w, R the sum of the logits of an image of ones (arXiv 2006.05467, equations 1 and 2).

    Weights are taken absolutely, without BatchNorm and biases, as arXiv 2101.08134 has it. No images are seen; `batch`
    plays no part.
    """

    name: ClassVar[str] = "synflow"

    def score(self, subject: Subject) -> float:
        tensors = linearise(subject.net)
        ones = torch.ones_like(subject.batch.images[:1], dtype=torch.float64)
        with _Unclamped():
            one, two = subject.logits(torch.cat([ones, 2 * ones])).sum(1)
        if not torch.isclose(two, 2 * one, rtol=DOUBLED, atol=0.0):
            raise Unreadable(
                "reads networks of weights and ReLUs, whose logits double where positive images do: this one's do not"
            )
        found = torch.autograd.grad(one, tensors, allow_unused=True)
        return sum(float((g * p.detach()).sum()) for p, g in zip(tensors, found, strict=True) if g is not None)

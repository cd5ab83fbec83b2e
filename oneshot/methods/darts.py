"""First-order DARTS (arXiv 1806.09055): a softmax mixture of all options, its logits trained on validation images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from oneshot.gates import mixture
from oneshot.methods.base import Batch
from oneshot.space import Arch, Space


class Darts:
    """Equation 2's mixture; Algorithm 1 with xi = 0; derives the strongest option of each decision.

    `zero` names an option that may be mixed but not derived, as section 2.4 has it for `none`.
    """

    def __init__(self, space: Space, zero: str = "none") -> None:
        self.space, self.zero = space, zero
        self.alphas = [nn.Parameter(torch.zeros(len(decision.options))) for decision in space.decisions]

    def arch_parameters(self) -> Sequence[nn.Parameter]:
        return self.alphas

    def losses(self, net: nn.Module, batch: Batch, progress: float) -> Iterator[Tensor]:
        images, labels = batch.held_out()
        with _weights_fixed(net):
            loss = batch.loss(net(images, mixture(self.space, [a.softmax(0) for a in self.alphas])), labels)
        yield loss
        gates = mixture(self.space, [a.detach().softmax(0) for a in self.alphas])
        yield batch.loss(net(batch.images, gates), batch.labels)

    def derive(self) -> Arch | None:
        arch = []
        for decision, alpha in zip(self.space.decisions, self.alphas, strict=True):
            values = alpha.tolist()
            allowed = [i for i, option in enumerate(decision.options) if option != self.zero]
            arch.append(max(allowed or range(len(values)), key=values.__getitem__))
        return tuple(arch)


@contextmanager
def _weights_fixed(net: nn.Module) -> Iterator[None]:
    """The loss made inside reaches no weight of the network."""
    weights = [p for p in net.parameters() if p.requires_grad]
    for p in weights:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for p in weights:
            p.requires_grad_(True)

"""VKDNW: how evenly the weights' Fisher information is spread (arXiv 2502.04975)."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from oneshot.evaluators.training_free.az_nas import entropies, features, trainability
from oneshot.evaluators.training_free.base import Single
from oneshot.evaluators.training_free.derivatives import pulled_back, shown
from oneshot.evaluators.training_free.jacov import jacov
from oneshot.evaluators.training_free.ranked import Ranked
from oneshot.evaluators.training_free.subject import NOISE, Subject, Unreadable
from torch import Tensor, nn

DECILES = torch.arange(1, 10, dtype=torch.float64) / 10


@dataclass(frozen=True)
class _Call:
    """What a layer made of what."""

    layer: nn.Conv2d | nn.Linear
    given: Tensor
    made: Tensor

    def derivative(self, gradient: Tensor) -> Tensor:
        """Of each image's logit by the layer's first weight [B], from the logit's gradient by what the layer made."""
        if isinstance(self.layer, nn.Linear):
            return (gradient[..., 0] * self.given[..., 0]).reshape(len(gradient), -1).sum(1)
        seen = F.pad(self.given[:, 0], _padding(self.layer))
        step_y, step_x = self.layer.stride
        height, width = gradient.shape[2:]
        seen = seen[:, : (height - 1) * step_y + 1 : step_y, : (width - 1) * step_x + 1 : step_x]
        return (gradient[:, 0] * seen).sum((1, 2))


def _padding(layer: nn.Conv2d) -> list[int]:
    """As F.pad wants it, the width first."""
    if isinstance(layer.padding, str):
        raise Unreadable(f"needs convolutions that are padded by numbers, and this network has {layer.padding!r}")
    high, wide = layer.padding
    return [wide, wide, high, high]


def jacobians(subject: Subject) -> tuple[Tensor, Tensor]:
    """Derivatives of each image's logits by the first weight of each layer [B, classes, layers], and the logits.

    Layers are the convolutions and linear maps that run, as modules; BatchNorm is as it is evaluated, so that images
    do not know of each other. Unreadable where none runs.
    """
    calls: list[_Call] = []

    def note(layer: Any, given: Any, made: Tensor) -> None:
        calls.append(_Call(layer, given[0].detach(), made))

    net, images, training = subject.net, shown(subject), subject.net.training
    with ExitStack() as hooked:
        hooked.callback(net.train, training)
        net.eval()
        for module in net.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                hooked.callback(module.register_forward_hook(note).remove)
        logits = subject.logits(images)
    if not calls:
        raise Unreadable("reads convolutions and linear maps, of which this network runs none")
    by_class: list[Tensor] = []
    for label in range(logits.shape[1]):
        found = pulled_back(logits[:, label], [call.made for call in calls])
        by_class.append(torch.stack([call.derivative(g) for call, g in zip(calls, found, strict=True)], 1))
    return torch.stack(by_class, 1), logits.detach()


def fisher(derivatives: Tensor, logits: Tensor) -> Tensor:
    """Information [layers, layers]: the mean over images of J' (diag p - p p') J (arXiv 2502.04975, equation 10)."""
    share = logits.double().softmax(1)
    rows = derivatives.double()
    centred = rows - (share[..., None] * rows).sum(1, keepdim=True)
    weighted = (centred * share[..., None].sqrt()).flatten(0, 1)
    return weighted.T @ weighted / len(logits)


def spread(information: Tensor) -> float:
    """The entropy of the deciles of the eigenvalues (equation 11); 0 where there is no information."""
    eigenvalues = torch.linalg.eigvalsh(information).clamp_min(0).cpu()
    deciles = torch.quantile(eigenvalues, DECILES)
    total = deciles.sum()
    return float(torch.special.entr(deciles / total).sum()) if total > 0 else 0.0


def vkdnw(subject: Subject) -> float:
    """Layers, and how evenly what their weights know is spread."""
    derivatives, logits = jacobians(subject)
    return derivatives.shape[2] + spread(fisher(derivatives, logits))


@dataclass(frozen=True)
class Vkdnw(Single):
    """The number of layers plus the entropy of the Fisher information's deciles (arXiv 2502.04975, eq. 11 and 12).

    Of each layer, the first weight; the network's own probabilities stand for labels.

    Args:
        dataset: whose training images are shown, or noise
    """

    name: ClassVar[str] = "vkdnw"
    fan_in: ClassVar[bool] = True
    dataset: str = NOISE

    def score(self, subject: Subject) -> float:
        return vkdnw(subject)


@dataclass(frozen=True)
class VkdnwAggregate(Ranked):
    """The sum of the logarithms of five ranks (arXiv 2502.04975, equation 15), among a reference sample.

    They are those of VKDNW, jacov, AZ-NAS's expressivity and trainability, and multiply-adds.

    Args:
        dataset: whose training images are shown, or noise
    """

    name: ClassVar[str] = "vkdnw-aggregate"
    fan_in: ClassVar[bool] = True
    dataset: str = NOISE

    def parts(self, subject: Subject) -> Mapping[str, float]:
        known = vkdnw(subject)  # first: the others move BatchNorm's statistics
        found = features(subject, gradients=True)
        return {
            "vkdnw": known,
            "jacov": jacov(subject),
            "expressivity": sum(entropies(found)),
            "trainability": trainability(found, subject.generator()),
            "multiply-adds": subject.mflops,
        }

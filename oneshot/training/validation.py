"""How good one network is on some images."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.data.source import ImageSource
from oneshot.gates import Gates
from oneshot.training.precision import autocast

BATCH = 500


def score(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Which images [B] are right, the summed loss, and how many have logits that are not finite, and are not right."""
    finite = logits.isfinite().all(1)
    right = (logits.argmax(1) == labels) & finite
    return right, F.cross_entropy(logits, labels, reduction="sum"), (~finite).sum()


@torch.no_grad()
def validated(net: nn.Module, gates: Gates, images: ImageSource, precision: str = "auto") -> tuple[float, float]:
    """Accuracy in percent and mean loss, by the statistics that the network has; NaN where a logit is not finite."""
    net.eval()
    correct = loss = 0.0
    with autocast(precision, images.labels.device):
        for x, labels in images.batches(BATCH):
            right, losses, undefined = score(net(x, gates).float(), labels)
            if undefined:
                return math.nan, math.nan
            correct += float(right.sum())
            loss += float(losses)
    return 100 * correct / len(images), loss / len(images)

"""How good one network is on some images."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import nn

from oneshot.data.source import ImageSource
from oneshot.gates import Gates
from oneshot.training.precision import autocast

BATCH = 500


@torch.no_grad()
def validated(net: nn.Module, gates: Gates, images: ImageSource, precision: str = "auto") -> tuple[float, float]:
    """Accuracy in percent and mean loss, by the statistics that the network has; NaN where a logit is not finite."""
    net.eval()
    correct = loss = 0.0
    with autocast(precision, images.labels.device):
        for x, labels in images.batches(BATCH):
            logits = net(x, gates).float()
            if not logits.isfinite().all():
                return math.nan, math.nan
            correct += float((logits.argmax(1) == labels).sum())
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    return 100 * correct / len(images), loss / len(images)

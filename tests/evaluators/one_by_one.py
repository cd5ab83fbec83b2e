"""The slow twin of the supernet evaluator: one architecture after another, each through the whole network."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn

from evaluators.base import Prediction
from evaluators.supernet import NormMode
from oneshot.data import Images
from oneshot.gates import fixed
from oneshot.nn.norm import batch_norms
from oneshot.space import Arch, Space


@torch.no_grad()
def one_by_one(
    net: nn.Module, space: Space, train: Images, valid: Images, mode: str, batch_size: int, archs: Sequence[Arch]
) -> list[Prediction]:
    """By PyTorch's own BatchNorm, on a copy of the network for each architecture."""
    norm, found = NormMode.parse(mode), []
    for arch in archs:
        own, gates = copy.deepcopy(net).eval(), fixed(space, arch)
        for layer in batch_norms(own):
            if norm.kind.startswith("reset"):
                layer.reset_running_stats()
            layer.momentum = None if norm.kind == "reset-cumulative" else 0.1
            layer.train(norm.kind != "inherit")
        size = min(batch_size, len(train) // max(norm.batches, 1))
        for images, _ in train.subset(slice(0, norm.batches * size)).batches(size):
            own(images.contiguous(), gates)
        for layer in batch_norms(own):
            layer.train(norm.kind == "batch")
        correct = loss = 0.0
        for images, labels in valid.batches(batch_size):
            logits = own(images.contiguous(), gates)
            correct += float((logits.argmax(1) == labels).sum())
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
        found.append(Prediction(100 * correct / len(valid), loss / len(valid), len(valid)))
    return found

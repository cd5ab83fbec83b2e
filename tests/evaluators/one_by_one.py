"""The slow twin of the supernet evaluator: one architecture after another, each through the whole network."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from unittest import mock

import torch
import torch.nn.functional as F
from oneshot.evaluators import supernet
from oneshot.evaluators.base import Prediction
from oneshot.evaluators.supernet import SupernetEvaluator
from torch import nn

from oneshot.data.source import Images
from oneshot.gates import fixed
from oneshot.nn.norm import batch_norms
from oneshot.nn.recalibration import NormMode
from oneshot.space import Arch, Space
from oneshot.training.validation import score


def logits_of(
    net: nn.Module, space: Space, train: Images, valid: Images, mode: str, batch_size: int, arch: Arch
) -> torch.Tensor:
    """[N, classes] of the validation images, by PyTorch's own BatchNorm, on a copy of the network."""
    return _logits(copy.deepcopy(net), space, train, valid, mode, batch_size, arch)


@torch.no_grad()
def _logits(
    own: nn.Module, space: Space, train: Images, valid: Images, mode: str, batch_size: int, arch: Arch
) -> torch.Tensor:
    norm, gates = NormMode.parse(mode), fixed(space, arch)
    own.eval()
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
    return torch.cat([own(images.contiguous(), gates) for images, _ in valid.batches(batch_size)])


def one_by_one(
    net: nn.Module, space: Space, train: Images, valid: Images, mode: str, batch_size: int, archs: Sequence[Arch]
) -> list[Prediction]:
    found, own, state = [], copy.deepcopy(net), net.state_dict()
    for arch in archs:
        own.load_state_dict(state)
        logits = _logits(own, space, train, valid, mode, batch_size, arch)
        correct = float((logits.argmax(1) == valid.labels).sum())
        loss = float(F.cross_entropy(logits, valid.labels))
        found.append(Prediction(100 * correct / len(valid), loss, len(valid)))
    return found


def classes_together(evaluator: SupernetEvaluator, archs: Sequence[Arch]) -> torch.Tensor:
    """[A, N] that the evaluator predicts in one pass."""
    found: list[torch.Tensor] = []

    def scored(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        found.append(logits.argmax(1))
        return score(logits, labels)

    with mock.patch.object(supernet, "score", scored):
        evaluator.validate(archs)
    return torch.cat([torch.stack(found[i : i + len(archs)]) for i in range(0, len(found), len(archs))], 1)

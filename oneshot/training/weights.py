"""The network's weights as a target of losses, and the optimiser that a recipe gives them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from oneshot.methods.base import Target
from oneshot.nn.sliced import Corners
from oneshot.training.optimizers import SGD, Muon
from oneshot.training.recipe import Recipe


class Weights(Target):
    """A network, the recipe by which its weights are trained, and the optimiser that moves them."""

    def __init__(self, net: nn.Module, recipe: Recipe) -> None:
        super().__init__(of_weights(net, recipe))
        self.module, self.recipe = net, recipe

    @property
    def rate(self) -> float:
        return self.optimizer.param_groups[0]["lr"]

    @rate.setter
    def rate(self, value: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = value

    def take_over(self, old: Weights, origin: Mapping[nn.Parameter, nn.Parameter]) -> None:
        """The state (momentum) of other weights' optimiser, a parameter with an origin a copy of its origin's."""
        for p in self.parameters:
            state = old.optimizer.state.get(origin.get(p, p))
            if state:
                self.optimizer.state[p] = {key: value.clone() for key, value in state.items() if value is not None}

    def stepped(self, gradients: Sequence[Tensor | None]) -> list[Tensor]:
        """Where a step by these gradients would take the parameters, as new tensors that may carry gradients.

        ValueError for an optimiser other than SGD, whose step is no such formula.
        """
        ahead = getattr(self.optimizer, "ahead", None)
        if ahead is None:
            raise ValueError(
                f"a virtual step is one of SGD: optimizer must be sgd, got {type(self.optimizer).__name__}"
            )
        return ahead(self.parameters, gradients)


def of_weights(net: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimiser of all parameters, BatchNorm without weight decay.

    Each row of a table (an embedding with sparse gradients) has momentum and weight decay of its own, and so has each
    element of a sliced weight.
    """
    corners = Corners(net)
    norms = {p for m in net.modules() if isinstance(m, nn.BatchNorm2d) for p in m.parameters()}
    tables = {m.weight for m in net.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag) and m.sparse}
    groups: list[dict[str, Any]] = [
        {"params": [p for p in net.parameters() if p not in norms | tables], "weight_decay": recipe.weight_decay},
        {"params": [p for p in net.parameters() if p in norms], "weight_decay": 0.0},
    ]
    if tables:
        ordered = [p for p in net.parameters() if p in tables]
        groups.append({"params": ordered, "weight_decay": recipe.weight_decay, "table": True})
    if recipe.optimizer == "sgd":
        return SGD(groups, recipe.learning_rate, recipe.momentum, nesterov=recipe.nesterov, corners=corners)
    # not the first convolution, which sees the images' channels
    convs = (m for m in net.modules() if isinstance(m, nn.Conv2d) and m.groups == 1 and m.in_channels > 4)
    matrices = {m.weight for m in convs}
    hidden = [p for p in groups[0]["params"] if p in matrices]
    groups[0]["params"] = [p for p in groups[0]["params"] if p not in matrices]
    groups.append({"params": hidden, "weight_decay": recipe.weight_decay, "matrix": True})
    groups = [group for group in groups if group["params"]]
    return Muon(groups, recipe.learning_rate, recipe.momentum, recipe.nesterov, corners)

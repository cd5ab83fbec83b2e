"""Two processes of a training against one with the whole batch."""

from __future__ import annotations

from collections.abc import Callable

import torch

NAMES = ("random-search", "snas", "proxylessnas", "entrannas", "entrannas-dst")
WORKER = (
    f"NAMES = {NAMES}"
    """
import sys, torch
from contextlib import suppress
from dataclasses import replace
from oneshot.base import distributed
from oneshot.methods.base import CannotSearch, Setup
from oneshot.registry import METHODS, SAMPLERS, SKELETONS, SPACES
from oneshot.data.load import load
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe
torch.set_num_threads(1)
recipe = Recipe(epochs=2, batch_size=48, shift=1, flip=False, precision="float32")
with distributed.joined(torch.device("cpu")):
    images, valid = load("digits").split("half")
    images, valid = images.subset(slice(0, 96)), valid.subset(slice(0, 64))
    for name in NAMES:
        for space in (SPACES["nasbench201"], SPACES["nasbench201-subsets"]):
            torch.manual_seed(1)
            net = SKELETONS[space.name](channels=4, cells=1).make(space, 10).to(memory_format=torch.channels_last)
            with suppress(CannotSearch):
                method = METHODS[name]().make(Setup(space, net, SAMPLERS["uniform"]().make(space), 2))
                train(net, method, images, valid, recipe, seed=2)
                break
        state = [*net.state_dict().values(), *method.state_dict().values()]
        if distributed.rank() == 0:
            torch.save(state, f"{sys.argv[1]}-{name}-{distributed.world()}.pt")
"""
)


def test_two_processes_equal_one_with_the_summed_batch(alone_and_together: Callable) -> None:
    for one, both in alone_and_together(WORKER, NAMES):
        assert torch.allclose(one.float(), both.float(), rtol=1e-3, atol=1e-4)

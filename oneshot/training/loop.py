"""One training loop for all methods: recipe, schedule, resume."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.base import distributed
from oneshot.base.state import load_optimizer, optimizer_state
from oneshot.data.source import ImageSource, training_batches
from oneshot.methods.base import Batch, Method
from oneshot.nn.choice import split, split_if_due
from oneshot.runs.folder import RunFolder
from oneshot.runs.recording import Recorder
from oneshot.training.feedback import Feedback, check_feedback, load_sampler, sampler_state
from oneshot.training.optimizers import of_weights, set_rate, take_over
from oneshot.training.precision import autocast, keep_freed_memory
from oneshot.training.recipe import Recipe
from oneshot.training.state import load_network, network_state


def train(
    net: nn.Module,
    method: Method,
    images: ImageSource,
    held_out: ImageSource,
    recipe: Recipe,
    seed: int = 0,
    folder: RunFolder | None = None,
    on_epoch: Callable[[Mapping[str, Any]], None] | None = None,
    feedback: Feedback | None = None,
) -> None:
    """Train in place, continuing from the folder's checkpoint if it has one.

    `net` and the images are on one device; channels-last weights are fastest. On a CPU the same arguments give
    bit-identical weights, across any stop and resume too. Under torch.distributed every process calls this with the
    same arguments, each works on its share of every batch, and the first one writes. A sampler that learns needs
    its `feedback`.
    """
    check_feedback(method, feedback)
    keep_freed_memory()
    loaded = None if folder is None else folder.load()
    split_if_due(net, recipe.split_epoch, loaded[1]["epoch"] if loaded else 0)
    weights, arch = _optimizers(net, method, recipe)
    first, seconds = _resume(net, weights, arch, folder, loaded)
    if feedback is not None and loaded is not None:
        load_sampler(feedback.sampler, loaded[0])
    recorder = None
    if folder is not None and distributed.rank() == 0:
        recorder = Recorder(folder, first, recipe.epochs, str(images.labels.device))
    net.train()
    for epoch in range(first, recipe.epochs):
        start = time.perf_counter()
        if epoch and epoch == recipe.split_epoch:
            weights = _split(net, weights, recipe)
        loss = train_epoch(net, method, images, held_out, recipe, seed, epoch, weights, arch)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss became {loss} in epoch {epoch + 1}; try a smaller learning rate")
        seen = len(images) // recipe.batch_size * recipe.batch_size
        row = {
            "epoch": epoch + 1,
            "loss": loss,
            "learning_rate": recipe.rate((epoch + 1) / recipe.epochs),
            "images_per_second": seen / (time.perf_counter() - start),
        }
        learned = {} if feedback is None else feedback.after(epoch, seed)
        seconds += time.perf_counter() - start
        row |= {"seconds": seconds, **learned}
        if recorder is not None:
            recorder(row, partial(_state, net, weights, arch, feedback))
        if on_epoch is not None:
            on_epoch(row)
    if recorder is not None:
        recorder.close()


def train_epoch(
    net: nn.Module,
    method: Method,
    images: ImageSource,
    held_out: ImageSource,
    recipe: Recipe,
    seed: int,
    epoch: int,
    weights: torch.optim.Optimizer,
    arch: torch.optim.Optimizer | None,
) -> float:
    """One epoch; returns the mean loss. All randomness comes from (seed, epoch): an epoch can be done over."""
    data_rng, path_rng, held_rng = (np.random.default_rng((seed, epoch, stream)) for stream in range(3))
    device = images.labels.device
    share = distributed.rank(), distributed.world()
    others = _endless(held_out, min(recipe.batch_size, len(held_out)), recipe.augmentation, held_rng, *share)
    steps = len(images) // recipe.batch_size
    loss_function = partial(_cross_entropy, label_smoothing=recipe.label_smoothing)
    parameters = [p for group in weights.param_groups for p in group["params"]]
    total, count = torch.zeros((), device=device), 0
    for step, (x, y) in enumerate(training_batches(images, recipe.batch_size, recipe.augmentation, data_rng, *share)):
        progress = epoch / recipe.epochs + step / (steps * recipe.epochs)
        set_rate(weights, recipe.rate(progress))
        batch = Batch(x, y, lambda: next(others), path_rng, loss_function)
        losses = method.losses(net, batch, progress)
        while True:
            with autocast(recipe.precision, device):
                loss = next(losses, None)
            if loss is None:
                break
            loss.backward()
            total += loss.detach()
            count += 1
            _move(arch)
        used = _used(parameters)
        distributed.average_gradients(used)
        if recipe.gradient_clip:
            nn.utils.clip_grad_norm_(used, recipe.gradient_clip)
        weights.step()
        weights.zero_grad(set_to_none=True)
    return float(distributed.average(total)) / max(count, 1)


def _cross_entropy(logits: Tensor, labels: Tensor, label_smoothing: float) -> Tensor:
    return F.cross_entropy(logits.float(), labels, label_smoothing=label_smoothing)


def _endless(images: ImageSource, *arguments: Any) -> Iterator[tuple[Tensor, Tensor]]:
    while True:
        yield from training_batches(images, *arguments)


def _optimizers(
    net: nn.Module, method: Method, recipe: Recipe
) -> tuple[torch.optim.Optimizer, torch.optim.Optimizer | None]:
    """The recipe's optimiser of the weights; Adam for architecture parameters."""
    weights = of_weights(net, recipe)
    parameters = list(method.arch_parameters())
    if not parameters:
        return weights, None
    options = {"betas": (0.5, 0.999), "weight_decay": recipe.arch_weight_decay}
    return weights, torch.optim.Adam(parameters, recipe.arch_learning_rate, **options)


def _split(net: nn.Module, weights: torch.optim.Optimizer, recipe: Recipe) -> torch.optim.Optimizer:
    """Split the weights; the optimiser of all copies, each with the momentum of what it is a copy of."""
    origin = split(net)
    made = of_weights(net, recipe)
    take_over(made, weights, origin)
    return made


def _used(parameters: Iterable[nn.Parameter]) -> list[nn.Parameter]:
    """What has a gradient; of a table with a sparse one the rows that have, which share that gradient's memory."""
    found = []
    for p in parameters:
        if p.grad is None:
            continue
        if p.grad.is_sparse:
            p.grad = p.grad.coalesce()
            rows = nn.Parameter(torch.empty_like(p.grad.values()))
            rows.grad = p.grad.values()
            found.append(rows)
        else:
            found.append(p)
    return found


def _move(arch: torch.optim.Optimizer | None) -> None:
    """Step the architecture parameters if the last loss reached them."""
    if arch is not None:
        parameters = arch.param_groups[0]["params"]
        if any(p.grad is not None for p in parameters):
            distributed.average_gradients(parameters)
            arch.step()
            arch.zero_grad(set_to_none=True)


def _state(
    net: nn.Module, weights: torch.optim.Optimizer, arch: torch.optim.Optimizer | None, feedback: Feedback | None
) -> dict[str, Tensor]:
    state = network_state(net) | optimizer_state("weights", weights) | sampler_state(feedback)
    if arch is not None:
        state |= {f"alpha.{i}": p for i, p in enumerate(arch.param_groups[0]["params"])}
        state |= optimizer_state("arch", arch)
    return state


def _resume(
    net: nn.Module,
    weights: torch.optim.Optimizer,
    arch: torch.optim.Optimizer | None,
    folder: RunFolder | None,
    loaded: tuple[dict[str, Tensor], dict[str, Any]] | None,
) -> tuple[int, float]:
    """Take over what the folder holds; returns the finished epochs and the seconds they took."""
    if folder is not None and distributed.rank() == 0:
        folder.rewind(loaded[1]["epoch"] if loaded else 0)
    if loaded is None:
        return 0, 0.0
    state, commit = loaded
    load_network(net, state)
    load_optimizer("weights", weights, state)
    if arch is not None:
        with torch.no_grad():
            for i, p in enumerate(arch.param_groups[0]["params"]):
                p.copy_(state[f"alpha.{i}"])
        load_optimizer("arch", arch, state)
    return commit["epoch"], float(commit["facts"].get("seconds", 0.0))

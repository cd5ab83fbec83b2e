"""The objects of a configuration, made of its registered components; and the opening of runs."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oneshot.data.load import load
from oneshot.data.source import Dataset, ImageSource
from oneshot.methods.base import Method, Setup
from oneshot.nn.choice import split_if_due
from oneshot.nn.contexts.base import Dependence
from oneshot.registry import SKELETONS, changed_plugins, loaded_plugins
from oneshot.runs.config import Config, document, read
from oneshot.runs.folder import RunFolder
from oneshot.samplers.base import Sampler
from oneshot.space import Space
from oneshot.training.recipe import Recipe
from oneshot.training.state import convert_network, load_method, load_network, part


def network(config: Config, classes: int, arch: tuple[int, ...] | None = None) -> nn.Module:
    """A freshly initialised supernet of a configuration, or the stand-alone network of one architecture.

    A stand-alone network has one choice everywhere, on which nothing can depend. ValueError where the network of the
    space carries no weights that depend on earlier choices, and some were asked for.
    """
    skeleton, space = config.space.settings("space"), config.search_space
    if arch is not None:
        return skeleton.make(space.only(arch), classes, True)
    dependence = dependence_of(config)
    return skeleton.make(space, classes) if dependence is None else skeleton.make(space, classes, False, dependence)


def dependence_of(config: Config) -> Dependence | None:
    """How weights depend on earlier choices; ValueError where the network of the space cannot carry that."""
    dependence = config.context.settings("context").make()
    if dependence is not None and not getattr(config.space.settings("space"), "carries_contexts", False):
        carrying = [name for name, made in SKELETONS.items() if getattr(made, "carries_contexts", False)]
        raise ValueError(
            f"context must be none for {config.space.name}, got {config.context.name}: weights depend on earlier "
            f"choices in the networks of {', '.join(carrying)}"
        )
    return dependence


@dataclass(frozen=True, eq=False)
class Run:
    """The objects of one configuration: a supernet and the images it trains and is validated on."""

    config: Config
    recipe: Recipe
    space: Space
    dataset: Dataset
    train: ImageSource
    valid: ImageSource
    net: nn.Module
    method: Method
    sampler: Sampler
    folder: RunFolder | None = None

    def provenance(self) -> dict[str, Any]:
        """The configuration, and the hash of the checkpoint that was loaded."""
        commit = self.folder.commit if self.folder else None
        return {
            "configuration": document(self.config, self.recipe),
            "checkpoint": commit["sha256"] if commit else None,
            "epoch": commit["epoch"] if commit else 0,
        }


def build(
    config: Config,
    recipe: Recipe,
    data_dir: str | Path | None = None,
    device: str | torch.device = "cpu",
    folder: RunFolder | None = None,
) -> Run:
    """Make every object of a configuration, the weights initialised from its seed; ValueError names what is unknown.

    `init_from` is left to `initialise`.
    """
    space, dependence = config.search_space, dependence_of(config)
    if dependence is not None and dependence.split_epoch >= recipe.epochs:
        raise ValueError(
            f"split_epoch must lie inside the {recipe.epochs} epochs, from 1 to {recipe.epochs - 1}, "
            f"got {dependence.split_epoch}"
        )
    sampler = config.sampler.settings("sampler").make(space, config.seed)
    dataset = load(config.dataset, data_dir, config.image_size or None, device)
    train, valid = dataset.split(config.split)
    torch.manual_seed(config.seed)
    net = network(config, dataset.classes).to(device, memory_format=torch.channels_last)  # pyright: ignore
    method = config.method.settings("method").make(Setup(space, net, sampler, config.seed)).to(device)
    for phase in method.phases(recipe):
        train.check(phase.recipe.augmentation)
    _check_sampler(config, recipe, method, sampler)
    return Run(config, recipe, space, dataset, train, valid, net, method, sampler, folder)


def _check_sampler(config: Config, recipe: Recipe, method: Method, sampler: Sampler) -> None:
    if method.sampler is None and config.sampler != Config().sampler:
        raise ValueError(
            f"method {config.method.name} draws its architectures itself: sampler must be {Config().sampler.name}, "
            f"got {config.sampler.name}"
        )
    if sampler.plan is not None and sampler.plan.every > recipe.epochs:
        raise ValueError(
            f"sampler {config.sampler.name} learns after every {sampler.plan.every} epochs: there must be as many, "
            f"got {recipe.epochs}"
        )


def recorded(config: Config, recipe: Recipe) -> dict[str, Any]:
    """What a run folder says of a run, its plugins included, if any."""
    plugins = loaded_plugins()
    return document(config, recipe) | ({"plugins": plugins} if plugins else {})


def configuration(folder: RunFolder) -> tuple[Config, Recipe]:
    """What the run in a folder was asked for; a changed plugin is a warning, a missing one a ValueError."""
    try:
        changed = changed_plugins(folder.plugins)
    except ValueError as error:
        raise ValueError(f"{folder.path} was {error}") from None
    for words in changed:
        warnings.warn(f"{folder.path}: the plugin {words}", stacklevel=2)
    return read(folder.config)


def open_run(path: str | Path, data_dir: str | Path | None = None, device: str | torch.device = "cpu") -> Run:
    """A trained (or half-trained) run from its folder, its network in evaluation mode.

    ValueError where it holds no checkpoint yet, or one that is damaged or does not fit.
    """
    folder = RunFolder(path)
    run = build(*configuration(folder), data_dir=data_dir, device=device, folder=folder)
    loaded = folder.load()
    if loaded is None:
        raise ValueError(f"{path} holds no checkpoint yet; `oneshot train --out {path}` continues it")
    split_if_due(run.net, loaded[1]["epoch"] - 1)
    load_network(run.net, loaded[0])
    load_method(run.method, loaded[0])
    run.sampler.load_state_dict(part("sampler", loaded[0]))
    run.net.eval()
    return run


def space_of_run(path: str | Path) -> Space:
    """The search space of the run in a folder."""
    return configuration(RunFolder(path))[0].search_space


def learned(path: str | Path) -> Sampler:
    """What the sampler of a run has learned so far, to draw from it alone (VAENAS, Algorithm 2, line 13).

    ValueError where the run's sampler does not learn, or has not yet.
    """
    folder = RunFolder(path)
    config, _ = configuration(folder)
    sampler = config.sampler.settings("sampler").make(config.search_space, config.seed)
    if sampler.plan is None:
        raise ValueError(f"{path} was trained with sampler {config.sampler.name}, which does not learn: expected vae")
    loaded = folder.load()
    if loaded is not None:
        sampler.load_state_dict(part("sampler", loaded[0]))
    found = sampler.learned()
    if found is None:
        raise ValueError(
            f"the {config.sampler.name} of {path} has learned nothing yet; `oneshot train --out {path}` continues it"
        )
    return found


def initialise(run: Run) -> None:
    """Take the weights of the run that `init_from` names, converted to this run's context; nothing if it names none."""
    if not run.config.init_from:
        return
    folder = RunFolder(run.config.init_from)
    there, loaded = configuration(folder)[0], folder.load()
    if there.space.name != run.config.space.name:
        raise ValueError(
            f"init_from: {folder.path} is a run of space {there.space.name}, this one is of {run.config.space.name}"
        )
    if loaded is None:
        raise ValueError(f"init_from: {folder.path} holds no checkpoint yet")
    convert_network(run.net, loaded[0])

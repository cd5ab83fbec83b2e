"""The objects of a configuration, made of its registered components; and the opening of runs."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oneshot.base import distributed
from oneshot.data.fingerprint import Fingerprint
from oneshot.data.load import load
from oneshot.data.source import Dataset, ImageSource, check_batch
from oneshot.data.split import OWN_SPLITS, resolved
from oneshot.methods.base import Method, Setup
from oneshot.nn.auxiliary import AuxiliaryHead
from oneshot.nn.chance import drop_paths
from oneshot.nn.choice import split_if_due
from oneshot.nn.contexts.base import Dependence
from oneshot.registry import SKELETONS, changed_plugins, loaded_plugins
from oneshot.runs.config import Config, document, read
from oneshot.runs.data import Known, protocol, settle
from oneshot.runs.fit import check_fit
from oneshot.runs.folder import RunFolder
from oneshot.samplers.base import Sampler
from oneshot.space import Space
from oneshot.training.recipe import Recipe
from oneshot.training.state import load_method, load_network, part


def network(
    config: Config, classes: int, arch: tuple[int, ...] | None = None, recipe: Recipe | None = None
) -> nn.Module:
    """A freshly initialised supernet of a configuration, or the stand-alone network of one architecture.

    What a recipe asks of networks, an auxiliary classifier and dropped paths, is in it. A stand-alone network has one
    choice everywhere, on which nothing can depend. ValueError where the network of the space has no place for what is
    asked for, or carries no weights that depend on earlier choices, and some were asked for.
    """
    skeleton, recipe = config.space.settings("space"), recipe or Recipe()
    asked = {"auxiliary": recipe.auxiliary, "drop_path": recipe.drop_path}
    own = {name: type(getattr(skeleton, name))(value) for name, value in asked.items() if hasattr(skeleton, name)}
    net = _made(config, replace(skeleton, **{name: value for name, value in own.items() if value}), classes, arch)
    if recipe.drop_path and "drop_path" not in own and not drop_paths(net, recipe.drop_path):
        raise ValueError(f"drop_path must be 0 for {config.space.name}: its networks have no paths beside others")
    if recipe.auxiliary:
        _add_auxiliary(net, recipe.auxiliary, classes, config.space.name)
    return net


def _add_auxiliary(net: nn.Module, weight: float, classes: int, name: str) -> None:
    """Give a network its auxiliary classifier, if it has not made one itself, and its loss the weight."""
    heads = [module for module in net.modules() if isinstance(module, AuxiliaryHead)]
    if not heads:
        channels = getattr(net, "aside_channels", None)
        if channels is None:
            raise ValueError(f"auxiliary must be 0 for {name}: its networks have no place for a second classifier")
        net.auxiliary = AuxiliaryHead(channels, classes, weight)  # pyright: ignore[reportArgumentType]
    for head in heads:
        head.weight = weight


def _made(config: Config, skeleton: Any, classes: int, arch: tuple[int, ...] | None) -> nn.Module:
    space = config.search_space
    if arch is not None:
        return skeleton.make(space.only(arch), classes, True)
    dependence = dependence_of(config)
    if config.arch:
        return skeleton.make(space, classes, True)
    return skeleton.make(space, classes) if dependence is None else skeleton.make(space, classes, False, dependence)


def dependence_of(config: Config) -> Dependence | None:
    """How weights depend on earlier choices; ValueError where the network of the space cannot carry that."""
    dependence = config.context.settings("context").make()
    if dependence is not None and config.arch:
        raise ValueError(f"context must be none for one architecture alone, got {config.context.name}")
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
    fingerprint: Fingerprint
    folder: RunFolder | None = None
    data: Mapping[str, Any] | None = None
    commit: Mapping[str, Any] | None = None
    """Of the checkpoint that was loaded; the folder may have a newer one by now."""

    def provenance(self) -> dict[str, Any]:
        """The configuration, the hash of the checkpoint that was loaded, and, if that is known, of what data it is."""
        return {
            "configuration": document(self.config, self.recipe),
            "checkpoint": self.commit["sha256"] if self.commit else None,
            "epoch": self.commit["epoch"] if self.commit else 0,
            **({"data": dict(self.data)} if self.data is not None else {}),
        }


def build(
    config: Config,
    recipe: Recipe,
    data_dir: str | Path | None = None,
    device: str | torch.device = "cpu",
    folder: RunFolder | None = None,
    accept_data: bool = False,
) -> Run:
    """Make every object of a configuration, the weights initialised from its seed; ValueError names what is unknown.

    `init_from` is left to `oneshot.runs.inherit.initialise`. A folder's data must be what was recorded, unless
    `accept_data`; one without a checkpoint records it now.
    """
    space, dependence = config.search_space, dependence_of(config)
    if dependence is not None and dependence.split_epoch >= recipe.epochs:
        raise ValueError(
            f"split_epoch must lie inside the {recipe.epochs} epochs, from 1 to {recipe.epochs - 1}, "
            f"got {dependence.split_epoch}"
        )
    sampler = config.sampler.settings("sampler").make(space, config.seed)
    dataset = load(config.dataset, data_dir, config.image_size or None, device)
    train, valid = dataset.split(config.split, config.split_by)
    found = dataset.fingerprint(config.split, config.split_by)
    data = data_of(found, folder, accept_data)
    torch.manual_seed(config.seed)
    net = network(config, dataset.classes, recipe=recipe).to(device, memory_format=torch.channels_last)  # pyright: ignore
    if folder is None or folder.commit is None:
        check_fit(net, space, train.shape, recipe.batch_size // distributed.world())
    method = config.method.settings("method").make(Setup(space, net, sampler, config.seed)).to(device)
    phases = method.phases(recipe)
    for phase in phases:
        train.check(phase.recipe.augmentation)
        images = len(train) + (len(valid) if phase.images == "all" else 0)
        check_batch(images, phase.recipe.batch_size, distributed.world())
    split = resolved(dataset, config.split)
    if any(p.images == "all" for p in phases) and split in OWN_SPLITS and dataset.valid is dataset.test:
        raise ValueError(f"images must be train with split {split}, whose validation images also test")
    _check_sampler(config, recipe, method, sampler)
    return Run(config, recipe, space, dataset, train, valid, net, method, sampler, found, folder, data)


def data_of(found: Fingerprint, folder: RunFolder | None = None, accept: bool = False) -> dict[str, Any] | None:
    """What a run's protocol says of its data; None for a run of an earlier version, which has not recorded it.

    ValueError where it is not what the folder has recorded, unless that is accepted.
    """
    if folder is None:
        return protocol(None, found, [])
    if folder.commit is None:
        return protocol(settle(folder.path, found, 0, accept), found, [])
    known = Known.read(folder.path)
    return None if known is None else protocol(known, found, known.check(folder.path, found, accept))


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
    """What a run folder says of a run as it begins: also its number of threads, and its plugins, if any."""
    plugins = loaded_plugins()
    return document(config, recipe) | {"threads": torch.get_num_threads()} | ({"plugins": plugins} if plugins else {})


def configuration(folder: RunFolder) -> tuple[Config, Recipe]:
    """What the run in a folder was asked for; a changed plugin is a warning, a missing one a ValueError."""
    try:
        changed = changed_plugins(folder.plugins)
    except ValueError as error:
        raise ValueError(f"{folder.path} was {error}") from None
    for words in changed:
        warnings.warn(f"{folder.path}: the plugin {words}", stacklevel=2)
    return read(folder.config)


def open_run(
    path: str | Path,
    data_dir: str | Path | None = None,
    device: str | torch.device = "cpu",
    accept_data: bool = False,
) -> Run:
    """A trained (or half-trained) run from its folder, its network in evaluation mode.

    ValueError where it holds no checkpoint yet, or one that is damaged or does not fit, or its data is not what it was
    made with: unless `accept_data`, which the protocol then says.
    """
    folder = RunFolder(path)
    asked, loaded = configuration(folder), folder.load()
    if loaded is None:
        raise ValueError(f"{path} holds no checkpoint yet; `oneshot train --out {path}` continues it")
    run = build(*asked, data_dir=data_dir, device=device, folder=folder, accept_data=accept_data)
    split_if_due(run.net, loaded[1]["epoch"] - 1)
    load_network(run.net, loaded[0])
    load_method(run.method, loaded[0])
    run.sampler.load_state_dict(part("sampler", loaded[0]))
    run.net.eval()
    return replace(run, commit=loaded[1])


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

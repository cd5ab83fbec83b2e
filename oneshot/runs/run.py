"""The objects of a configuration, made of its registered components; and the opening of runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oneshot.base import distributed
from oneshot.base.html import beside, curve, html_table
from oneshot.data.fingerprint import Fingerprint
from oneshot.data.source import Dataset, ImageSource
from oneshot.methods.base import Method, MethodSettings, Setup
from oneshot.nn.choice import split_if_due
from oneshot.runs.config import Config, document
from oneshot.runs.data import RunData
from oneshot.runs.fit import check_fit
from oneshot.runs.folder import RunFolder
from oneshot.runs.network import network, network_size
from oneshot.samplers.base import Sampler, SamplerSettings
from oneshot.space import Space
from oneshot.training.course import Course
from oneshot.training.recipe import Recipe
from oneshot.training.state import load_method, load_network, part


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """The objects of one configuration: a supernet and the images it trains and is validated on."""

    config: Config
    recipe: Recipe
    space: Space
    images: RunData
    net: nn.Module
    method: Method
    sampler: Sampler
    folder: RunFolder | None = None
    data: Mapping[str, Any] | None = None
    commit: Mapping[str, Any] | None = None
    """Of the checkpoint that was loaded; the folder may have a newer one by now."""
    history: tuple[Mapping[str, Any], ...] = ()
    """The metrics of every epoch that the weights have behind them, where they are known."""

    @property
    def dataset(self) -> Dataset:
        return self.images.dataset

    @property
    def train(self) -> ImageSource:
        return self.images.train

    @property
    def valid(self) -> ImageSource:
        return self.images.valid

    @property
    def fingerprint(self) -> Fingerprint:
        return self.images.fingerprint

    @property
    def epochs(self) -> int:
        """Of all phases of its training."""
        return Course.of(self.method.phases(self.recipe)).epochs

    @property
    def epoch(self) -> int:
        """How many of them the weights have behind them."""
        return self.commit["epoch"] if self.commit else len(self.history)

    @property
    def size(self) -> dict[str, Any]:
        """Of its networks, as `Space.cost` takes it."""
        return network_size(self.config, self.images)

    def kept_in(self, folder: RunFolder) -> Run:
        """The same in a folder, as its last checkpoint says."""
        commit = folder.commit
        return replace(self, folder=folder, commit=commit, history=_history(folder, commit))

    def __repr__(self) -> str:
        return f"<Run of {self.space.name} on {self.config.dataset}, {self.epoch} of {self.epochs} epochs>"

    def _repr_html_(self) -> str:
        config, sizes = self.config, f"{len(self.train):,} images to train, {len(self.valid):,} to validate"
        rows = {
            "search space": f"{self.space.name}, {len(self.space.decisions)} decisions, {_many(self.space.size)}",
            "method": config.method.name + (f", {config.sampler.name} sampling" if self.method.sampler else ""),
            "supernet": f"{sum(p.numel() for p in self.net.parameters()):,} parameters",
            **({"context": config.context.name} if config.context != Config().context else {}),
            "data": f"{Path(config.dataset).name}, {self.dataset.classes} classes\n{sizes}",
            "trained": f"{self.epoch} of {self.epochs} epochs",
            **({"kept in": str(self.folder.path)} if self.folder else {}),
        }
        losses = [row["loss"] for row in self.history if "loss" in row]
        drawn = curve(losses, "loss by epoch") if len(losses) > 1 else ""
        return beside(html_table([], [[name, value] for name, value in rows.items()], ""), drawn)

    def provenance(self) -> dict[str, Any]:
        """The configuration, the hash of the checkpoint that was loaded, and, if that is known, of what data it is."""
        return {
            "configuration": document(self.config, self.recipe),
            "checkpoint": self.commit["sha256"] if self.commit else None,
            "epoch": self.epoch,
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
    space = config.search_space
    samplers: SamplerSettings = config.sampler.settings
    sampler = samplers.make(space, config.seed)
    images = RunData.of(config, data_dir, device)
    data = images.protocol(folder, accept_data)
    torch.manual_seed(config.seed)
    net = network(config, images.dataset.classes, recipe=recipe)
    net = net.to(device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    if folder is None or folder.commit is None:
        check_fit(net, space, images.train.shape, recipe.batch_size // distributed.world())
    methods: MethodSettings = config.method.settings
    method = methods.make(Setup(space, net, sampler, config.seed)).to(device)
    images.check_phases(method.phases(recipe))
    _check_sampler(config, recipe, method, sampler)
    return Run(config, recipe, space, images, net, method, sampler, folder, data)


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
    asked, loaded = folder.configuration(), folder.load()
    if loaded is None:
        raise ValueError(f"{path} holds no checkpoint yet; `oneshot train --out {path}` continues it")
    run = build(*asked, data_dir=data_dir, device=device, folder=folder, accept_data=accept_data)
    split_if_due(run.net, loaded[1]["epoch"] - 1)
    load_network(run.net, loaded[0])
    load_method(run.method, loaded[0])
    run.sampler.load_state_dict(part("sampler", loaded[0]))
    run.net.eval()
    return replace(run, commit=loaded[1], history=_history(folder, loaded[1]))


def _history(folder: RunFolder, commit: Mapping[str, Any] | None) -> tuple[Mapping[str, Any], ...]:
    """What a folder says of the epochs of a checkpoint: the training may be further by now."""
    return tuple(row for row in folder.metrics if row["epoch"] <= commit["epoch"]) if commit else ()


def _many(size: int) -> str:
    return f"{size:,} architectures" if size < 10**7 else f"{size:.1e} architectures".replace("e+", " x 10^")


def learned(path: str | Path) -> Sampler:
    """What the sampler of a run has learned so far, to draw from it alone (VAENAS, Algorithm 2, line 13).

    ValueError where the run's sampler does not learn, or has not yet.
    """
    folder = RunFolder(path)
    config, _ = folder.configuration()
    settings: SamplerSettings = config.sampler.settings
    sampler = settings.make(config.search_space, config.seed)
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

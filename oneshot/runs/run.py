"""The catalogue: the one place where the names of a configuration become objects, and where runs are opened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from oneshot.data.load import load
from oneshot.data.source import Dataset, ImageSource
from oneshot.methods.base import Method
from oneshot.methods.darts import Darts
from oneshot.methods.single_path import SinglePath
from oneshot.nn.choice import split_if_due
from oneshot.nn.context import Attention, Attention2, Bias, ContextWeights, Dependence, SharedBias, Split
from oneshot.runs.config import Config, flat, unflat
from oneshot.runs.folder import RunFolder
from oneshot.samplers.balanced import Balanced
from oneshot.samplers.base import Sampler
from oneshot.samplers.encoding import ByNumbers
from oneshot.samplers.exact_edges import ExactEdges, encoding_of
from oneshot.samplers.fair import StrictlyFair
from oneshot.samplers.mixture import Learner, Mixture
from oneshot.samplers.uniform import Uniform
from oneshot.samplers.vae import Vae, VaeSettings
from oneshot.space import Space
from oneshot.spaces import space_named
from oneshot.spaces.fairnas import FairNas
from oneshot.spaces.nasbench101 import NasBench101
from oneshot.spaces.nasbench201 import NasBench201
from oneshot.spaces.nasnet import NasNet
from oneshot.spaces.shufflenet import ShuffleNet
from oneshot.supernets.fairnas import FairNasNet
from oneshot.supernets.nasbench101 import NasBench101Net
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.supernets.nasnet import NasNetNet
from oneshot.supernets.shufflenet import ShuffleNetNet
from oneshot.training.feedback import load_sampler
from oneshot.training.recipe import Recipe
from oneshot.training.state import convert_network, load_network


def _exact_edges(space: Space, config: Config) -> Sampler:
    if not isinstance(space, NasBench101):
        raise ValueError(f"exact-edges draws NAS-Bench-101 cells, got the space {space.name}")
    return ByNumbers(ExactEdges(space))


def _vae(space: Space, config: Config) -> Sampler:
    encoding = encoding_of(space)
    vae = Vae(encoding, VaeSettings(keep=config.vae_keep, iterations=config.vae_iterations, seed=config.seed))
    vae.kept(config.vae_samples)
    return Mixture(ByNumbers(encoding), vae, config.vae_increment, config.vae_epsilon)


SAMPLERS: dict[str, Callable[[Space, Config], Sampler]] = {
    "uniform": lambda space, config: Uniform(space),
    "fair": lambda space, config: StrictlyFair(space),
    "balanced": lambda space, config: Balanced(space, config.bucket_weights),
    "exact-edges": _exact_edges,
    "vae": _vae,
}

METHODS: dict[str, Callable[[Space, Sampler], Method]] = {
    "single-path": SinglePath,
    "darts": lambda space, sampler: Darts(space),
}

CONTEXTS: dict[str, type[ContextWeights] | None] = {
    "none": None, "bias": Bias, "shared-bias": SharedBias, "attention": Attention, "attention-2": Attention2,
    "split": Split,
}  # fmt: skip


def network(space: Space, config: Config, classes: int, affine: bool = False) -> nn.Module:
    """A freshly initialised skeleton for a space: the supernet, or with `space.only(arch)` one stand-alone network.

    A stand-alone network (`affine`) has one choice everywhere, on which nothing can depend.
    """
    weights = named("context", CONTEXTS, config.context)
    dependence = None if affine or weights is None else Dependence(weights, config.depth, config.priors == "graph")
    if config.dropout and not isinstance(space, FairNas | ShuffleNet):
        raise ValueError(f"the skeleton of {space.name} has no dropout: dropout must be 0, got {config.dropout}")
    if isinstance(space, NasBench201):
        return NasBench201Net(space, config.channels, config.cells, classes, affine, config.pool_conv, dependence)
    if isinstance(space, FairNas):
        return FairNasNet(space, config.channels, classes, config.dropout, dependence)
    if isinstance(space, ShuffleNet):
        return ShuffleNetNet(space, config.channels, classes, config.dropout, dependence)
    if dependence is not None:  # in NAS-Bench-101 it is itself a choice which vertices come before a vertex
        raise ValueError(
            f"context must be none for {space.name}, got {config.context}: weights depend on earlier choices in the "
            "skeletons of NAS-Bench-201, FairNAS and ShuffleNetV2"
        )
    if isinstance(space, NasBench101):
        return NasBench101Net(space, config.channels, config.cells, classes, affine)
    if isinstance(space, NasNet):
        return NasNetNet(space, config.channels, config.cells, classes, affine)
    raise ValueError(f"no network skeleton for the space {space.name}")


def named(kind: str, table: dict[str, Any], name: str) -> Any:
    """The entry of that name; ValueError lists the names."""
    if name not in table:
        raise ValueError(f"no {kind} {name!r}; there are {', '.join(table)}")
    return table[name]


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
            "configuration": flat(self.config, self.recipe),
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
    if (config.context == "split") != (recipe.split_epoch > 0):
        raise ValueError(
            f"context split and a split_epoch from 1 to {recipe.epochs - 1} belong together, "
            f"got context {config.context} and split_epoch {recipe.split_epoch}"
        )
    if config.sampler == "vae" and (config.method != "single-path" or config.vae_every > recipe.epochs):
        raise ValueError(
            f"sampler vae needs method single-path and vae_every within the {recipe.epochs} epochs, "
            f"got method {config.method} and vae_every {config.vae_every}"
        )
    space = space_named(config.space)
    sampler = named("sampler", SAMPLERS, config.sampler)(space, config)
    method = named("method", METHODS, config.method)(space, sampler)
    dataset = load(config.dataset, data_dir, config.image_size or None, device)
    train, valid = dataset.split(config.split)
    train.check(recipe.augmentation)
    torch.manual_seed(config.seed)
    net = network(space, config, dataset.classes).to(device, memory_format=torch.channels_last)  # pyright: ignore
    return Run(config, recipe, space, dataset, train, valid, net, method, sampler, folder)


def open_run(path: str | Path, data_dir: str | Path | None = None, device: str | torch.device = "cpu") -> Run:
    """A trained (or half-trained) run from its folder, its network in evaluation mode.

    ValueError where it holds no checkpoint yet, or one that is damaged or does not fit.
    """
    folder = RunFolder(path)
    run = build(*unflat(folder.config), data_dir=data_dir, device=device, folder=folder)
    loaded = folder.load()
    if loaded is None:
        raise ValueError(f"{path} holds no checkpoint yet; `oneshot train --out {path}` continues it")
    split_if_due(run.net, run.recipe.split_epoch, loaded[1]["epoch"])
    load_network(run.net, loaded[0])
    if isinstance(run.sampler, Mixture):
        load_sampler(run.sampler, loaded[0])
    run.net.eval()
    return run


def space_of(path: str | Path) -> Space:
    """The search space of the run in a folder."""
    config, _ = unflat(RunFolder(path).config)
    return space_named(config.space)


def learned(path: str | Path) -> Learner:
    """What the sampler of a run has learned so far, to draw from: p(a|z) alone (VAENAS, Algorithm 2, line 13).

    ValueError where the run's sampler does not learn, or has not yet.
    """
    folder = RunFolder(path)
    config, _ = unflat(folder.config)
    sampler = named("sampler", SAMPLERS, config.sampler)(space_named(config.space), config)
    if not isinstance(sampler, Mixture):
        raise ValueError(f"{path} was trained with sampler {config.sampler}, which does not learn: expected vae")
    loaded = folder.load()
    if loaded is not None:
        load_sampler(sampler, loaded[0])
    if not sampler.learner.rounds:
        raise ValueError(f"the VAE of {path} has learned nothing yet; `oneshot train --out {path}` continues it")
    return sampler.learner


def initialise(run: Run) -> None:
    """Take the weights of the run that `init_from` names, converted to this run's context; nothing if it names none."""
    if not run.config.init_from:
        return
    folder = RunFolder(run.config.init_from)
    space, loaded = folder.config.get("space"), folder.load()
    if space != run.config.space:
        raise ValueError(f"init_from: {folder.path} is a run of space {space}, this one is of {run.config.space}")
    if loaded is None:
        raise ValueError(f"init_from: {folder.path} holds no checkpoint yet")
    convert_network(run.net, loaded[0])

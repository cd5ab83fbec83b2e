"""The network of a configuration, made of its registered components."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import nn

from oneshot.nn.auxiliary import add_auxiliary
from oneshot.nn.chance import drop_paths
from oneshot.nn.contexts.base import Dependence, DependenceSettings
from oneshot.registry import SKELETONS
from oneshot.runs.config import Config
from oneshot.runs.data import RunData
from oneshot.supernets.base import Skeleton
from oneshot.training.recipe import Recipe


def network(
    config: Config, classes: int, arch: tuple[int, ...] | None = None, recipe: Recipe | None = None
) -> nn.Module:
    """A freshly initialised supernet of a configuration, or the stand-alone network of one architecture.

    What a recipe asks of networks, an auxiliary classifier and dropped paths, is in it. A stand-alone network has one
    choice everywhere, on which nothing can depend. ValueError where the network of the space has no place for what is
    asked for, or carries no weights that depend on earlier choices, and some were asked for.
    """
    space = config.search_space if arch is None else config.search_space.only(arch)
    dependence = dependence_of(config, recipe) if arch is None else None
    settings, recipe = config.space.settings, recipe or Recipe()
    asked = {"auxiliary": recipe.auxiliary, "drop_path": recipe.drop_path}
    own = {name: type(getattr(settings, name))(value) for name, value in asked.items() if hasattr(settings, name)}
    skeleton: Skeleton = replace(settings, **{name: value for name, value in own.items() if value})
    if arch is not None or config.arch:
        net = skeleton.make(space, classes, True)
    else:
        net = skeleton.make(space, classes, *([] if dependence is None else [False, dependence]))
    if recipe.drop_path and "drop_path" not in own and not drop_paths(net, recipe.drop_path):
        raise ValueError(f"drop_path must be 0 for {config.space.name}: its networks have no paths beside others")
    if recipe.auxiliary and not add_auxiliary(net, classes, recipe.auxiliary):
        raise ValueError(
            f"auxiliary must be 0 for {config.space.name}: its networks have no place for a second classifier"
        )
    return net


def network_size(config: Config, images: RunData) -> dict[str, Any]:
    """What the costs of a configuration's networks depend on."""
    own = config.search_space.sizes(config.space.settings)
    return {**own, "classes": images.dataset.classes, "image_size": images.valid.shape[1]}


def dependence_of(config: Config, recipe: Recipe | None = None) -> Dependence | None:
    """How weights depend on earlier choices; ValueError where a space's network, or a recipe, cannot have it."""
    context: DependenceSettings = config.context.settings
    dependence = context.make()
    if dependence is not None and config.arch:
        raise ValueError(f"context must be none for one architecture alone, got {config.context.name}")
    if dependence is not None and not getattr(config.space.settings, "carries_contexts", False):
        carrying = [name for name, made in SKELETONS.items() if getattr(made, "carries_contexts", False)]
        raise ValueError(
            f"context must be none for {config.space.name}, got {config.context.name}: weights depend on earlier "
            f"choices in the networks of {', '.join(carrying)}"
        )
    if dependence is not None and recipe is not None and dependence.split_epoch >= recipe.epochs:
        raise ValueError(
            f"split_epoch must lie inside the {recipe.epochs} epochs, from 1 to {recipe.epochs - 1}, "
            f"got {dependence.split_epoch}"
        )
    return dependence

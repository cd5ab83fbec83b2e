"""Run folders of earlier versions: their flat configuration and the names in their checkpoints, as they are today."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, TypeVar

from oneshot.runs.config import Config, configured, document, read

Value = TypeVar("Value")

LATER: dict[str, Any] = {
    "bucket_weights": [], "optimizer": "sgd", "vae_every": 10, "vae_samples": 200, "vae_keep": 0.5,
    "vae_iterations": 500, "vae_increment": 0.004, "vae_epsilon": 1.0, "context": "none", "depth": 1,
    "priors": "order", "init_from": "", "split_epoch": 0, "dropout": 0.0, "crop_scale": 1.0,
    "interpolation": "bilinear", "color_jitter": 0.0,
}  # fmt: skip
"""Values of options that the first flat configurations do not hold."""

OF_SPACES = {
    "nasbench201": {"channels": "channels", "cells": "cells", "pool_conv": "pool_conv"},
    "nasbench101": {"channels": "channels", "cells": "cells"},
    "fairnas": {"channels": "channels", "dropout": "dropout"},
    "shufflenet": {"channels": "channels", "dropout": "dropout"},
    "nasnet": {"channels": "channels", "cells": "cells"},
}
OF_SAMPLERS = {
    "balanced": {"bucket_weights": "bucket_weights"},
    "vae": {
        "vae_every": "every", "vae_samples": "samples", "vae_keep": "keep", "vae_iterations": "iterations",
        "vae_increment": "increment", "vae_epsilon": "most",
    },
}  # fmt: skip
OF_METHODS = {"darts": {k: k for k in ("arch_learning_rate", "arch_weight_decay")}}
OF_CONTEXTS: dict[str, dict[str, str]] = {
    name: {"depth": "depth", "priors": "priors"} for name in ("bias", "shared-bias", "attention", "attention-2")
} | {"split": {"split_epoch": "split_epoch", "priors": "priors"}}
OWN = ("space", "method", "sampler", "context", "dataset", "split", "split_by", "image_size", "seed", "init_from")


def upgraded(config: Mapping[str, Any]) -> dict[str, Any]:
    """A recorded configuration as it would be recorded today; ValueError where it is of no known version."""
    if not isinstance(config.get("space"), str):
        return _with_later(config)
    flat = {**LATER, **config, "split_by": "position"}
    tables = {
        "space": OF_SPACES.get(flat["space"].removesuffix("-no-zero").removesuffix("-conv"), {}),
        "method": OF_METHODS.get(flat.get("method", "single-path"), {}),
        "sampler": OF_SAMPLERS.get(flat.get("sampler", "uniform"), {}),
        "context": OF_CONTEXTS.get(flat["context"], {}),
    }
    values = {name: flat[name] for name in OWN if name in flat}
    values |= {
        f"{part}.{new}": flat[old] for part, table in tables.items() for old, new in table.items() if old in flat
    }
    moved = {old for table in (*OF_SPACES.values(), *OF_SAMPLERS.values()) for old in table}
    moved |= {old for table in (*OF_METHODS.values(), *OF_CONTEXTS.values()) for old in table}
    values |= {name: value for name, value in flat.items() if name not in moved and name not in OWN}
    try:
        return document(*configured(values))
    except ValueError as error:
        raise ValueError(f"this configuration is not of this version: {error}") from error


def continued(config: Config, there: Mapping[str, Any]) -> Config:
    """The configuration that is asked for, its defaults those of the version whose recorded run it goes on with."""
    if "split_by" in there:
        return config
    was_default = config.split == "auto" and there.get("split") == "standard"
    return replace(config, split_by="position", split="standard" if was_default else config.split)


def _with_later(config: Mapping[str, Any]) -> dict[str, Any]:
    """With the defaults of options that are younger than the run, which are what it did; what is odd stays as it is."""
    try:
        whole = document(*read(config))
    except ValueError:  # which whoever needs the values will say
        return dict(config)
    return {**config, **whole}


def renamed(state: Mapping[str, Value]) -> dict[str, Value]:
    """A checkpoint's tensors by their names of today."""
    return {_name(name): value for name, value in state.items()}


def _name(name: str) -> str:
    if name.startswith("alpha."):
        return "method.alphas." + name.removeprefix("alpha.")
    return "optimizer.architecture." + name.removeprefix("arch.") if name.startswith("arch.") else name

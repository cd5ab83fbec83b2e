"""The configuration of a whole run. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from oneshot.base.bounds import check_least
from oneshot.training.recipe import Recipe


@dataclass(frozen=True)
class Config:
    """What a supernet training was asked for; a run folder records it, flat, as config.json.

    Args:
        space: search space, see `oneshot spaces`
        dataset: digits, cifar10, cifar100, an .npz file, or a folder of images with train/CLASS/ and valid/CLASS/
        split: standard (90% train, 10% validate) or half; of folders, given or valid-is-test: valid/ validates
        image_size: resize the images to this size; 0 keeps that of arrays, and is 224 for folders
        channels: width of the first stage
        cells: cells a stage
        pool_conv: a 1x1 convolution behind pooling, as the paper's supernet has it
        dropout: share of the features that training drops before the classifier, of FairNAS and ShuffleNetV2 networks
        method: single-path or darts
        sampler: uniform, fair, balanced, exact-edges (NAS-Bench-101 cells of nine edges), or vae (VAENAS-OS)
        bucket_weights: how often balanced draws each of the space's buckets, relative to the others; () equally often
        seed: of the weights, the paths and the order of the images
        context: weights that depend on earlier choices: none, bias, shared-bias, attention, attention-2, or split
        depth: on how many earlier choices
        priors: order (the last choices in plain order) or graph (those at the edges into the edge's source node)
        init_from: run folder whose weights the training begins with, whatever their context; '' for random ones
        vae_every: epochs between two trainings of the VAE (n_vae in VAENAS, Algorithm 2; the paper gives no figures)
        vae_samples: architectures that are evaluated for each (N_s)
        vae_keep: share of them, best first, that it learns from (K; half in VAENAS, Fig. 1)
        vae_iterations: steps of each training of the VAE (n_iters^vae)
        vae_increment: how much epsilon, the share of paths that the VAE draws, grows with every epoch (epsilon_inc)
        vae_epsilon: the largest epsilon
    """

    space: str = "nasbench201"
    dataset: str = "cifar10"
    split: str = "standard"
    image_size: int = 0
    channels: int = 16
    cells: int = 2
    pool_conv: bool = False
    dropout: float = 0.0
    method: str = "single-path"
    sampler: str = "uniform"
    bucket_weights: tuple[float, ...] = ()
    seed: int = 0
    context: str = "none"
    depth: int = 1
    priors: str = "order"
    init_from: str = ""
    vae_every: int = 10
    vae_samples: int = 200
    vae_keep: float = 0.5
    vae_iterations: int = 500
    vae_increment: float = 0.004
    vae_epsilon: float = 1.0

    def __post_init__(self) -> None:
        check_least(self, channels=1, cells=1, seed=0, image_size=0, depth=1, vae_every=1, vae_samples=1)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        if not all(isinstance(w, int | float) and 0 <= w < math.inf for w in self.bucket_weights):
            raise ValueError(f"bucket_weights must be numbers of at least 0, got {self.bucket_weights}")
        if self.priors not in ("order", "graph"):
            raise ValueError(f"priors must be order or graph, got {self.priors!r}")
        if self.context == "split" and self.depth != 1:
            raise ValueError(f"split weights depend on one earlier choice: depth must be 1, got {self.depth}")


def flat(config: Config, recipe: Recipe) -> dict[str, Any]:
    """The one JSON object that a run folder records."""
    values = {**asdict(config), **asdict(recipe)}
    return {key: list(value) if isinstance(value, tuple) else value for key, value in values.items()}


LATER: dict[str, Any] = {"bucket_weights": [], "optimizer": "sgd"}
LATER |= {"vae_every": 10, "vae_samples": 200, "vae_keep": 0.5, "vae_iterations": 500}
LATER |= {"vae_increment": 0.004, "vae_epsilon": 1.0}
LATER |= {"context": "none", "depth": 1, "priors": "order", "init_from": "", "split_epoch": 0}
LATER |= {"dropout": 0.0, "crop_scale": 1.0, "interpolation": "bilinear", "color_jitter": 0.0}
"""Values of options that older run folders do not record."""


def unflat(document: Mapping[str, Any]) -> tuple[Config, Recipe]:
    """The configuration of a run folder; ValueError names keys that are unknown, missing or of another type."""
    parts = []
    document = {**LATER, **document}
    names = {f.name for kind in (Config, Recipe) for f in fields(kind)}
    if names ^ set(document):
        odd = ", ".join(sorted(names ^ set(document)))
        raise ValueError(f"this configuration is not of this version: unknown or missing {odd}")
    for kind in (Config, Recipe):
        values = {f.name: document[f.name] for f in fields(kind)}
        for f in fields(kind):
            kinds = (int, float) if isinstance(f.default, float) else (type(f.default),)
            if type(f.default) is tuple and isinstance(values[f.name], list):
                values[f.name] = tuple(values[f.name])
            if type(values[f.name]) not in kinds:
                raise ValueError(f"{f.name} must be a {type(f.default).__name__}, got {values[f.name]!r}")
        parts.append(kind(**values))
    return parts[0], parts[1]

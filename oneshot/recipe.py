"""How a network is trained: a recipe, and the configuration of a whole run. Imports no torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from oneshot.augmentation import Augmentation
from oneshot.bounds import check_least


@dataclass(frozen=True)
class Recipe:
    """How weights are trained; the defaults are arXiv 2104.11522, Table 5, NAS-Bench-201 supernet.

    Args:
        epochs: passes over the training images
        batch_size: images a step, over all processes
        learning_rate: the first learning rate
        final_learning_rate: where the cosine ends
        warmup_epochs: epochs of linear warm-up from 0
        optimizer: sgd or muon
        momentum: of SGD and Muon
        nesterov: Nesterov's momentum
        weight_decay: not applied to BatchNorm; decoupled from the gradient for Muon
        gradient_clip: largest norm of the whole gradient, 0 does not clip
        label_smoothing: of the cross-entropy
        shift: random shift in pixels
        flip: random horizontal flips
        cutout: side of the square that is hidden, in pixels
        crop_scale: smallest share of the area that a random resized crop takes, of image folders; 1 does not crop
        interpolation: of random resized crops: bilinear, bicubic or random
        color_jitter: largest change of brightness, contrast and saturation, as a share, of image folders
        arch_learning_rate: Adam's, for methods with architecture parameters (arXiv 1806.09055, section 3.1.1)
        arch_weight_decay: Adam's
        precision: float32, bf16 (autocast), or auto, which is bf16 on a GPU and float32 on a CPU
        split_epoch: epochs after which every context gets a copy of its own of the weights (context split), 0 never
    """

    epochs: int = 250
    batch_size: int = 256
    learning_rate: float = 0.025
    final_learning_rate: float = 1e-5
    warmup_epochs: float = 0.0
    optimizer: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 3e-4
    gradient_clip: float = 0.0
    label_smoothing: float = 0.0
    shift: int = 4
    flip: bool = True
    cutout: int = 0
    crop_scale: float = 1.0
    interpolation: str = "bilinear"
    color_jitter: float = 0.0
    arch_learning_rate: float = 3e-4
    arch_weight_decay: float = 1e-3
    precision: str = "auto"
    split_epoch: int = 0

    def __post_init__(self) -> None:
        check_least(self, epochs=1, batch_size=1, learning_rate=0, final_learning_rate=0, warmup_epochs=0, momentum=0)
        check_least(self, weight_decay=0, gradient_clip=0, label_smoothing=0, shift=0, cutout=0)
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs must be below the {self.epochs} epochs, got {self.warmup_epochs}")
        if not 0 <= self.split_epoch < self.epochs:
            raise ValueError(
                f"split_epoch must lie inside the {self.epochs} epochs, from 1 to {self.epochs - 1} (0 never splits), "
                f"got {self.split_epoch}"
            )
        if self.optimizer not in ("sgd", "muon"):
            raise ValueError(f"optimizer must be sgd or muon, got {self.optimizer!r}")
        if self.momentum >= 1:
            raise ValueError(f"momentum must be below 1, got {self.momentum}")
        if self.precision not in ("auto", "float32", "bf16"):
            raise ValueError(f"precision must be auto, float32 or bf16, got {self.precision!r}")
        _ = self.augmentation

    @property
    def augmentation(self) -> Augmentation:
        """What it does to training images; ValueError where that cannot be."""
        return Augmentation(**{f.name: getattr(self, f.name) for f in fields(Augmentation)})

    def rate(self, progress: float) -> float:
        """The learning rate at a share of the training: linear warm-up, then one cosine down to the final rate."""
        warm = self.warmup_epochs / self.epochs
        if progress < warm:
            return self.learning_rate * progress / warm
        cosine = 0.5 * (1 + math.cos(math.pi * (progress - warm) / (1 - warm)))
        return self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * cosine


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

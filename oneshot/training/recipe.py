"""How a network is trained: a recipe, and the configuration of a whole run. Imports no torch."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

from oneshot.base.bounds import COUNT, IMAGE_SIDE, check_least, check_most
from oneshot.data.augmentation import Augmentation


@dataclass(frozen=True)
class Recipe:
    """How weights are trained; the defaults are arXiv 2104.11522, Table 5, NAS-Bench-201 supernet.

    Args:
        epochs: passes over the training images
        batch_size: images a step, over all processes
        learning_rate: the first learning rate
        final_learning_rate: where the schedule ends
        schedule: cosine or linear, from the first learning rate to the final one
        warmup_epochs: epochs of linear warm-up from 0
        optimizer: sgd or muon
        momentum: of SGD and Muon
        nesterov: Nesterov's momentum
        weight_decay: not applied to BatchNorm; decoupled from the gradient for Muon
        gradient_clip: largest norm of the whole gradient, 0 does not clip
        label_smoothing: of the cross-entropy
        auxiliary: weight of the loss of a second classifier in the middle of the network (arXiv 1806.09055), 0 for none
        drop_path: probability at the end of the training that a path is dropped for an image, rising linearly from 0
        shift: random shift in pixels
        flip: random horizontal flips
        cutout: side of the square that is hidden, in pixels
        crop_scale: smallest share of the area that a random resized crop takes, of image folders; 1 does not crop
        interpolation: of random resized crops: bilinear, bicubic or random
        color_jitter: largest change of brightness, contrast and saturation, as a share, of image folders
        precision: float32, bf16 (autocast), or auto: bf16 on a GPU or on a CPU with matrix units for it, else float32
    """

    epochs: int = 250
    batch_size: int = 256
    learning_rate: float = 0.025
    final_learning_rate: float = 1e-5
    schedule: str = "cosine"
    warmup_epochs: float = 0.0
    optimizer: str = "sgd"
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 3e-4
    gradient_clip: float = 0.0
    label_smoothing: float = 0.0
    auxiliary: float = 0.0
    drop_path: float = 0.0
    shift: int = 4
    flip: bool = True
    cutout: int = 0
    crop_scale: float = 1.0
    interpolation: str = "bilinear"
    color_jitter: float = 0.0
    precision: str = "auto"

    def __post_init__(self) -> None:
        check_least(self, epochs=1, batch_size=1, learning_rate=0, final_learning_rate=0, warmup_epochs=0, momentum=0)
        check_most(self, epochs=COUNT, batch_size=COUNT, shift=IMAGE_SIDE)
        check_least(self, weight_decay=0, gradient_clip=0, label_smoothing=0, shift=0, cutout=0)
        check_least(self, auxiliary=0, drop_path=0)
        if self.drop_path >= 1:
            raise ValueError(f"drop_path must be at least 0 and below 1, got {self.drop_path}")
        if self.schedule not in ("cosine", "linear"):
            raise ValueError(f"schedule must be cosine or linear, got {self.schedule!r}")
        if self.warmup_epochs >= self.epochs:
            raise ValueError(f"warmup_epochs must be below the {self.epochs} epochs, got {self.warmup_epochs}")
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
        """The learning rate at a share of the training: linear warm-up, then down to the final rate."""
        warm = self.warmup_epochs / self.epochs
        if progress < warm:
            return self.learning_rate * progress / warm
        done = (progress - warm) / (1 - warm)
        left = 1 - done if self.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
        return self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * left

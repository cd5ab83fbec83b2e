"""Configurations by name. Imports no torch."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from oneshot.runs.config import Config, configured, settings_type
from oneshot.training.recipe import Recipe

NARROW = {"channels": 5, "sampler": "balanced", "epochs": 1000, "batch_size": 128}

SUBIMAGENET = {
    "space": "fairnas",
    "dataset": "subimagenet",
    "split": "valid-is-test",
    "image_size": 224,
    "batch_size": 128,
    "learning_rate": 0.05,
    "warmup_epochs": 5.0,
    "weight_decay": 4e-5,
    "label_smoothing": 0.1,
    "shift": 0,
}

ENTRANNAS = {
    "space.sharing": True,
    "space.bottleneck": 4,
    "split": "half",
    "epochs": 50,
    "batch_size": 512,
    "learning_rate": 0.2,
}

PRESETS: dict[str, dict[str, Any]] = {
    # arXiv 2104.11522, Table 5, and the supernet of its Table 3
    "paper": {"space.pool_conv": True},
    # the same recipe for the benchmark's own cells, which have no convolution behind pooling
    "standalone": {},
    # the same table's columns on SubImageNet; there, ground truth and predictions are of the same validation images
    "fairnas": {**SUBIMAGENET, "epochs": 600, "crop_scale": 0.4},
    "fairnas-standalone": {
        **SUBIMAGENET,
        "epochs": 240,
        "dropout": 0.2,
        "crop_scale": 0.08,
        "interpolation": "random",
        "color_jitter": 0.4,
    },
    # the best published correlations on NAS-Bench-201 are those of narrow supernets with balanced paths
    "narrow": NARROW,
    "narrow-short": {**NARROW, "epochs": 250, "batch_size": 64},
    # real CIFAR-10 on a CPU; README.md has what it reaches
    "cpu45": {
        "image_size": 16,
        "channels": 16,
        "cells": 1,
        "sampler": "balanced",
        "bucket_weights": (1.0, 4.0, 16.0),
        "epochs": 60,
        "batch_size": 32,
        "optimizer": "muon",
        "learning_rate": 0.01,
        "momentum": 0.95,
        "nesterov": True,
        "weight_decay": 1e-4,
        "shift": 1,
    },
    # arXiv 1806.09055
    "darts": {"method": "darts", "split": "half", "epochs": 50, "batch_size": 64},
    # Tan et al., section 4.2 and Table 1
    # EnTranNAS (arXiv 2101.11342, section 4): engine and transit cells, shared features, a bottleneck of ratio 4
    "entrannas": {"space": "darts", **ENTRANNAS, "method": "entrannas"},
    "entrannas-dst": {"space": "darts-subsets", **ENTRANNAS, "method": "entrannas-dst"},
    "msg-das": {"method": "msg-das", "space": "darts", "split": "half", "epochs": 240, "batch_size": 128},
    # arXiv 1909.00122, sections 4.1 and 4.2: three cells, here those of NAS-Bench-201 with any number of operations on
    # an edge; the paper trains the supernet on 80% of the training images
    "hm-nas": {
        "method": "hm-nas",
        "space": "nasbench201-subsets",
        "channels": 36,
        "cells": 1,
        "epochs": 100,
        "batch_size": 128,
        "learning_rate": 0.1,
        "all_images": True,
        "fine_tune_cutout": 16,
    },
    # VAENAS, Algorithm 3, in the space of its appendix A.4, trained as DARTS is; the paper gives no rates of its search
    "vaenas-g": {"method": "vaenas-g", "space": "nasnet", "split": "half", "epochs": 50, "batch_size": 64},
    # VAENAS-OS on NAS-Bench-101, whose networks have three stacks of three cells behind a stem of 128 channels; the
    # paper (appendix A.5) gives neither epochs nor batch nor rates for it, so they are those of "paper"
    "vaenas": {"space": "nasbench101", "channels": 128, "cells": 3, "sampler": "vae"},
    # the same, narrow, for a CPU
    "vaenas-narrow": {
        "space": "nasbench101",
        "image_size": 16,
        "channels": 16,
        "cells": 1,
        "sampler": "vae",
        "sampler.every": 5,
        "sampler.samples": 64,
        "sampler.increment": 0.025,
        "epochs": 40,
        "batch_size": 64,
        "learning_rate": 0.05,
        "shift": 1,
    },
    # the embedded digits, in half a minute on two CPU cores
    "demo": {
        "dataset": "digits",
        "split": "half",
        "split_by": "position",  # as the table that ships was made, so that it validates on the same images
        "channels": 8,
        "cells": 1,
        "sampler": "balanced",
        "epochs": 250,
        "batch_size": 64,
        "learning_rate": 0.05,
        "shift": 1,
        "flip": False,
    },
}
"""Named departures from the defaults of Config and Recipe."""


RETRAINING: dict[str, dict[str, Any]] = {
    # arXiv 1806.09055, section 3.1.2 and its code, as EnTranNAS evaluates (arXiv 2101.11342): 20 cells
    "darts-cifar": {
        "space.channels": 36,
        "space.cells": 6,
        "method.images": "all",
        "dataset": "cifar10",
        "epochs": 600,
        "batch_size": 96,
        "learning_rate": 0.025,
        "final_learning_rate": 0.0,
        "weight_decay": 3e-4,
        "gradient_clip": 5.0,
        "cutout": 16,
        "auxiliary": 0.4,
        "drop_path": 0.2,
    },
    # the ImageNet setting of EnTranNAS, which follows PC-DARTS (arXiv 1907.05737): 14 cells, a warm-up of five epochs
    "darts-imagenet": {
        "space.channels": 48,
        "space.cells": 4,
        "space.stem": "imagenet",
        "dataset": "imagenet",
        "split": "valid-is-test",
        "image_size": 224,
        "epochs": 250,
        "batch_size": 1024,
        "learning_rate": 0.5,
        "final_learning_rate": 0.0,
        "schedule": "linear",
        "warmup_epochs": 5.0,
        "weight_decay": 3e-5,
        "gradient_clip": 5.0,
        "label_smoothing": 0.1,
        "auxiliary": 0.4,
        "shift": 0,
        "crop_scale": 0.08,
        "color_jitter": 0.4,
    },
    # arXiv 2001.00326, Table 2: what its tables of CIFAR-10's test images were measured by
    "nasbench201": {
        "space.channels": 16,
        "space.cells": 5,
        "method.images": "all",
        "dataset": "cifar10",
        "epochs": 200,
        "batch_size": 256,
        "learning_rate": 0.1,
        "final_learning_rate": 0.0,
        "nesterov": True,
        "weight_decay": 5e-4,
    },
}
"""How networks of one architecture are trained; sizes are those of networks that have them."""


SMALLER = {
    "paper": "cpu45",
    "standalone": "cpu45",
    "narrow": "narrow-short",
    "narrow-short": "cpu45",
    "vaenas": "vaenas-narrow",
    "darts-cifar": "nasbench201",
}
"""Of a preset, the next one that takes less on the same images in the same space."""


def retraining(name: str, space: str) -> dict[str, Any]:
    """What a network of one architecture of a space is trained by, as `configured` takes it; ValueError as `preset`."""
    if name not in RETRAINING:
        raise ValueError(f"no preset {name!r} for one architecture; there are {', '.join(RETRAINING)}")
    known = {f"space.{f.name}" for f in fields(settings_type("space", space))}
    values = {k: v for k, v in RETRAINING[name].items() if k in known or not k.startswith("space.")}
    return {"space": space, **values}


def usual_retraining(space: str) -> str:
    """The preset of one architecture's network unless another is named: DARTS's, where networks have what it asks."""
    own = {f.name for f in fields(settings_type("space", space))}
    return "darts-cifar" if own >= {"auxiliary", "drop_path"} else "nasbench201"


def preset(name: str, **values: Any) -> tuple[Config, Recipe]:
    """The configuration of that name, with these values in place of its own: `preset("demo", epochs=20)`.

    ValueError lists the names, and names a value that is unknown.
    """
    return configured({**preset_values(name), **values})


def preset_values(name: str) -> dict[str, Any]:
    """What `preset` departs from the defaults in, as `configured` takes it."""
    if name not in PRESETS:
        raise ValueError(f"no preset {name!r}; there are {', '.join(PRESETS)}")
    return dict(PRESETS[name])

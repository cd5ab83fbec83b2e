"""What each method of `methods.py` trains by, as a function of its budget; imported by it, and by what draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

IMAGES = 12.0
"""The first budget: passes over 25,000 images, those of the weights and of the architecture counted alike."""
SECONDS = 200.0
"""The second: processor seconds of a training and its search, on one core."""
BUDGETS = {"images": IMAGES, "seconds": SECONDS}
BATCH, STEPS = 64, 390
"""Of an epoch of 25,000 images."""
COMPARED, CALIBRATED, VALIDATED = 100, 500, 500
"""Architectures that a search compares in the first budget, and the images that each costs: together four passes."""
COMMON: dict[str, Any] = {
    "space": "nasbench201", "dataset": "cifar10", "split": "half", "image_size": 16, "channels": 8, "cells": 1,
    "batch_size": BATCH, "optimizer": "muon", "learning_rate": 0.02, "momentum": 0.95, "nesterov": True,
    "weight_decay": 1e-4, "shift": 1,
}  # fmt: skip
"""The scale and the training of weights, the same for all but one."""
SGD: dict[str, Any] = {
    "optimizer": "sgd",
    "learning_rate": 0.2,
    "momentum": 0.9,
    "nesterov": False,
    "gradient_clip": 5.0,
}
"""Of DARTS's second order, whose virtual step is one of SGD."""


@dataclass(frozen=True)
class Plan:
    """A training, and the search that follows it.

    Args:
        settings: what departs from COMMON, as `configured` takes it
        passes: over 25,000 images, of the training
        compared: architectures that a search compares afterwards
        told: architectures that a sampler is told of each time that it learns
        search: evolution, or vae: draws of what the run's sampler has learned
        norm: how BatchNorm gets its statistics when architectures are compared
    """

    settings: Mapping[str, Any]
    passes: float
    compared: int = 0
    told: int = 0
    search: str = ""
    norm: str = "reset-cumulative-4"

    @property
    def images(self) -> int:
        """That all of it draws: every batch once, however many passes of the network it goes through."""
        every, epochs = self.settings.get("every", 1), self.settings["epochs"]
        compared = self.compared + self.told * (epochs // every)
        return round(self.passes * STEPS * BATCH) + compared * (CALIBRATED + VALIDATED)


@dataclass(frozen=True)
class Entry:
    """A method of the study.

    Args:
        title: as the tables call it
        plan: of so many passes over 25,000 images
        published: true CIFAR-10 accuracy of what it found on NAS-Bench-201, as published (FIELD), if it is
        paper: settings of the search in its paper, as `oneshot train` takes them
    """

    title: str
    plan: Callable[[float], Plan]
    paper: str
    published: str = ""


def whole(number: float, least: int = 1) -> int:
    return max(least, round(number))


def rate(published: float, steps: float, here: float) -> float:
    """The rate of architecture parameters: that of the paper, times its steps over those that there are here."""
    return float(f"{published * steps / max(here, 1):.3g}")


def one_shot(passes: float, search: str = "evolution", **settings: Any) -> Plan:
    """Two thirds of the images for weights, one for the comparison of architectures."""
    epochs = whole(2 * passes / 3)
    return Plan({"epochs": epochs, **settings}, epochs, whole(COMPARED * passes / IMAGES, 5), 0, search)


def random_search(passes: float) -> Plan:
    race = whole(passes / 3)
    epochs = whole(2 * passes / 3) + race
    candidates = whole(COMPARED * passes / IMAGES, 10)
    given = {"method": "random-search", "epochs": epochs, "race_epochs": race, "candidates": candidates}
    return Plan(given, epochs)


def vaenas(passes: float) -> Plan:
    """A fifth of the comparisons after every quarter of the epochs, and a fifth of what was learned in the end."""
    planned, fifth = one_shot(passes), whole(COMPARED * passes / IMAGES / 5, 16)
    every = whole(planned.passes / 4)
    given = {
        "sampler": "vae", "every": every, "samples": fifth, "iterations": 200, "increment": 1 / planned.passes,
        "epochs": planned.settings["epochs"],
    }  # fmt: skip
    return Plan(given, planned.passes, fifth, fifth, "vae")


def bilevel(method: str, published: float, steps: float, **settings: Any) -> Callable[[float], Plan]:
    """As many images for the architecture as for the weights."""

    def plan(passes: float) -> Plan:
        epochs = whole(passes / 2, 2)
        own = {"arch_learning_rate": rate(published, steps, epochs * STEPS)}
        if "temperature_ratio" in settings:  # as cold in the end as after the published epochs
            own["temperature_ratio"] = settings["temperature_ratio"] ** (50 / epochs)
        return Plan({"method": method, "epochs": epochs, **settings, **own}, 2 * epochs)

    return plan


def snas(passes: float) -> Plan:
    epochs = whole(passes, 2)
    return Plan(
        {"method": "snas", "epochs": epochs, "arch_learning_rate": rate(3e-4, 150 * 390, epochs * STEPS)}, epochs
    )


def vaenas_g(passes: float) -> Plan:
    epochs = whole(passes / 3, 2)
    told = whole(COMPARED * passes / IMAGES / epochs, 16)
    given = {"method": "vaenas-g", "epochs": epochs, "samples": told, "iterations": 100}
    given["arch_learning_rate"] = rate(1e-3, 50 * 390, epochs * STEPS)
    return Plan(given, 2 * epochs, told=told)


def hm_nas(passes: float) -> Plan:
    """Five twelfths for the supernet's weights, a third for masks, a twelfth for what is unmasked, as published one
    tenth of the first without an architecture; rates of masks by their steps as those of the architecture."""
    epochs, masks, tuning = whole(5 * passes / 12, 2), whole(passes / 3), whole(passes / 12)
    warm, tuned = epochs / 10, masks * STEPS
    share = _learning(whole(warm) / epochs)
    given = {
        "method": "hm-nas", "space": "nasbench201-subsets", "epochs": epochs, "warm_start": whole(warm),
        "arch_learning_rate": rate(3e-4, 100 * 312 * _learning(0.1), epochs * STEPS * share),
        "mask_epochs": masks, "mask_learning_rate": rate(1e-4, 20 * 390, tuned),
        "arch_mask_learning_rate": rate(1e-5, 20 * 390, tuned), "mask_decay_epochs": whole(masks / 2),
        "fine_tune_epochs": tuning, "fine_tune_learning_rate": COMMON["learning_rate"] / 10,
    }  # fmt: skip
    return Plan(given, epochs * (1 + share) + masks + tuning)


def _learning(warm: float) -> float:
    """The share of steps in which HM-NAS's architecture learns: with a probability that falls from 1 to 0."""
    return (1 - warm) ** 2 / 2


DST = {"temperature_ratio": 0.923, "space": "nasbench201-subsets"}
METHODS: dict[str, Entry] = {
    "random-search": Entry("random search with weight sharing", random_search, "--method random-search --split half"),
    "spos": Entry("SPOS + evolution", one_shot, "--preset standalone"),
    "spos-bias": Entry(
        "SPOS with bias + evolution", partial(one_shot, context="bias", depth=1),
        "--preset standalone --context bias --depth 1",
    ),
    "vaenas-os": Entry("VAENAS-OS", vaenas, "--preset standalone --sampler vae"),
    "darts": Entry("DARTS, first order", bilevel("darts", 3e-4, 50 * 390), "--preset darts", "54.30 ± 0"),
    "gdas": Entry(
        "GDAS", bilevel("gdas", 3e-4, 250 * 390), "--preset darts --method gdas --epochs 250", "93.61 ± .09"
    ),
    "snas": Entry("SNAS", snas, "--preset darts --method snas --epochs 150", "92.77 ± .83"),
    "proxylessnas": Entry(
        "ProxylessNAS", bilevel("proxylessnas", 1e-3, 50 * 390), "--preset darts --method proxylessnas"
    ),
    "entrannas": Entry(
        "EnTranNAS", bilevel("entrannas", 6e-4, 50 * 49, temperature_ratio=0.923),
        "--preset entrannas --space nasbench201",
    ),
    "entrannas-dst": Entry(
        "EnTranNAS-DST", bilevel("entrannas-dst", 6e-4, 50 * 49, **DST),
        "--preset entrannas-dst --space nasbench201-subsets",
    ),
    "msg-das": Entry("MSG-DAS", bilevel("msg-das", 3e-4, 240 * 195), "--preset msg-das --space nasbench201"),
    "hm-nas": Entry("HM-NAS", hm_nas, "--preset hm-nas"),
    "vaenas-g": Entry("VAENAS-G", vaenas_g, "--preset vaenas-g --space nasbench201"),
    "darts-2": Entry(
        "DARTS, second order", bilevel("darts", 3e-4, 50 * 390, order="second", **SGD), "--preset darts --order second",
        "54.30 ± 0",
    ),
}  # fmt: skip


def with_settings(plan: Plan, **settings: Any) -> Plan:
    return replace(plan, settings={**plan.settings, **settings})


def slower(plan: Plan, factor: float) -> Plan:
    """The rate of the architecture parameters by a factor."""
    return with_settings(plan, arch_learning_rate=plan.settings["arch_learning_rate"] * factor)


GRADIENT = tuple(name for name in METHODS if name not in ("random-search", "spos", "spos-bias", "vaenas-os"))
WHY: dict[str, tuple[tuple[str, ...], Callable[[Callable[[float], Plan], float], Plan]]] = {
    "three times as long": (tuple(METHODS), lambda plan, passes: plan(3 * passes)),
    "rate / 5": (GRADIENT, lambda plan, passes: slower(plan(passes), 0.2)),
    "rate x 5": (GRADIENT, lambda plan, passes: slower(plan(passes), 5.0)),
    "balanced paths": (
        ("random-search", "spos", "spos-bias"),
        lambda plan, passes: with_settings(plan(passes), sampler="balanced"),
    ),
    "statistics of each batch": (("spos", "spos-bias"), lambda plan, passes: replace(plan(passes), norm="batch")),
}
"""What is changed, one thing at a time, to know why a method fell short, and in which methods."""

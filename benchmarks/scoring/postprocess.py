"""What may be done with predictions before they are scored: never by itself, always named and recorded.

| name | what |
|---|---|
| `isomorphs` | each prediction becomes the mean over the predicted architectures that compute the same function |
| `ensemble` | the mean over the training seeds of one method |
| `fuse:FACT` | the mean of the prediction's rank and that of a training-free fact, such as `fuse:parameters` |

`a+b` is first a, then b. Fusion helps weak supernets and hurts strong ones; none of them is the supernet's own result.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.scoring.predictions import Predicted
from scipy import stats

from oneshot.space import Arch, Space

Post = Callable[[Sequence[Predicted], Space], list[Predicted]]
"""From the runs of one method to its processed runs."""

NAMES = "isomorphs, ensemble or fuse:FACT"
FACTS = {"params": "parameters"}
"""Short names of facts."""


def isomorphs(runs: Sequence[Predicted], space: Space) -> list[Predicted]:
    """Each prediction becomes the mean over its class (`Space.canonical`), as far as the run predicts the class."""
    processed = []
    for run in runs:
        classes: dict[Arch, int] = {}
        member = [classes.setdefault(space.canonical(space.parse(text)), len(classes)) for text in run.archs]
        means = np.bincount(member, run.accuracy) / np.bincount(member)
        processed.append(_recorded(run, means[member], "isomorphs", classes=len(classes), of=len(run.archs)))
    return processed


def ensemble(runs: Sequence[Predicted], space: Space) -> list[Predicted]:
    """One run: the mean over the given ones, on the architectures that all of them predict."""
    if len(runs) < 2:
        raise ValueError(
            f"an ensemble needs at least two runs of one method, got {len(runs)} ({runs[0].name}); "
            "give them as NAME=FILE,FILE"
        )
    of_run = [{space.parse(text): i for i, text in enumerate(run.archs)} for run in runs]
    common = [arch for arch in of_run[0] if all(arch in rows for rows in of_run)]
    if not common:
        raise ValueError(f"{runs[0].name} and the other runs of the ensemble predict no architecture in common")
    values = [run.accuracy[[rows[arch] for arch in common]] for run, rows in zip(runs, of_run, strict=True)]
    protocol = {"runs": [dict(run.protocol) for run in runs], "post": list(runs[0].protocol.get("post", []))}
    strings = [runs[0].archs[of_run[0][arch]] for arch in common]
    merged = Predicted(strings, np.mean(values, axis=0), runs[0].space, protocol, runs[0].name)
    return [_recorded(merged, merged.accuracy, "ensemble", of=len(runs), runs=[run.name for run in runs])]


def fuse(fact: str) -> Post:
    """Rank fusion with a fact of the architectures, both ranks weighing the same; more of the fact counts as better."""

    def fused(runs: Sequence[Predicted], space: Space) -> list[Predicted]:
        processed = []
        for run in runs:
            facts = [space.facts(space.parse(text)) for text in run.archs]
            if fact not in facts[0]:
                raise ValueError(f"{space.name} has no fact {fact!r}; it has {', '.join(facts[0]) or 'none'}")
            ranks: list[Array] = [stats.rankdata(run.accuracy), stats.rankdata([each[fact] for each in facts])]
            processed.append(_recorded(run, np.mean(ranks, axis=0), f"fuse:{fact}", among=len(run.archs)))
        return processed

    return fused


def post_named(name: str) -> Post:
    """The post-processing of that name, or the chain of several; ValueError lists the names."""
    steps = [_step(part, name) for part in name.split("+")]

    def chain(runs: Sequence[Predicted], space: Space) -> list[Predicted]:
        processed = list(runs)
        for step in steps:
            processed = step(processed, space)
        return processed

    return chain


def _step(name: str, whole: str) -> Post:
    kind, colon, fact = name.partition(":")
    if kind == "fuse" and fact:
        return fuse(FACTS.get(fact, fact))
    if colon or kind not in ("isomorphs", "ensemble"):
        raise ValueError(f"unknown post-processing {name!r} in {whole!r}; expected {NAMES}, joined by +")
    return isomorphs if kind == "isomorphs" else ensemble


def _recorded(run: Predicted, values: Array, name: str, **facts: Any) -> Predicted:
    """The run with other values, the step in its name and its protocol."""
    steps = [*run.protocol.get("post", []), {"name": name, **facts}]
    return replace(run, accuracy=values, name=f"{run.name} + {name}", protocol={**run.protocol, "post": steps})

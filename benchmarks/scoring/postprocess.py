"""What may be done with predictions before they are scored: never by itself, always named and recorded.

| name | what |
|---|---|
| `isomorphs` | each prediction becomes the mean over the predicted architectures that compute the same function |
| `ensemble` | the mean over the training seeds of one method |
| `loss` | ranked by validation loss instead of accuracy |
| `ranks:A=2,B` | the weighted mean of ranks: of `accuracy`, `loss`, facts of the space, and scores that were given |
| `fuse:FACT` | the same of accuracy and one fact alike, such as `fuse:live_parameters` |
| `recommended` | what we recommend where no truth is known: accuracy and the best fact of the space alike |
| `correct:N` | a regression on N truths, which are left out of the score (`oneshot.benchmarks.scoring.correction`) |

`a+b` is first a, then b. Fusion with live parameters helps strong supernets as well as weak ones; with all parameters,
dead ones among them, it hurts strong ones. None of them is the supernet's own result.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.scoring.correction import fit
from oneshot.benchmarks.scoring.features import NOTHING, Given, classes, columns
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.ranks import ACCURACY, LOSS, averaged, checked_weights, recommended_weights, shares

from oneshot.space import Space

Post = Callable[[Sequence[Predicted], Space], list[Predicted]]
"""From the runs of one method to its processed runs."""
FACTS = {"params": "parameters", "live": "live_parameters"}
"""Short names of facts."""


def isomorphs(runs: Sequence[Predicted], space: Space) -> list[Predicted]:
    """Each prediction becomes the mean over its class (`Space.canonical`), as far as the run predicts the class."""
    processed = []
    for run in runs:
        member = classes(run, space)

        def mean(values: Array, member: np.ndarray = member) -> Array:
            return (np.bincount(member, values) / np.bincount(member))[member]

        loss = None if run.loss is None else mean(run.loss)
        averaged_run = replace(run, loss=loss)
        counted = {"classes": int(member.max()) + 1, "of": len(run.archs)}
        processed.append(_recorded(averaged_run, mean(run.accuracy), "isomorphs", **counted))
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
    rows = [[places[arch] for arch in common] for places in of_run]
    values = [run.accuracy[own] for run, own in zip(runs, rows, strict=True)]
    losses = [run.loss[own] for run, own in zip(runs, rows, strict=True) if run.loss is not None]
    loss = np.mean(losses, axis=0) if len(losses) == len(runs) else None
    protocol = {"runs": [dict(run.protocol) for run in runs], "post": list(runs[0].protocol.get("post", []))}
    strings = [runs[0].archs[row] for row in rows[0]]
    merged = Predicted(strings, np.mean(values, axis=0), runs[0].space, protocol, runs[0].name, loss=loss)
    return [_recorded(merged, merged.accuracy, "ensemble", of=len(runs), runs=[run.name for run in runs])]


def by_loss(runs: Sequence[Predicted], space: Space) -> list[Predicted]:
    """The less the validation loss, the better."""
    return [_recorded(run, columns(run, space, [LOSS])[LOSS], LOSS) for run in runs]


def ranked(weights: Mapping[str, float], name: str, given: Given = NOTHING) -> Post:
    """The weighted mean of ranks, in percent of the architectures of the run."""

    def process(runs: Sequence[Predicted], space: Space) -> list[Predicted]:
        processed = []
        for run in runs:
            found = columns(run, space, list(weights), given)
            try:
                values = averaged(found, weights)
            except ValueError as error:
                raise ValueError(f"{name} of {run.name}: {error}") from None
            processed.append(_recorded(run, values, name, ranks=dict(weights), among=len(run.archs)))
        return processed

    return process


def fuse(fact: str, given: Given = NOTHING) -> Post:
    """Rank fusion with a fact of the architectures, both ranks weighing the same; more of the fact counts as better."""
    return ranked({ACCURACY: 1.0, fact: 1.0}, f"fuse:{fact}", given)


def recommended(runs: Sequence[Predicted], space: Space) -> list[Predicted]:
    """What we recommend where no truth is known (`ranks.recommended_weights`)."""
    return ranked(recommended_weights(space), "recommended")(runs, space)


def corrected(count: int, given: Given) -> Post:
    """A regression on the truths of `count` architectures, which the result leaves out.

    They are spread evenly over the recommended ranks, so that no truth helps to choose them, among those whose truth
    is known and that have a live path.
    """

    def process(runs: Sequence[Predicted], space: Space) -> list[Predicted]:
        if given.truth is None:
            raise ValueError(f"correct:{count} needs ground truth: a benchmark that measured some of the architectures")
        return [_corrected(run, space, count, given) for run in runs]

    return process


def _corrected(run: Predicted, space: Space, count: int, given: Given) -> Predicted:
    assert given.truth is not None
    found = columns(run, space, None, given)
    last = np.array([space.bucket(space.parse(text)) is None for text in run.archs])
    truth = given.truth(run.archs)
    able = np.flatnonzero(~last & np.isfinite(truth))
    if len(able) < count:
        raise ValueError(f"correct:{count} of {run.name}: {len(able)} architectures have a truth and a live path")
    order = able[np.argsort(shares(run.accuracy)[able] + shares(found.get(space.baseline, run.accuracy))[able])]
    known = order[((np.arange(count) + 0.5) * len(order) / count).astype(int)]
    among = {name: values[~last] for name, values in found.items()}
    try:
        model = fit({name: values[known] for name, values in found.items()}, among, truth[known], seed=given.seed)
    except ValueError as error:
        raise ValueError(f"correct:{count} of {run.name}: {error}") from None
    said = model(found, among, last)
    kept = np.setdiff1d(np.arange(len(truth)), known)
    rest = replace(
        run,
        archs=[run.archs[row] for row in kept.tolist()],
        accuracy=said.mean[kept],
        loss=None if run.loss is None else run.loss[kept],
        used=[run.archs[row] for row in known.tolist()],
    )
    inside = (said.low[kept] <= truth[kept]) & (truth[kept] <= said.high[kept])
    seen = np.isfinite(said.low[kept]) & np.isfinite(truth[kept])
    covered = {"interval_coverage": float(inside[seen].mean())} if seen.any() else {}
    return _recorded(rest, rest.accuracy, f"correct:{count}", **model.protocol, **covered)


def _weights(text: str) -> dict[str, float]:
    """`accuracy=2,loss` as weights by name, 1 where none is said."""
    found: dict[str, float] = {}
    for part in text.split(","):
        name, equals, weight = part.partition("=")
        name = FACTS.get(name, name)
        try:
            number = float(weight) if equals else 1.0
        except ValueError:
            number = float("nan")
        if not name or name in found or not np.isfinite(number):
            raise ValueError(f"ranks:{text}: expected different NAME=WEIGHT joined by commas, got {part!r}")
        found[name] = number
    return checked_weights(found)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"correct:{text}: expected a number of truths, such as correct:50")
    return int(text)


PLAIN: dict[str, Post] = {"isomorphs": isomorphs, "ensemble": ensemble, LOSS: by_loss, "recommended": recommended}
WITH: dict[str, Callable[[str, Given], Post]] = {
    "fuse": lambda fact, given: fuse(FACTS.get(fact, fact), given),
    "ranks": lambda text, given: ranked(_weights(text), f"ranks:{text}", given),
    "correct": lambda text, given: corrected(_count(text), given),
}
"""Those that say with what, behind a colon."""
NAMES = ", ".join(PLAIN) + ", fuse:FACT, ranks:NAME=WEIGHT,... or correct:N"


def post_named(name: str, given: Given = NOTHING) -> Post:
    """The post-processing of that name, or the chain of several; ValueError lists the names."""
    steps = [_step(part, name, given) for part in name.split("+")]

    def chain(runs: Sequence[Predicted], space: Space) -> list[Predicted]:
        processed = list(runs)
        for step in steps:
            processed = step(processed, space)
        return processed

    return chain


def _step(name: str, whole: str, given: Given) -> Post:
    kind, colon, rest = name.partition(":")
    if not colon and kind in PLAIN:
        return PLAIN[kind]
    if rest and kind in WITH:
        return WITH[kind](rest, given)
    raise ValueError(f"unknown post-processing {name!r} in {whole!r}; expected {NAMES}, joined by +")


def _recorded(run: Predicted, values: Array, name: str, **facts: Any) -> Predicted:
    """The run with other values, the step in its name and its protocol."""
    steps = [*run.protocol.get("post", []), {"name": name, **facts}]
    return replace(run, accuracy=values, name=f"{run.name} + {name}", protocol={**run.protocol, "post": steps})

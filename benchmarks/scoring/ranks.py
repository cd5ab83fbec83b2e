"""Predictions of different scales averaged by their ranks.

A *share* is how many of a population a value is above, ties counted half: of the population's own N values that is
(rank - 1/2) / N. Against a fixed population the share of a value depends on no other value that is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.scoring.measures import constant

from oneshot.space import Arch, Space

ACCURACY, LOSS = "accuracy", "loss"


def shares(values: Array, among: Array | None = None) -> Array:
    """The share of each value among others, by default among themselves; from 0 to 1."""
    ordered = np.sort(values if among is None else among)
    below, through = (np.searchsorted(ordered, values, side) for side in ("left", "right"))
    return (below + through) / (2 * len(ordered))


def averaged(
    columns: Mapping[str, Array], weights: Mapping[str, float], among: Mapping[str, Array] | None = None
) -> Array:
    """The weighted mean of the shares of some columns, in percent; ValueError for a column that is constant."""
    for name in weights:
        refuse_constant(name, (among or columns)[name])
    total = sum(weights.values())
    parts = [w * shares(columns[name], among[name] if among else None) for name, w in weights.items()]
    return 100 * np.sum(parts, axis=0) / total


def refuse_constant(name: str, values: Array) -> None:
    """ValueError where values rank nothing."""
    if not len(values) or constant(values):
        told = f"all {len(values)} are {values[0]:g}" if len(values) else "there are none"
        raise ValueError(f"{name} ranks nothing: {told}")


def checked_weights(weights: Mapping[str, float]) -> dict[str, float]:
    """ValueError unless each is a positive number."""
    for name, weight in weights.items():
        if not 0 < weight < np.inf:
            raise ValueError(f"the weight of {name} must be more than 0, got {weight:g}")
    return dict(weights)


def recommended_weights(space: Space) -> dict[str, float]:
    """What is averaged where nothing else is said: the supernet's accuracy and the space's best count, alike.

    Fixed before any table of real CIFAR-10 was scored; `docs/predictions.md` has what it does on others.
    """
    return {ACCURACY: 1.0, space.baseline: 1.0}


def facts_of(space: Space, archs: Sequence[Arch]) -> dict[str, Array]:
    """Every fact of the space as a column; none of a space without facts."""
    found = [space.facts(arch) for arch in archs]
    return {name: np.array([each[name] for each in found]) for name in (found[0] if found else ())}


def distinct(columns: Mapping[str, Array]) -> dict[str, list[str]]:
    """The names of columns that rank alike, each group by its first."""
    groups: dict[bytes, list[str]] = {}
    for name, values in columns.items():
        groups.setdefault(shares(values).tobytes(), []).append(name)
    return {names[0]: names for names in groups.values()}

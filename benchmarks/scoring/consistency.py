"""How far the predictions of several supernets agree with each other (arXiv 2104.11522, Table 2 and Fig. 10)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.display import compact, in_line, jsonable
from oneshot.benchmarks.scoring.catalogue import MEASURES
from oneshot.benchmarks.scoring.intervals import Bootstrap, Interval
from oneshot.benchmarks.scoring.measures import NAN, self_consistency
from oneshot.benchmarks.scoring.predictions import Evaluated, Predicted, as_predicted

from oneshot.base.html import html_table

if TYPE_CHECKING:
    import pandas as pd

CORRELATIONS = ("kendall_tau", "pearson_r", "spearman_rho")
"""In the order of Table 2."""
NOTE = "brackets: 95% intervals over architectures; ± standard deviation over pairs"
LEAST = 3
"""Architectures, below which no correlation is defined."""


@dataclass(frozen=True)
class Pair:
    """The correlations of two runs, by their indices, and bootstrap intervals over the architectures."""

    runs: tuple[int, int]
    values: dict[str, float]
    intervals: dict[str, Interval]


@dataclass(frozen=True)
class Consistency:
    """The runs on the architectures that all of them predict, and the correlations of every two."""

    runs: tuple[Predicted, ...]
    pairs: tuple[Pair, ...]
    intervals: dict[str, Any]

    @property
    def mean(self) -> dict[str, float]:
        return {name: float(np.mean([pair.values[name] for pair in self.pairs])) for name in CORRELATIONS}

    @property
    def spread(self) -> dict[str, float]:
        """The standard deviation over the pairs; nan for one pair."""
        values = {name: [pair.values[name] for pair in self.pairs] for name in CORRELATIONS}
        return {name: float(np.std(v, ddof=1)) if len(v) > 1 else float("nan") for name, v in values.items()}

    def to_dict(self) -> dict[str, Any]:
        """One JSON document; undefined numbers are null."""
        names = [run.name for run in self.runs]
        pairs = [
            {"runs": [names[i] for i in pair.runs], **pair.values, "intervals": pair.intervals} for pair in self.pairs
        ]
        runs = [
            {"name": run.name, "space": run.space, "protocol": dict(run.protocol), "notes": list(run.notes)}
            for run in self.runs
        ]
        how = {"architectures": len(self.runs[0].archs), "intervals": self.intervals, "runs": runs}
        return jsonable({"pairs": pairs, "mean": self.mean, "spread_of_pairs": self.spread, "protocol": how})

    def rows(self) -> list[list[str]]:
        """The names of each pair and its correlations, and last their mean."""
        pairs = [
            [self._names(pair), *(compact(pair.values[name], pair.intervals[name]) for name in CORRELATIONS)]
            for pair in self.pairs
        ]
        means = [compact(self.mean[name], (NAN, NAN), self.spread[name]) for name in CORRELATIONS]
        return [*pairs, [f"mean of {len(self.pairs)}", *means]]

    def __repr__(self) -> str:
        tau = MEASURES["kendall_tau"]
        texts = [f"{self._names(p)} {in_line(p.values[tau.name], p.intervals[tau.name])}" for p in self.pairs]
        return f"<Consistency on {len(self.runs[0].archs):,} architectures, {tau.title}: {'; '.join(texts)}>"

    def _repr_html_(self) -> str:
        caption = f"{len(self.runs[0].archs):,} architectures; {NOTE}"
        return html_table(["pair", *(MEASURES[name].title for name in CORRELATIONS)], self.rows(), caption)

    def _names(self, pair: Pair) -> str:
        return ", ".join(self.runs[i].label for i in pair.runs)


def check_spaces(spaces: dict[str, str | None]) -> None:
    """ValueError where runs, by name, are known to be of different search spaces."""
    if len({space for space in spaces.values() if space}) > 1:
        words = ", ".join(f"{name} of {space}" for name, space in spaces.items() if space)
        raise ValueError(f"expected runs of one search space, got {words}")


def common_archs(runs: Sequence[Predicted]) -> list[str]:
    """The architectures that every run predicts, in the order of the first; ValueError for fewer than three."""
    common = set.intersection(*(set(run.archs) for run in runs))
    if len(common) < LEAST:
        counts = ", ".join(f"{run.name} {len(run.archs)}" for run in runs)
        raise ValueError(f"expected at least {LEAST} architectures that all predict, got {len(common)} ({counts})")
    return [text for text in runs[0].archs if text in common]


def consistency(
    predictions: Sequence[Predicted | Evaluated | pd.DataFrame | str | Path], bootstraps: int = 1000, seed: int = 0
) -> Consistency:
    """Joins the predictions of two or more runs on the architecture; all pairs see the same resamples of these."""
    runs = [as_predicted(each) for each in predictions]
    for note in dict.fromkeys(note for run in runs for note in run.notes):
        warnings.warn(note, stacklevel=2)
    if len(runs) < 2:
        raise ValueError(f"self-consistency needs at least two runs, got {len(runs)}")
    check_spaces({run.name: run.space for run in runs})
    archs = common_archs(runs)
    joined = tuple(replace(run, archs=archs, accuracy=_accuracies(run, archs)) for run in runs)
    found = self_consistency([run.accuracy for run in joined])
    pairs, how = [], {}
    for number, (i, j) in enumerate(found.pairs):
        values = {name: float(getattr(found, name)[number]) for name in CORRELATIONS}
        x, y = joined[i].accuracy, joined[j].accuracy
        bootstrap = Bootstrap(y, float(y.max()), np.random.default_rng(seed), bootstraps)
        pairs.append(Pair((i, j), values, bootstrap.intervals(x, values)))
        how = {**bootstrap.protocol(), "seed": seed}
    return Consistency(joined, tuple(pairs), how)


def _accuracies(run: Predicted, archs: Sequence[str]) -> Array:
    rows = {text: row for row, text in enumerate(run.archs)}
    return run.accuracy[[rows[text] for text in archs]]

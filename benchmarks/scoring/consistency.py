"""How far the predictions of several supernets agree with each other (arXiv 2104.11522, Table 2 and Fig. 10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.reporting.plots import SCATTER_POINTS, save, verbatim
from oneshot.benchmarks.reporting.report import TITLES, compact
from oneshot.benchmarks.scoring.intervals import Bootstrap, Interval
from oneshot.benchmarks.scoring.measures import self_consistency
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.score import plain

from oneshot.base.figures import INK, METHOD, OTHERS, new_panels
from oneshot.base.files import write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

MEASURES = ("kendall_tau", "pearson_r", "spearman_rho")
"""In the order of Table 2."""
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
        return {name: float(np.mean([pair.values[name] for pair in self.pairs])) for name in MEASURES}

    @property
    def spread(self) -> dict[str, float]:
        """The standard deviation over the pairs; nan for one pair."""
        values = {name: [pair.values[name] for pair in self.pairs] for name in MEASURES}
        return {name: float(np.std(v, ddof=1)) if len(v) > 1 else float("nan") for name, v in values.items()}

    def to_dict(self) -> dict[str, Any]:
        """One JSON document; undefined numbers are null."""
        names = [run.name for run in self.runs]
        pairs = [
            {"runs": [names[i] for i in pair.runs], **pair.values, "intervals": pair.intervals} for pair in self.pairs
        ]
        runs = [{"name": run.name, "space": run.space, "protocol": dict(run.protocol)} for run in self.runs]
        how = {"architectures": len(self.runs[0].archs), "intervals": self.intervals, "runs": runs}
        return plain({"pairs": pairs, "mean": self.mean, "spread_of_pairs": self.spread, "protocol": how})


def check_spaces(spaces: dict[str, str | None]) -> None:
    """ValueError where runs, by name, are known to be of different search spaces."""
    if len({space for space in spaces.values() if space}) > 1:
        words = ", ".join(f"{name} of {space}" for name, space in spaces.items() if space)
        raise ValueError(f"expected runs of one search space, got {words}")


def shared(runs: Sequence[Predicted]) -> list[str]:
    """The architectures that every run predicts, in the order of the first; ValueError for fewer than three."""
    known = set.intersection(*(set(run.archs) for run in runs))
    if len(known) < LEAST:
        counts = ", ".join(f"{run.name} {len(run.archs)}" for run in runs)
        raise ValueError(f"expected at least {LEAST} architectures that all predict, got {len(known)} ({counts})")
    return [text for text in runs[0].archs if text in known]


def consistency(runs: Sequence[Predicted], bootstraps: int = 1000, seed: int = 0) -> Consistency:
    """Joins two or more runs on the architecture; all pairs see the same resamples of the architectures."""
    if len(runs) < 2:
        raise ValueError(f"self-consistency needs at least two runs, got {len(runs)}")
    check_spaces({run.name: run.space for run in runs})
    archs = shared(runs)
    joined = tuple(replace(run, archs=archs, accuracy=_accuracies(run, archs)) for run in runs)
    found = self_consistency([run.accuracy for run in joined])
    pairs, how = [], {}
    for number, (i, j) in enumerate(found.pairs):
        values = {name: float(getattr(found, name)[number]) for name in MEASURES}
        x, y = joined[i].accuracy, joined[j].accuracy
        bootstrap = Bootstrap(y, float(y.max()), np.random.default_rng(seed), bootstraps)
        pairs.append(Pair((i, j), values, bootstrap.intervals(x, values)))
        how = {**bootstrap.protocol(), "seed": seed}
    return Consistency(joined, tuple(pairs), how)


def _accuracies(run: Predicted, archs: Sequence[str]) -> Array:
    rows = {text: row for row, text in enumerate(run.archs)}
    return run.accuracy[[rows[text] for text in archs]]


def consistency_table(found: Consistency) -> Table:
    """One row a pair, and their mean with the standard deviation over the pairs."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    caption = "brackets: 95% intervals over architectures; ± standard deviation over pairs"
    table = Table(box=SIMPLE, caption=caption, caption_justify="left", title_justify="left", pad_edge=False)
    table.title = f"self-consistency, {len(found.runs[0].archs):,} architectures"
    table.add_column("pair", overflow="fold", min_width=16)
    for measure in MEASURES:
        table.add_column(TITLES[measure], justify="right", no_wrap=True)
    for pair in found.pairs:
        cells = [compact(pair.values[name], pair.intervals[name]) for name in MEASURES]
        table.add_row(Text(_title(found, pair)), *map(Text, cells))
    nothing = float("nan"), float("nan")
    cells = [compact(found.mean[name], nothing, found.spread[name]) for name in MEASURES]
    table.add_row(f"mean of {len(found.pairs)}", *map(Text, cells), style="bold")
    return table


def consistency_figure(found: Consistency) -> Figure:
    """A panel a pair, one point an architecture, all on one scale; off the diagonal one supernet is more accurate."""
    count = len(found.pairs)
    columns = min(count, 3)
    figure, panels = new_panels(-(-count // columns), columns, 3.6 * columns, 3.7 * -(-count // columns))
    ends = [end for run in found.runs for end in (run.accuracy.min(), run.accuracy.max())]
    low, high = min(ends), max(ends)
    margin = 0.04 * (high - low) or 1.0
    rows = np.linspace(0, len(found.runs[0].archs) - 1, min(len(found.runs[0].archs), SCATTER_POINTS)).astype(int)
    for axes, pair in zip(panels, found.pairs, strict=False):
        x, y = (found.runs[i] for i in pair.runs)
        axes.plot([low, high], [low, high], color=OTHERS, linewidth=1, linestyle=(0, (4, 3)))
        alpha = 0.7 if len(rows) <= 300 else 0.4
        axes.scatter(x.accuracy[rows], y.accuracy[rows], s=10, color=METHOD, alpha=alpha, linewidths=0)
        axes.locator_params(nbins=5)
        axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
        axes.set_xlabel(verbatim(x.label))
        axes.set_ylabel(verbatim(y.label))
        tau, r, rho = (pair.values[name] for name in MEASURES)
        axes.set_title(f"tau {tau:.3f}, r {r:.3f}, rho {rho:.3f}", fontsize=10, color=INK)
    for axes in panels[count:]:
        axes.remove()
    return figure


def write_consistency(found: Consistency, out: str | Path) -> Path:
    """Writes consistency.png, consistency.svg and, last, consistency.json; returns the folder."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    save(consistency_figure(found), out / "consistency")
    write_json(out / "consistency.json", found.to_dict())
    return out


def _title(found: Consistency, pair: Pair) -> str:
    return ", ".join(found.runs[i].label for i in pair.runs)

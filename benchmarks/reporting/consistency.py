"""The agreement of several runs as a table for a terminal, a figure, and files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from oneshot.benchmarks.reporting.plots import SCATTER_POINTS, save, verbatim
from oneshot.benchmarks.scoring.catalogue import MEASURES
from oneshot.benchmarks.scoring.consistency import CORRELATIONS, NOTE, Consistency

from oneshot.base.figures import INK, METHOD, OTHERS, new_panels
from oneshot.base.files import write_json

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table


def consistency_table(agreement: Consistency) -> Table:
    """One row a pair, and their mean with the standard deviation over the pairs."""
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    table = Table(box=SIMPLE, caption=NOTE, caption_justify="left", title_justify="left", pad_edge=False)
    table.title = f"self-consistency, {len(agreement.runs[0].archs):,} architectures"
    table.add_column("pair", overflow="fold", min_width=16)
    for name in CORRELATIONS:
        table.add_column(MEASURES[name].title, justify="right", no_wrap=True)
    *pairs, mean = agreement.rows()
    for row in pairs:
        table.add_row(*map(Text, row))
    table.add_row(*map(Text, mean), style="bold")
    return table


def consistency_figure(agreement: Consistency) -> Figure:
    """A panel a pair, one point an architecture, all on one scale; off the diagonal one supernet is more accurate."""
    count, runs = len(agreement.pairs), agreement.runs
    columns = min(count, 3)
    figure, panels = new_panels(-(-count // columns), columns, 3.6 * columns, 3.7 * -(-count // columns))
    ends = [end for run in runs for end in (run.accuracy.min(), run.accuracy.max())]
    low, high = min(ends), max(ends)
    margin = 0.04 * (high - low) or 1.0
    shown = np.linspace(0, len(runs[0].archs) - 1, min(len(runs[0].archs), SCATTER_POINTS)).astype(int)
    for axes, pair in zip(panels, agreement.pairs, strict=False):
        x, y = (runs[i] for i in pair.runs)
        axes.plot([low, high], [low, high], color=OTHERS, linewidth=1, linestyle=(0, (4, 3)))
        alpha = 0.7 if len(shown) <= 300 else 0.4
        axes.scatter(x.accuracy[shown], y.accuracy[shown], s=10, color=METHOD, alpha=alpha, linewidths=0)
        axes.locator_params(nbins=5)
        axes.set(xlim=(low - margin, high + margin), ylim=(low - margin, high + margin), aspect="equal")
        axes.set_xlabel(verbatim(x.label))
        axes.set_ylabel(verbatim(y.label))
        tau, r, rho = (pair.values[name] for name in CORRELATIONS)
        axes.set_title(f"tau {tau:.3f}, r {r:.3f}, rho {rho:.3f}", fontsize=10, color=INK)
    for axes in panels[count:]:
        axes.remove()
    return figure


def write_consistency(agreement: Consistency, out: str | Path) -> Path:
    """Writes consistency.png, consistency.svg and, last, consistency.json; returns the folder."""
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    save(consistency_figure(agreement), out / "consistency")
    write_json(out / "consistency.json", agreement.to_dict())
    return out

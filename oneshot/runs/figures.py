"""The figure of trainings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from oneshot.base.figures import COLOURS, legend_below, styled
from oneshot.runs.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def plot_training(runs: Run | Mapping[str, Run], measure: str = "loss", axes: Axes | None = None) -> Axes:
    """One of the metrics of a run, or of several by name, by epoch; ValueError where a run has no such metric."""
    from matplotlib.ticker import MaxNLocator

    named = {"": runs} if isinstance(runs, Run) else runs
    axes = styled(axes)
    for number, (name, run) in enumerate(named.items()):
        rows = [row for row in run.history if measure in row]
        if not rows:
            names = dict.fromkeys(name for row in run.history for name in row if name != "epoch")
            raise ValueError(f"{run!r} has no metric {measure!r}; there are {', '.join(names) or 'none'}")
        epochs, values = [row["epoch"] for row in rows], [row[measure] for row in rows]
        axes.plot(epochs, values, color=COLOURS[number % len(COLOURS)], linewidth=2, label=name)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_xlabel("epoch")
    axes.set_ylabel(measure.replace("_", " "))
    if len(named) > 1:
        legend_below(axes)
    return axes

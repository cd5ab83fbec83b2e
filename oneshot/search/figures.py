"""The figures of a search: the best so far, and the front."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from oneshot.base.figures import METHOD, OTHERS, legend_below, new_figure, styled
from oneshot.search.base import SCALES, Task

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

UNITS = {"params": "parameters (millions)", "macs": "multiply-adds (millions)", "latency": "latency"}


def progress_figure(task: Task) -> Figure:
    """`plot_progress` as a figure of its own."""
    figure, axes = new_figure()
    plot_progress(task, axes)
    return figure


def front_figure(task: Task, measure: str) -> Figure:
    """`plot_front` as a figure of its own."""
    figure, axes = new_figure()
    plot_front(task, measure, axes)
    return figure


def plot_progress(task: Task, axes: Axes | None = None) -> Axes:
    """What is predicted of each candidate in the order of evaluation, and of the best so far."""
    values = np.array([candidate.predicted for candidate in task.found])
    axes = styled(axes)
    named = _shown(axes, values)
    count = np.arange(1, len(values) + 1)
    axes.scatter(count, values, s=10, color=OTHERS, alpha=0.5, linewidths=0, label=named)
    axes.step(count, np.maximum.accumulate(values), where="post", color=METHOD, linewidth=2.4, label="best so far")
    axes.set_xlabel("candidates")
    axes.set_ylabel(task.quantity.axis)
    legend_below(axes)
    return axes


def plot_front(task: Task, measure: str = "", axes: Axes | None = None) -> Axes:
    """What is predicted against one of the objectives, by default the first; the front is that of all objectives.

    ValueError for a measure that the task does not know.
    """
    measure = measure or next(iter(task.objectives), "")
    if measure not in task.measures:
        raise ValueError(f"no measure {measure!r} to draw; there are {', '.join(task.measures) or 'none'}")
    at, scale = list(task.measures).index(measure), SCALES.get(measure, 1.0)
    axes = styled(axes)
    costs, values = (np.array(v) for v in zip(*((c.costs[at] * scale, c.predicted) for c in task.found), strict=True))
    named = _shown(axes, values, min(c.predicted for c in task.front()))
    axes.scatter(costs, values, s=14, color=OTHERS, alpha=0.5, linewidths=0, label=named)
    front = sorted((c.costs[at] * scale, c.predicted) for c in task.front())
    costs, values = zip(*front, strict=True)
    width = 2.0 if len(task.objectives) == 1 else 0.0  # of several objectives it is no line
    axes.step(costs, values, where="post", linewidth=width, marker="o", markersize=5, color=METHOD, label="front")
    axes.set_xlabel(UNITS.get(measure, measure))
    axes.set_ylabel(task.quantity.axis)
    legend_below(axes)
    return axes


def _shown(axes: Axes, values: np.ndarray, least: float = np.inf) -> str:
    """Cut the axis below the worst twentieth, from `least` on at any rate; the label says how many are cut off."""
    low, high = min(float(np.quantile(values, 0.05)), least), float(values.max())
    margin = 0.05 * (high - low) or 0.5
    axes.set_ylim(low - margin, high + margin)
    below = int((values < low - margin).sum())
    return f"candidates ({below:,} below the axis)" if below else "candidates"

"""The look that all figures share. Imports matplotlib when one is drawn, and no torch."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHOD, OTHERS = "#0072B2", "#7A7A7A"
"""What a figure is about, and what it is compared with; of Okabe and Ito's palette, which colour-blind readers know."""
INK = "#1b1f24"
"""The colour of text and axes, for which a page may put its own."""


def new_figure(width: float = 7.0, height: float = 4.4) -> tuple[Figure, Axes]:
    """An empty figure, which no window shows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.grid(color=OTHERS, alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, which="both")
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return figure, axes

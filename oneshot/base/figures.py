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
    figure, (axes,) = new_panels(1, 1, width, height)
    return figure, axes


def new_panels(rows: int, columns: int, width: float, height: float) -> tuple[Figure, list[Axes]]:
    """An empty figure of several axes, row by row."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    panels = [figure.add_subplot(rows, columns, number + 1) for number in range(rows * columns)]
    for axes in panels:
        axes.grid(color=OTHERS, alpha=0.25, linewidth=0.6)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(INK)
        axes.tick_params(colors=INK, which="both")
        axes.xaxis.label.set_color(INK)
        axes.yaxis.label.set_color(INK)
    return figure, panels

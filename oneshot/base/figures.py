"""The look that all figures share. Imports matplotlib when one is drawn, and no torch."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

METHOD, OTHERS = "#0072B2", "#7A7A7A"
"""What a figure is about, and what it is compared with; of Okabe and Ito's palette, which colour-blind readers know."""
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#8A6D3B", "#8F6BB3")
"""Okabe and Ito's palette without yellow and black, and two more."""
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
        styled(axes)
    return figure, panels


def own_axes(width: float, height: float) -> Axes:
    """Those of a new figure: of pyplot's, which a notebook shows, where pyplot is in use."""
    pyplot: Any = sys.modules.get("matplotlib.pyplot")
    return (
        pyplot.figure(figsize=(width, height), layout="constrained").add_subplot()
        if pyplot
        else new_figure(width, height)[1]
    )


def styled(axes: Axes | None, width: float = 7.0, height: float = 4.4) -> Axes:
    """The axes in the shared look; those of a new figure where none are given."""
    axes = own_axes(width, height) if axes is None else axes
    axes.grid(color=OTHERS, alpha=0.25, linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(INK)
    axes.tick_params(colors=INK, which="both")
    axes.xaxis.label.set_color(INK)
    axes.yaxis.label.set_color(INK)
    return axes


def legend_below(axes: Axes) -> None:
    """Below the axes, where it covers nothing: of the whole figure where they are alone in it, else in two columns."""
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.transforms import ScaledTranslation

    figure: Any = axes.figure
    look: dict[str, Any] = {"frameon": False, "fontsize": 9, "labelcolor": INK, "handlelength": 3}
    if figure.axes == [axes] and isinstance(figure.get_layout_engine(), ConstrainedLayoutEngine):
        figure.legend(*axes.get_legend_handles_labels(), loc="outside lower center", ncols=3, **look)
        return
    below = axes.transAxes + ScaledTranslation(0, -36 / 72, figure.dpi_scale_trans)
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, 0), bbox_transform=below, ncols=2, **look)

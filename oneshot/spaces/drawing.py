"""Architectures drawn as graphs, by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from oneshot.base.figures import INK, OTHERS, new_panels
from oneshot.space import Arch, Graph, Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#8A6D3B")
"""Okabe and Ito's palette, yellow left out; an operation's colour says little alone, its name stands beside it."""
APART = 0.16
"""How much the arcs of two operations on one edge differ in their bend."""
ALONG = (0.4, 0.56, 0.48)
"""Where on their way the operations of successive edges have their names, so that few lie on another."""
Place = tuple[float, float]


def draw(space: Space, arch: Arch, path: str | Path | None = None) -> Figure:
    """The graph of each cell of an architecture, written to `path` (.svg, .png, .pdf) if it is given.

    ValueError for a space whose architectures are no graphs.
    """
    arch = space.check(arch)
    options = [[o[i] for i, _ in gate] for o, gate in zip(space.site_options, space.gates(arch), strict=True)]
    graphs = space.graphs(options)
    if not graphs:
        raise ValueError(f"architectures of {space.name} are not drawn: its sites are no edges of a graph")
    figure, panels = new_panels(1, len(graphs), 7.5 * len(graphs), 4.6)
    names = list(dict.fromkeys(o for d in space.site_options for o in d if o != space.zero))
    colours = {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}
    for axes, (title, graph) in zip(panels, graphs.items(), strict=True):
        _panel(axes, title, graph, colours)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def _panel(axes: Axes, title: str, graph: Graph, colours: Mapping[str, str]) -> None:
    places = _places(graph)
    axes.set_title(title, color=INK, loc="left")
    axes.set_axis_off()
    axes.set_aspect("equal")
    axes.grid(visible=False)
    edges: dict[tuple[str, str], list[str]] = {}
    for source, target, operation in graph:
        edges.setdefault((source, target), []).append(operation)
    for number, ((source, target), operations) in enumerate(edges.items()):
        for k, operation in enumerate(operations):
            bend = 0.12 * (-1) ** number + APART * (k - (len(operations) - 1) / 2)
            at = ALONG[(number + k) % len(ALONG)]
            _arc(axes, places[source], places[target], operation, bend, at, colours)
    for name, (x, y) in places.items():
        box = {"boxstyle": "round,pad=0.35", "facecolor": "#F2F2F2", "edgecolor": INK, "linewidth": 0.8}
        axes.text(x, y, name, ha="center", va="center", fontsize=10, color=INK, bbox=box, zorder=3)
    width, heights = max(x for x, _ in places.values()), [y for _, y in places.values()]
    axes.set_xlim(-0.4, width + 0.4)
    axes.set_ylim(min(heights) - 0.6, max(heights) + 0.6)


def _arc(axes: Axes, start: Place, end: Place, name: str, bend: float, at: float, colours: Mapping[str, str]) -> None:
    """An arrow with its operation's name `at` this part of its way; without a name it only passes on."""
    from matplotlib.patches import FancyArrowPatch

    colour = colours.get(name, OTHERS)
    axes.add_patch(
        FancyArrowPatch(
            start, end, connectionstyle=f"arc3,rad={bend}", arrowstyle="-|>", mutation_scale=11, color=colour,
            linewidth=1.4 if name else 0.7, shrinkA=16, shrinkB=16, zorder=1, alpha=1.0 if name else 0.5,
        )
    )  # fmt: skip
    if name:
        (x0, y0), (x1, y1) = start, end
        xc, yc = (x0 + x1) / 2 + bend * (y1 - y0), (y0 + y1) / 2 - bend * (x1 - x0)  # of arc3's quadratic Bezier curve
        x, y = ((1 - at) ** 2 * a + 2 * at * (1 - at) * c + at**2 * b for a, c, b in ((x0, xc, x1), (y0, yc, y1)))
        box = {"boxstyle": "round,pad=0.1", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}
        axes.text(x, y, name, ha="center", va="center", fontsize=7.5, color=colour, bbox=box, zorder=2)


def _places(graph: Graph) -> dict[str, Place]:
    """A node's column is its longest way from an input; those of one column stand above each other."""
    nodes = list(dict.fromkeys(node for source, target, _ in graph for node in (source, target)))
    column = dict.fromkeys(nodes, 0)
    for _ in nodes:
        for source, target, _ in graph:
            column[target] = max(column[target], column[source] + 1)
    places = {}
    for c in range(max(column.values()) + 1):
        here = [node for node in nodes if column[node] == c]
        for k, node in enumerate(here):
            lift = 0.0 if c in (0, max(column.values())) else 0.45 * (-1) ** c
            places[node] = (1.8 * c, 1.4 * ((len(here) - 1) / 2 - k) + lift)
    return places

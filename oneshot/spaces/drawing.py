"""Architectures drawn: cells as arc diagrams, by matplotlib or as small SVGs.

The nodes of a cell stand in a row, each behind all that it takes from; an operation is an arc above them, the higher
the longer, so that no two names lie on each other. What only passes on is a thin arc below.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from oneshot.base.figures import COLOURS, INK, METHOD, OTHERS, new_panels, own_axes
from oneshot.base.html import svg, text
from oneshot.space import Arch, Graph, Space

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

APART, GAP = 108.0, 26.0
"""Between the centres of two nodes in pixels, so that names of operations fit side by side; and between their edges."""
LOW, RISE = 22.0, 31.0
"""Height of an arc between neighbours, and how much higher it is for each node further."""
SECOND = 17.0
"""How much higher the arc of another operation on the same edge is."""
HALF, NAME, TITLE = 11.0, 20.0, 0.35
"""Half of a node's height, the room above the highest arc; in inches, that of a title."""
LETTER, LINE = 6.6, 26
"""Width of a letter, and height of a decision, of the drawing of options."""


@dataclass(frozen=True)
class Arc:
    """From one place in the row to another; `height` is negative below it."""

    start: float
    end: float
    operation: str
    height: float


def cells(space: Space, arch: Arch) -> dict[str, Graph]:
    """The graph of each cell by its title; nothing where architectures of the space are no graphs."""
    gates = space.gates(space.check(arch))
    return space.graphs([[o[i] for i, _ in gate] for o, gate in zip(space.site_options, gates, strict=True)])


def draw(space: Space, arch: Arch, path: str | Path | None = None) -> Figure:
    """The graph of each cell of an architecture, written to `path` (.svg, .png, .pdf) if it is given.

    ValueError for a space whose architectures are no graphs.
    """
    titles = _drawn(space, arch)
    widest = max(_width(places(graph)) for graph in titles.values())
    highest = max(_below(arcs(g)) + NAME + max(HALF, *(arc.height for arc in arcs(g))) for g in titles.values())
    figure, panels = new_panels(1, len(titles), len(titles) * (widest + GAP) / 72, highest / 72 + TITLE)
    for axes, title in zip(panels, titles, strict=True):
        plot_cell(space, arch, title, axes)
    if path is not None:
        figure.savefig(path, dpi=150)
    return figure


def plot_cell(space: Space, arch: Arch, title: str = "", axes: Axes | None = None) -> Axes:
    """One cell of an architecture, by default the first, on matplotlib's axes, new ones where none are given.

    ValueError for a space whose architectures are no graphs, or that has no cell of that title.
    """
    titles = _drawn(space, arch)
    title = title or next(iter(titles))
    if title not in titles:
        raise ValueError(f"{space.name} has no cell {title!r}; there are {', '.join(titles)}")
    graph = titles[title]
    row, drawn = places(graph), arcs(graph)
    top = max([HALF, *(arc.height for arc in drawn)]) + NAME
    if axes is None:
        axes = own_axes(_width(row) / 72, (top + _below(drawn)) / 72 + TITLE)
    axes.set_title(title, color=INK, loc="left", fontsize=11)
    axes.set_axis_off()
    axes.set_aspect("equal", anchor="NW")
    colours = palette(space)
    for arc in drawn:
        _plot_arc(axes, arc, colours)
    for name, x in row.items():
        box = {"boxstyle": "round,pad=0.35", "facecolor": "#F2F2F2", "edgecolor": INK, "linewidth": 0.8}
        axes.text(x, 0, name, ha="center", va="center", fontsize=9, color=INK, bbox=box, zorder=3)
    axes.set_xlim(0, _width(row))
    axes.set_ylim(-_below(drawn), top)
    return axes


def cell_svg(space: Space, graph: Graph, title: str) -> str:
    """A small SVG of a cell, its words in the ink of the page."""
    row, drawn, colours = places(graph), arcs(graph), palette(space)
    middle = max([HALF, *(arc.height + NAME for arc in drawn)])
    width, height = _width(row), middle + _below(drawn)
    shapes, words = [f'<rect width="{width:.1f}" height="{height:.1f}" rx="8" fill="white"/>'], list[str]()
    for arc in drawn:
        colour, at, y = colours.get(arc.operation, OTHERS), (arc.start + arc.end) / 2, middle - arc.height
        sweep, line = int(arc.height > 0), 'stroke-width="1.8"' if arc.operation else 'opacity="0.5"'
        radii = f"{(arc.end - arc.start) / 2:.1f},{abs(arc.height):.1f}"
        path = f"M{arc.start:.1f},{middle:.1f}A{radii} 0 0 {sweep} {arc.end:.1f},{middle:.1f}"
        shapes.append(f'<path d="{path}" fill="none" stroke="{colour}" {line}/>')
        shapes.append(f'<path d="M{at - 4:.1f},{y - 4:.1f}l8,4l-8,4z" fill="{colour}"/>')
        if arc.operation:
            words.append(text(at, y - 6, arc.operation, colour=colour, halo="white"))
    for name, x in row.items():
        wide = _wide(name)
        box = f'x="{x - wide / 2:.1f}" y="{middle - HALF:.1f}" width="{wide:.1f}" height="{2 * HALF:g}" rx="6"'
        shapes.append(f'<rect {box} fill="#F2F2F2" stroke="{OTHERS}"/>')
        words.append(text(x, middle + 4, name, colour=INK))
    return svg(width, height, "".join(shapes + words), title)


def choices_svg(space: Space, arch: Arch) -> str:
    """A small SVG of the options of every decision, those of the architecture filled."""
    names = [decision.name for decision in space.decisions]
    left = LETTER * max(map(len, names)) + 14
    shapes, words, right = list[str](), list[str](), left
    for row, (decision, chosen) in enumerate(zip(space.decisions, space.check(arch), strict=True)):
        y, x = 4 + LINE * row, left
        words.append(text(left - 8, y + 15, decision.name, anchor="end", opacity=0.75))
        for option, name in enumerate(decision.options):
            wide = LETTER * len(name) + 14
            look = f'fill="{METHOD}"' if option == chosen else f'fill="none" stroke="{OTHERS}" opacity="0.6"'
            shapes.append(f'<rect x="{x:.1f}" y="{y}" width="{wide:.1f}" height="21" rx="5" {look}/>')
            colour, opacity = ("white", 1.0) if option == chosen else ("currentColor", 0.6)
            words.append(text(x + wide / 2, y + 15, name, colour=colour, opacity=opacity))
            x += wide + 5
        right = max(right, x)
    return svg(right, 4 + LINE * len(names), "".join(shapes + words), "the option of each decision")


def arcs(graph: Graph) -> list[Arc]:
    """The edges of a graph as they are drawn, operations on one edge above each other."""
    row, seen, found = places(graph), Counter[tuple[str, str]](), []
    nodes = list(row)
    for source, target, operation in graph:
        further = nodes.index(target) - nodes.index(source) - 1
        height = LOW + RISE * further + SECOND * seen[source, target]
        found.append(Arc(row[source], row[target], operation, height if operation else -0.75 * height))
        seen[source, target] += 1
    return found


def places(graph: Graph) -> dict[str, float]:
    """Where in the row each node has its centre."""
    nodes, found = _row(graph), dict[str, float]()
    least = APART if any(operation for _, _, operation in graph) else 0.0
    for before, name in zip([None, *nodes], nodes, strict=False):
        half = _wide(name) / 2
        found[name] = half + 4 if before is None else found[before] + max(least, _wide(before) / 2 + GAP + half)
    return found


def palette(space: Space) -> dict[str, str]:
    """The colour of each operation of a space."""
    names = dict.fromkeys(o for options in space.site_options for o in options if o != space.zero)
    return {name: COLOURS[number % len(COLOURS)] for number, name in enumerate(names)}


def _drawn(space: Space, arch: Arch) -> dict[str, Graph]:
    found = cells(space, arch)
    if not found:
        raise ValueError(f"architectures of {space.name} are not drawn: its sites are no edges of a graph")
    return found


def _row(graph: Graph) -> list[str]:
    """The nodes, each behind all that it takes from, else as they come."""
    nodes = list(dict.fromkeys(node for source, target, _ in graph for node in (source, target)))
    row: list[str] = []
    while len(row) < len(nodes):
        waiting = {target for source, target, _ in graph if source not in row}
        row.append(next(node for node in nodes if node not in row and node not in waiting))
    return row


def _wide(name: str) -> float:
    return max(24.0, 6.8 * len(name) + 12)


def _width(row: Mapping[str, float]) -> float:
    last = list(row)[-1]
    return row[last] + _wide(last) / 2 + 4


def _below(drawn: Sequence[Arc]) -> float:
    return max([HALF, *(-arc.height for arc in drawn)]) + 5


def _plot_arc(axes: Axes, arc: Arc, colours: Mapping[str, str]) -> None:
    import numpy as np

    colour, turn = colours.get(arc.operation, OTHERS), np.linspace(0, np.pi, 60)
    at, style = (arc.start + arc.end) / 2, {"color": colour, "alpha": 1.0 if arc.operation else 0.5, "zorder": 1}
    x, width = at - (arc.end - arc.start) / 2 * np.cos(turn), 1.6 if arc.operation else 0.9
    axes.plot(x, arc.height * np.sin(turn), linewidth=width, **style)
    axes.plot(at, arc.height, marker=">", markersize=5, **style)
    if arc.operation:
        box = {"boxstyle": "round,pad=0.08", "facecolor": "white", "edgecolor": "none", "alpha": 0.8}
        words = {"ha": "center", "va": "bottom", "fontsize": 8, "color": colour}
        axes.text(at, arc.height + 5, arc.operation, bbox=box, zorder=2, **words)

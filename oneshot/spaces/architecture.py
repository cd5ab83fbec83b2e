"""An architecture with its space, which shows itself: its string, its facts and a drawing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from oneshot.base.html import beside, html_table
from oneshot.space import Arch, Space
from oneshot.spaces.drawing import cell_svg, cells, choices_svg, plot_cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes


@dataclass(frozen=True)
class Architecture:
    """An architecture, or the string of one, of a space; ValueError where the space has no such architecture."""

    space: Space
    arch: Arch

    def __init__(self, space: Space, arch: Arch | str) -> None:
        object.__setattr__(self, "space", space)
        object.__setattr__(self, "arch", space.parse(arch) if isinstance(arch, str) else space.check(arch))

    def __str__(self) -> str:
        return self.space.format(self.arch)

    @property
    def options(self) -> dict[str, str]:
        """The option of each decision."""
        names = [decision.name for decision in self.space.decisions]
        return dict(zip(names, self.space.operations(self.arch), strict=True))

    @property
    def facts(self) -> dict[str, float]:
        """Parameters, multiply-adds and what else the space counts of its network, in its published size."""
        return self.space.facts(self.arch)

    def plot(self, axes: Axes | None = None, cell: str = "") -> Axes:
        """A cell of it, see `oneshot.spaces.drawing.plot_cell`."""
        return plot_cell(self.space, self.arch, cell, axes)

    def drawing(self) -> str:
        """Small SVGs of its cells, or of its options where it is no graph."""
        graphs = {title: graph for title, graph in cells(self.space, self.arch).items() if graph}
        drawn = {title: cell_svg(self.space, graph, title) for title, graph in graphs.items()}
        if len(drawn) > 1:
            return beside(*(f"<small>{title}</small><br>{each}" for title, each in drawn.items()))
        return next(iter(drawn.values()), None) or choices_svg(self.space, self.arch)

    def _repr_html_(self) -> str:
        titles = {name: name.replace("_", " ").replace("multiply adds", "multiply-adds, M") for name in self.facts}
        facts = [
            [titles[name], f"{round(value, 3):.3g}" if value < 100 else f"{value:,.0f}"]
            for name, value in self.facts.items()
        ]
        return beside(self.drawing(), html_table([], facts, f"{self} of {self.space.name}"))

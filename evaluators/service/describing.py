"""What is known of architectures without a prediction: their cells, what their networks cost, measured latencies."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from oneshot.evaluators.service.ranking import Known
from oneshot.evaluators.table import TableEvaluator, measured

from oneshot.cost import SIZES
from oneshot.space import Arch, Graph, Space

POINTS = 1500
"""Points of the scatter; more are thinned evenly by predicted rank, those of a front are kept."""
COUNTED = 200
"""Of a space whose networks must be built to be counted, as many points at most."""
LATENCY = re.compile(r".*(latency|_ms$).*", re.IGNORECASE)
"""Columns of a table that are times, lower is better."""


class Costs:
    """Parameters and multiply-adds of a space's stand-alone networks of one size, and latencies of a table."""

    def __init__(self, space: Space, network: Mapping[str, Any], table: TableEvaluator | None) -> None:
        self.space, self.size = space, dict(network)
        self.is_formula = type(space).cost is not Space.cost
        self._known: dict[Arch, dict[str, float | None]] = {}
        self._measured = _latencies(table)

    @property
    def names(self) -> list[str]:
        return ["params", "mflops", *self._measured]

    def __call__(self, arch: Arch) -> dict[str, float | None]:
        """By name; None for what cannot be counted, or was not measured."""
        if arch not in self._known:
            self._known[arch] = {**self._counted(arch), **{n: _finite(of(arch)) for n, of in self._measured.items()}}
        return self._known[arch]

    def _counted(self, arch: Arch) -> dict[str, float | None]:
        own = self.size if self.is_formula else {k: v for k, v in self.size.items() if k in SIZES}
        try:
            cost = self.space.cost(arch, **own)
        except (ValueError, TypeError):  # a space without a network, or a size that it does not have
            return {"params": None, "mflops": None}
        return {"params": cost.params, "mflops": cost.mflops}


def description(space: Space, costs: Costs, arch: Arch) -> dict[str, Any]:
    """The document of `schema.Description`."""
    return {
        "arch": space.format(arch),
        "indices": arch,
        "cost": costs(arch),
        "cells": [{"title": title, "edges": edges} for title, edges in cells(space, arch).items()],
    }


def cells(space: Space, arch: Arch) -> dict[str, Graph]:
    """The graph of each cell; nothing where an architecture is no graph."""
    gates = space.gates(arch)
    return space.graphs([[o[i] for i, _ in gate] for o, gate in zip(space.site_options, gates, strict=True)])


def operations(space: Space) -> list[str]:
    """The different options of the sites, in the order of the space."""
    return list(dict.fromkeys(option for options in space.site_options for option in options))


def scattered(known: Known, costs: Costs) -> dict[str, Any]:
    """The document of `schema.Scatter`: known predictions against their costs, and the front of each cost."""
    rows = known.best(len(known))
    most = POINTS if costs.is_formula else COUNTED
    considered = rows if costs.is_formula else [rows[i] for i in _evenly(len(rows), most)]
    counted = [costs(row.arch) for row in considered]
    values = [row.prediction.value for row in considered]
    fronts = {name: _front(values, [each[name] for each in counted]) for name in costs.names}
    shown = sorted({*_evenly(len(considered), most), *(i for front in fronts.values() for i in front)})
    place = {i: p for p, i in enumerate(shown)}
    return {
        "known": len(rows),
        "considered": len(considered),
        "archs": [considered[i].text for i in shown],
        "predicted": [values[i] for i in shown],
        "costs": {name: [counted[i][name] for i in shown] for name in costs.names},
        "fronts": {name: [place[i] for i in front] for name, front in fronts.items()},
    }


def neighbours(space: Space, arch: Arch) -> list[tuple[int, int, Arch]]:
    """(decision, option, architecture) of every allowed change of one decision that computes another function."""
    found, functions = [], {space.canonical(arch)}
    for decision, options in enumerate(space.decisions):
        for option in range(len(options.options)):
            changed = (*arch[:decision], option, *arch[decision + 1 :])
            if changed == arch or not space.allows(changed):
                continue
            function = space.canonical(changed)
            if function not in functions:
                functions.add(function)
                found.append((decision, option, changed))
    return found


def _front(predicted: Sequence[float], costs: Sequence[float | None]) -> list[int]:
    """The points that none undercuts without being worse, by falling prediction, the cheapest last."""
    counted = [(-value, cost, i) for i, (value, cost) in enumerate(zip(predicted, costs, strict=True))
               if cost is not None]  # fmt: skip
    least, found = float("inf"), []
    for _, cost, i in sorted(counted):
        if cost < least:
            least = cost
            found.append(i)
    return found


def _evenly(count: int, most: int) -> list[int]:
    return np.unique(np.linspace(0, count - 1, min(most, count)).round().astype(int)).tolist()


def _latencies(table: TableEvaluator | None) -> dict[str, Callable[[Arch], float]]:
    if table is None:
        return {}
    names = [name for name in table.benchmark.columns if LATENCY.fullmatch(name)]
    return {name: measured(table.benchmark, name) for name in names}


def _finite(value: float) -> float | None:
    return value if np.isfinite(value) else None

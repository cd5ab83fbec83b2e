"""Scores predictions against a benchmark: every measure with its interval, beside trivial baselines and the ceiling."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from benchmarks.columns import Array
from benchmarks.intervals import Bootstrap, Interval
from benchmarks.measures import (
    ImprovementCurve,
    PruningCurve,
    all_measures,
    checked,
    improvement_curve,
    pruning_curve,
)
from benchmarks.predictions import Predicted
from benchmarks.table import Benchmark
from oneshot.provenance import environment, version
from oneshot.spaces import space_named

CURVE_POINTS = 200
"""Of a longer improvement curve a report keeps about so many points, in equal ratios, the last ten all."""


@dataclass(frozen=True)
class Scores:
    """What one predictor reached; `undefined` says why a measure is nan."""

    name: str
    measures: dict[str, float]
    intervals: dict[str, Interval]
    undefined: dict[str, str]
    improvement: ImprovementCurve
    pruning: PruningCurve

    def to_dict(self) -> dict[str, Any]:
        """Measures at the top level, then intervals, reasons and curves, ready for JSON."""
        curves = {
            "improvement": _curve(self.improvement, "accuracy", "improvement"),
            "pruning": _curve(self.pruning, "kendall_tau", "spearman_rho", "pearson_r"),
        }
        document = {"name": self.name, **self.measures, "intervals": self.intervals, "undefined": self.undefined}
        return plain({**document, "curves": curves})


@dataclass(frozen=True)
class Report:
    """Predictions scored against ground truth: `method` beside `baselines` and `ceiling`, and how it was done."""

    protocol: dict[str, Any]
    method: Scores
    baselines: tuple[Scores, ...]
    ceiling: Scores | None
    predicted: Array = field(repr=False)
    truth: Array = field(repr=False)

    @property
    def measures(self) -> dict[str, float]:
        return self.method.measures

    @property
    def intervals(self) -> dict[str, Interval]:
        return self.method.intervals

    @property
    def everyone(self) -> tuple[Scores, ...]:
        """Method, baselines and ceiling, in the order of tables and legends."""
        return (self.method, *self.baselines, *([self.ceiling] if self.ceiling else []))

    def to_dict(self) -> dict[str, Any]:
        """One JSON document: the method's measures at the top level; undefined numbers are null."""
        return {
            **self.method.to_dict(),
            "baselines": {scores.name: scores.to_dict() for scores in self.baselines},
            "ceiling": self.ceiling.to_dict() if self.ceiling else None,
            "protocol": plain(self.protocol),
        }


def score(
    predictions: Predicted,
    benchmark: Benchmark,
    *,
    truth: str | None = None,
    ceiling: str | None = None,
    baselines: bool = True,
    bootstraps: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    on_scores: Callable[[str], None] = lambda name: None,
) -> Report:
    """Scores predictions on the architectures that they cover.

    `truth` and `ceiling` are columns, by default those of `Benchmark.default_truth` and `default_ceiling`; improvement
    is 1 at the best of the table. Predictions that name a space of their own are scored within that space. ValueError
    for predictions of another space, for architectures that the benchmark lacks or measured nothing of, and for fewer
    than three. `on_scores` is told the name of each predictor whose scores are ready.
    """
    table = _in_space(predictions, benchmark)
    truth = truth or table.default_truth()
    ceiling = ceiling or table.default_ceiling(truth)
    rows = table.rows_of(predictions.archs)
    x, y = checked(predictions.accuracy, _measured(table, truth, rows))
    best = float(np.nanmax(table.values(truth)))
    bootstrap = Bootstrap(y, best, np.random.default_rng(seed), bootstraps)

    def scores(name: str, values: Array) -> Scores:
        measures, undefined = all_measures(values, y, best)
        found = bootstrap.intervals(values, measures, confidence)
        curves = _thinned(improvement_curve(values, y, best)), pruning_curve(values, y)
        on_scores(name)
        return Scores(name, measures, found, undefined, *curves)

    facts = [table.space.facts(table.space.parse(text)) for text in predictions.archs] if baselines else [{}]
    trivial = {name: np.array([fact[name] for fact in facts]) for name in facts[0]}
    return Report(
        protocol={
            **_protocol(predictions, table, truth, ceiling, rows),
            "best_of_table": best,
            "intervals": {**bootstrap.protocol(), "confidence": confidence, "seed": seed},
        },
        method=scores(predictions.name, x),
        baselines=tuple(scores(name, values) for name, values in trivial.items()),
        ceiling=scores(ceiling, _measured(table, ceiling, rows)) if ceiling else None,
        predicted=x,
        truth=y,
    )


def _in_space(predictions: Predicted, benchmark: Benchmark) -> Benchmark:
    """The benchmark as a table of the space that the predictions are of."""
    if predictions.space is None or predictions.space == benchmark.space.name:
        return benchmark
    try:
        return benchmark.within(space_named(predictions.space))
    except ValueError as error:
        raise ValueError(
            f"{predictions.name} is of the space {predictions.space!r}, the benchmark {benchmark.name} of "
            f"{benchmark.space.name!r}: {error}"
        ) from None


def _measured(table: Benchmark, column: str, rows: np.ndarray) -> Array:
    values = table.values(column)[rows]
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise ValueError(
            f"{table.name} has no finite {column!r} of {len(wrong)} of {len(rows)} architectures, the first of them "
            f"{table.strings[rows[wrong[0]]]!r}"
        )
    return values


def _protocol(
    predictions: Predicted, table: Benchmark, truth: str, ceiling: str | None, rows: np.ndarray
) -> dict[str, Any]:
    """What was compared with what. The architectures are identified by the digest of their sorted strings."""
    strings = "\n".join(sorted(table.strings[row] for row in rows))
    return {
        "predictions": {"name": predictions.name, "space": predictions.space, "protocol": dict(predictions.protocol)},
        "benchmark": {"name": table.name, "sha256": table.sha256, "space": table.space.name, "rows": len(table)},
        "truth": truth,
        "ceiling": ceiling,
        "architectures": {
            "scored": len(rows),
            "which": "every row of the table" if len(rows) == len(table) else "those predicted",
            "sha256": hashlib.sha256(strings.encode()).hexdigest(),
        },
        "environment": {**environment(), "scipy": version("scipy")},
    }


def _thinned(curve: ImprovementCurve) -> ImprovementCurve:
    if len(curve.remaining) <= CURVE_POINTS:
        return curve
    left = np.geomspace(1, len(curve.remaining), CURVE_POINTS).round().astype(int)
    kept = len(curve.remaining) - np.unique(np.concatenate([left, np.arange(1, 11)]))[::-1]
    return ImprovementCurve(curve.remaining[kept], curve.accuracy[kept], curve.improvement[kept], curve.best)


def _curve(curve: ImprovementCurve | PruningCurve, *columns: str) -> dict[str, Any]:
    return {name: getattr(curve, name) for name in ("remaining", *columns)}


def plain(value: Any) -> Any:
    """The value as JSON can hold it: arrays as lists, numbers that are not finite as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(item) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    return None if isinstance(value, float) and not np.isfinite(value) else value

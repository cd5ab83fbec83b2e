"""Scores predictions against a benchmark: every measure with its interval, beside trivial baselines and the ceiling."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.scoring.baselines import Trivial, covered
from oneshot.benchmarks.scoring.catalogue import all_measures
from oneshot.benchmarks.scoring.intervals import Bootstrap, percentiles
from oneshot.benchmarks.scoring.measures import (
    ImprovementCurve,
    checked,
    improvement_curve,
    pruning_curve,
)
from oneshot.benchmarks.scoring.predictions import Evaluated, Predicted, as_predicted, mixed_scales
from oneshot.benchmarks.scoring.protocols import PREDICTED, ScoringProtocol
from oneshot.benchmarks.scoring.ranks import recommended_weights
from oneshot.benchmarks.scoring.result import RECOMMENDED, Report, Scores
from oneshot.benchmarks.table import Benchmark

from oneshot.base.provenance import environment, version
from oneshot.registry import SPACES

if TYPE_CHECKING:
    import pandas as pd

    Predictions = Predicted | Evaluated | pd.DataFrame | str | Path

CURVE_POINTS = 200
"""Of a longer improvement curve a report keeps about so many points, in equal ratios, the last ten all."""
LEAST = 3
"""Fewer architectures have no ranking."""


def score(predictions: Predictions, benchmark: Benchmark, **how: Any) -> Report:
    """Scores predictions on the architectures that they cover, or on those that a protocol chooses.

    They are what an evaluator returns, a data frame with the columns `arch` and `accuracy`, a file, or `Predicted`.
    Takes the options of `score_all`.
    """
    return score_all([predictions], benchmark, **how)[0]


def score_all(
    predictions: Sequence[Predictions],
    benchmark: Benchmark,
    *,
    protocol: ScoringProtocol = PREDICTED,
    truth: str | None = None,
    ceiling: str | None = None,
    baselines: bool = True,
    bootstraps: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
    on_scores: Callable[[str], None] = lambda name: None,
) -> list[Report]:
    """Scores several predictions on the same architectures under the same resamples: reports that can be compared.

    `truth` and `ceiling` are columns in which more is better, by default those of `Benchmark.default_truth` and
    `default_ceiling`; improvement is 1 at the best of the table. Predictions that name a space of their own are scored
    within that space. ValueError for predictions of another space, for architectures that the benchmark lacks or
    measured nothing of, for a protocol's architectures that are not predicted, and for fewer than three. `on_scores`
    is told the name of each predictor whose scores are ready.
    """
    runs = [as_predicted(each) for each in predictions]
    for note in dict.fromkeys(note for run in runs for note in run.notes):
        warnings.warn(note, stacklevel=2)
    table = _in_space(runs, benchmark)
    truth = truth or table.default_truth()
    ceiling = ceiling or table.default_ceiling(truth)
    predicted = [_by_row(run, table) for run in runs]
    rows = _chosen(protocol, table, truth, runs, predicted)
    _, y = checked(predicted[0][rows], _measured(table, truth, rows))
    best = float(np.nanmax(table.values(truth)))
    bootstrap = Bootstrap(y, best, np.random.default_rng(seed), bootstraps)

    def scores(name: str, values: Array) -> Scores:
        measures, undefined = all_measures(values, y, best)
        resampled = bootstrap.resampled(values, measures)
        intervals = {measure: percentiles(each, confidence) for measure, each in resampled.items()}
        curves = _thinned(improvement_curve(values, y, best)), pruning_curve(values, y)
        on_scores(name)
        return Scores(name, measures, intervals, undefined, *curves, resampled)

    free = Trivial.of(table, covered(predicted, rows)) if baselines else Trivial(table, {})
    columns, alike = free.predictors(rows)
    trivial = tuple(scores(*each) for each in columns.items())
    advised = [free.recommended(*each) for each in zip(runs, predicted, strict=True)]
    top = scores(ceiling, _measured(table, ceiling, rows)) if ceiling else None
    common = {
        **_protocol(table, truth, ceiling, rows, protocol, len(_used(table, runs))),
        **({"notes": [f"truth {truth}: {note}"]} if (note := mixed_scales(y)) else {}),
        "best_of_table": best,
        **({"same_ranking": alike} if alike else {}),
        **({"recommended": recommended_weights(table.space)} if any(each is not None for each in advised) else {}),
        "intervals": {**bootstrap.protocol(), "confidence": confidence, "seed": seed},
    }
    return [
        Report(
            {"predictions": _origin(run), **common}, scores(run.label, values[rows]), trivial, top, values[rows], y,
            None if advice is None else scores(RECOMMENDED, advice[rows]),
        )
        for run, values, advice in zip(runs, predicted, advised, strict=True)
    ]  # fmt: skip


def _in_space(runs: Sequence[Predicted], benchmark: Benchmark) -> Benchmark:
    """The benchmark as a table of the space that the predictions are of."""
    spaces = {run.space: run.name for run in runs if run.space is not None}
    if len(spaces) > 1:
        both = " and ".join(f"{name} of {space!r}" for space, name in spaces.items())
        raise ValueError(f"expected predictions of one search space, got {both}")
    if not spaces or benchmark.space.name in spaces:
        return benchmark
    ((space, name),) = spaces.items()
    try:
        return benchmark.within(SPACES[space])
    except ValueError as error:
        raise ValueError(
            f"{name} is of the space {space!r}, the benchmark {benchmark.name} of {benchmark.space.name!r}: {error}"
        ) from None


def _by_row(run: Predicted, table: Benchmark) -> Array:
    """The predictions in the order of the table, nan where there is none."""
    rows = table.rows_of(run.archs)
    ordered = np.argsort(rows, kind="stable")
    same, values = np.diff(rows[ordered]) == 0, run.accuracy[ordered]
    differing = np.flatnonzero(same & (np.diff(values) != 0))
    if len(differing):
        first, second = ordered[differing[0] : differing[0] + 2]
        raise ValueError(
            f"rows {first + 1} and {second + 1} of {run.name} are one architecture of {table.name}, "
            f"{table.strings[rows[first]]!r}, with different predictions, {run.accuracy[first]} and "
            f"{run.accuracy[second]}; `--post isomorphs` takes their mean"
        )
    values = np.full(len(table), np.nan)
    values[rows] = run.accuracy
    return values


def _chosen(
    protocol: ScoringProtocol, table: Benchmark, truth: str, runs: Sequence[Predicted], predicted: Sequence[Array]
) -> np.ndarray:
    """The rows to score; ValueError where a protocol chooses one that is not predicted."""
    wanted, used = protocol.rows(table, table.values(truth)), _used(table, runs)
    if wanted is None:
        rows = np.setdiff1d(np.flatnonzero(np.isfinite(predicted).all(0)), used)
        if len(runs) > 1 and len(rows) < LEAST:
            raise ValueError(
                f"the {len(runs)} files predict {len(rows)} architectures in common, expected at least {LEAST}"
            )
        return rows
    wanted = np.setdiff1d(wanted, used)
    for run, values in zip(runs, predicted, strict=True):
        missing = wanted[np.isnan(values[wanted])]
        if len(missing):
            raise ValueError(
                f"protocol {protocol.name} scores {len(wanted)} architectures of {table.name}, {len(missing)} of them "
                f"are missing in {run.name}, such as {table.strings[missing[0]]!r}; `oneshot score --benchmark "
                f"{table.name} --protocol {protocol.name} --list FILE` writes what to predict"
            )
    return wanted


def _used(table: Benchmark, runs: Sequence[Predicted]) -> np.ndarray:
    """The rows whose truth some run knows: they are scored for none."""
    return np.unique(np.concatenate([table.rows_of(run.used) for run in runs])).astype(np.intp)


def _measured(table: Benchmark, column: str, rows: np.ndarray) -> Array:
    values = table.values(column)[rows]
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        raise ValueError(
            f"{table.name} has no finite {column!r} of {len(wrong)} of {len(rows)} architectures, the first of them "
            f"{table.strings[rows[wrong[0]]]!r}"
        )
    return values


def _origin(run: Predicted) -> dict[str, Any]:
    notes = {"notes": list(run.notes)} if run.notes else {}
    return {"name": run.name, "space": run.space, "protocol": dict(run.protocol), **notes}


def _protocol(
    table: Benchmark, truth: str, ceiling: str | None, rows: np.ndarray, protocol: ScoringProtocol, left_out: int
) -> dict[str, Any]:
    """What was compared with what. The architectures are identified by the digest of their sorted strings.

    `left_out` is how many are not scored because some prediction knows their truth.
    """
    strings = "\n".join(sorted(table.strings[row] for row in rows))
    return {
        "benchmark": {"name": table.name, "sha256": table.sha256, "space": table.space.name, "rows": len(table)},
        "truth": truth,
        "ceiling": ceiling,
        "architectures": {
            "protocol": protocol.name,
            "seed": protocol.seed,
            "scored": len(rows),
            "which": "every row of the table" if len(rows) == len(table) else protocol.rule,
            **({"left_out": left_out} if left_out else {}),
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

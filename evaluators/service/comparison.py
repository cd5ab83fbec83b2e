"""Known predictions against ground truth, as the page draws them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from oneshot.benchmarks.scoring.measures import improvement_curve, kendall_tau
from oneshot.evaluators.service.ranking import Known, Row

POINTS = 1500
"""Points of the scatter; more are thinned evenly by predicted rank."""
CURVE = 120
"""Points of the curve, evenly on its logarithmic axis."""


def compare(known: Known) -> dict[str, Any]:
    """The document of `schema.Comparison`; ValueError without ground truth, or with too little of it known."""
    if known.truth is None:
        raise ValueError("this service has no ground truth: start it with --benchmark")
    rows, predicted, truth = known.measured()
    count = len(truth)
    if count < 3:
        raise ValueError(f"expected at least 3 predictions of architectures that were measured, got {count}")
    table, tau = known.truth, kendall_tau(predicted, truth)
    values = table.benchmark.values(table.truth)
    percent = 100 if np.nanmax(values) <= 1 else 1
    curve = improvement_curve(predicted, truth, max(float(np.nanmax(values)) * percent, float(truth.max())))
    left = np.unique(np.geomspace(1, count, min(CURVE, count)).round().astype(int))[::-1]
    shown = np.unique(np.linspace(0, count - 1, min(POINTS, count)).round().astype(int))
    improvement = [float(v) for v in curve.improvement[count - left]]
    return {
        "column": f"{table.benchmark.name} {table.truth}",
        "count": count,
        "kendall_tau": tau if math.isfinite(tau) else None,
        "kendall_tau_recommended": _recommended(known, rows),
        "points": [[round(float(predicted[i]), 4), round(float(truth[i]), 4)] for i in shown],
        "remaining": left.tolist(),
        "improvement": [v if math.isfinite(v) else None for v in improvement],
    }


def _recommended(known: Known, rows: list[Row]) -> float | None:
    """Kendall's tau of what is recommended of these rows."""
    advised = known.recommended(rows)
    values = [each.value for each in advised if each.value is not None]
    tau = kendall_tau(np.array(values), np.array([each.row.truth for each in advised], float)) if values else math.nan
    return tau if math.isfinite(tau) else None

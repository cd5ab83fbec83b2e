"""What a column of a benchmark holds, in a few numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
from oneshot.benchmarks.table import Benchmark

BINS = 12
BARS = " ▁▂▃▄▅▆▇█"


def summary(table: Benchmark, column: str) -> dict[str, Any]:
    """Count, extremes, mean, a histogram of equal bins between the extremes, and the architecture of the maximum."""
    values = table.values(column)
    measured = np.isfinite(values)
    if not measured.any():
        return {"count": 0, "min": None, "mean": None, "max": None, "histogram": [0] * BINS, "best": None}
    present = values[measured]
    return {
        "count": int(measured.sum()),
        "min": float(present.min()),
        "mean": float(present.mean()),
        "max": float(present.max()),
        "histogram": np.histogram(present, BINS)[0].tolist(),
        "best": table.strings[int(np.nanargmax(np.where(measured, values, np.nan)))],
    }

"""A table of ground truth as an evaluator: what was measured is the prediction."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from oneshot.benchmarks.table import Benchmark
from oneshot.evaluators.base import Prediction, Predictions

from oneshot.space import Arch


class TableEvaluator:
    """The measured accuracies of one column, in percent; a column of fractions is read as such.

    A table has no losses: the loss is the share of errors. `images` is what the standard error is computed from.
    ValueError where an architecture was not measured, or the column holds no accuracies.
    """

    def __init__(self, benchmark: Benchmark, truth: str | None = None, images: int = 10_000) -> None:
        if images < 1:
            raise ValueError(f"images must be at least 1, got {images}")
        self.benchmark, self.space, self.images = benchmark, benchmark.space, images
        self.truth = benchmark.default_truth() if truth is None else truth
        values = benchmark.values(self.truth)
        measured = values[np.isfinite(values)]
        if not len(measured) or measured.min() < 0 or measured.max() > 100:
            span = f"{measured.min():g} to {measured.max():g}" if len(measured) else "nothing measured"
            raise ValueError(f"{self.truth} of {benchmark.name} holds no accuracies: expected 0 to 100, got {span}")
        self._percent = values * 100 if measured.max() <= 1 else values

    @property
    def protocol(self) -> dict[str, Any]:
        table = {"name": self.benchmark.name, "sha256": self.benchmark.sha256}
        return {"evaluator": "table", "benchmark": table, "truth": self.truth, "images": self.images}

    def knows(self, arch: Arch) -> bool:
        """Whether it was measured."""
        return arch in self.benchmark and bool(np.isfinite(self._percent[self.benchmark.rows_of([arch])[0]]))

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        checked = tuple(self.space.check(arch) for arch in archs)
        percent = self._percent[self.benchmark.rows_of(checked)]
        if not np.isfinite(percent).all():
            missing = self.space.format(checked[int(np.flatnonzero(~np.isfinite(percent))[0])])
            raise ValueError(f"{self.truth} of {self.benchmark.name} was not measured of {missing}")
        values = tuple(Prediction(float(p), 1 - float(p) / 100, self.images) for p in percent)
        return Predictions(self.space, checked, values, self.protocol)


def measured(benchmark: Benchmark, column: str) -> Callable[[Arch], float]:
    """A column by architecture, such as a latency; NaN for what the table does not have."""
    values = benchmark.values(column)

    def value(arch: Arch) -> float:
        return float(values[benchmark.rows_of([arch])[0]]) if arch in benchmark else float("nan")

    return value

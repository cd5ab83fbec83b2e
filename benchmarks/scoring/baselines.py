"""What costs nothing, beside predictions: the facts of a space, and the two averaged, which we recommend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.scoring.measures import constant
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.ranks import ACCURACY, averaged, distinct, facts_of, recommended_weights
from oneshot.benchmarks.table import Benchmark


@dataclass(frozen=True, eq=False)
class Trivial:
    """The facts of some rows of a table by name, each as long as the table, NaN in other rows."""

    table: Benchmark
    facts: dict[str, Array]

    @classmethod
    def of(cls, table: Benchmark, rows: np.ndarray) -> Trivial:
        found = facts_of(table.space, [table.space.parse(table.strings[row]) for row in rows])
        whole = {name: np.full(len(table), np.nan) for name in found}
        for name, values in found.items():
            whole[name][rows] = values
        return cls(table, whole)

    def predictors(self, rows: np.ndarray) -> tuple[dict[str, Array], dict[str, list[str]]]:
        """The facts of these rows, of those that rank alike the first alone; and the names of each such group."""
        columns = {name: values[rows] for name, values in self.facts.items()}
        alike = distinct(columns)
        return {name: columns[name] for name in alike}, {n: group[1:] for n, group in alike.items() if len(group) > 1}

    def recommended(self, run: Predicted, predicted: Array) -> Array | None:
        """The run's ranks averaged with the best fact's, among all that it predicts, NaN in other rows.

        None for what is processed already, for a space without that fact, and where the accuracies rank nothing.
        """
        known = np.isfinite(predicted)
        fact = self.facts.get(self.table.space.baseline)
        if run.protocol.get("post") or fact is None or constant(predicted[known]) or constant(fact[known]):
            return None
        columns = {ACCURACY: predicted[known], self.table.space.baseline: fact[known]}
        values = np.full(len(predicted), np.nan)
        values[known] = averaged(columns, recommended_weights(self.table.space))
        return values


def covered(predicted: Sequence[Array], rows: np.ndarray) -> np.ndarray:
    """The rows that are predicted or scored."""
    return np.union1d(rows, np.flatnonzero(np.isfinite(predicted).any(0)))

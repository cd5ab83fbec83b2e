"""What the columns of a table are: its truth, its ceiling, and the single trainings of the truth."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from oneshot.benchmarks.columns import first_few
from oneshot.benchmarks.table import Benchmark, write_declared

SEED = "{seed}"


@dataclass(frozen=True)
class Roles:
    """Names of columns; `seeds` is a pattern such as `cifar10_test_{seed}`, in which {seed} is a whole number."""

    truth: str | None = None
    ceiling: str | None = None
    seeds: str | None = None

    def __post_init__(self) -> None:
        if self.seeds is not None and self.seeds.count(SEED) != 1:
            raise ValueError(f"expected a pattern with one {SEED}, such as cifar10_test_{SEED}, got {self.seeds!r}")

    def __bool__(self) -> bool:
        return (self.truth, self.ceiling, self.seeds) != (None, None, None)


def declare(table: Benchmark, roles: Roles, target: str | Path) -> Benchmark:
    """Writes the table with these roles; ValueError where they are not columns of numbers, or contradict each other.

    What the table declared of another truth does not stay.
    """
    seeds = matching(roles.seeds, table) if roles.seeds is not None else {}
    truth = roles.truth if roles.truth is not None else _default_truth(table, list(seeds.values()))
    _check_measured(table, "truth", truth)
    kept = {key: value for key, value in table.metadata.items() if key not in ("truth", "ceiling", "truth_seeds")}
    before = table.metadata if truth == table.truth else {}
    declared: dict[str, Any] = {
        "truth": truth,
        "ceiling": roles.ceiling if roles.ceiling is not None else before.get("ceiling"),
        "truth_seeds": {str(seed): column for seed, column in seeds.items()} or before.get("truth_seeds"),
    }
    if declared["ceiling"] is not None:
        _check_measured(table, "ceiling", declared["ceiling"])
    for role in ("truth", "ceiling"):
        if declared[role] in seeds.values():
            raise ValueError(
                f"the {role} {declared[role]!r} is itself a single training by the pattern {roles.seeds!r}"
            )
    if declared["ceiling"] == truth:
        raise ValueError(f"expected a ceiling that is a second measurement, got the truth {truth!r} itself")
    return write_declared(target, table, {**kept, **{key: value for key, value in declared.items() if value}})


def matching(pattern: str, table: Benchmark) -> dict[int, str]:
    """The columns of a pattern by their seed; ValueError where there are none, or two of one seed."""
    before, after = map(re.escape, pattern.split(SEED))
    found: dict[int, str] = {}
    for column in table.columns:
        if match := re.fullmatch(rf"{before}(\d+){after}", column):
            other = found.setdefault(int(match[1]), column)
            if other != column:
                raise ValueError(
                    f"{other!r} and {column!r} of {table.name} are both seed {int(match[1])} of {pattern!r}"
                )
    if not found:
        raise ValueError(
            f"no column of {table.name} matches {pattern!r}; its columns are {first_few(table.columns, 20)}"
        )
    return dict(sorted(found.items()))


def _default_truth(table: Benchmark, singles: Sequence[str]) -> str:
    """The truth of a table where the import names none: the declared one, or the one candidate beside the seeds."""
    candidates = [column for column in table.truth_candidates if column not in singles]
    if table.truth is None and singles and len(candidates) == 1:
        return candidates[0]
    return table.default_truth()


def _check_measured(table: Benchmark, role: str, column: str) -> None:
    if column not in table.columns:
        texts = table.metadata.get("source", {}).get("columns_left_out", [])
        why = (
            "holds no numbers"
            if isinstance(texts, list) and column in texts
            else f"is none of its columns {first_few(table.columns, 20)}"
        )
        raise ValueError(f"the {role} {column!r} of {table.name} {why}")
    if not np.isfinite(table.values(column)).any():
        raise ValueError(f"the {role} {column!r} of {table.name} was measured of no architecture")

"""A search in one call, over whatever predicts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from oneshot.evaluators.base import Evaluator
from oneshot.evaluators.table import TableEvaluator

from oneshot.samplers.listed import Listed
from oneshot.samplers.uniform import Uniform
from oneshot.search.base import Measure, Search, Task
from oneshot.search.costs import measures

if TYPE_CHECKING:
    from oneshot.benchmarks.table import Benchmark

    from oneshot.runs.run import Run


def run_search(
    asked: Run | Benchmark | Evaluator | str | Path,
    algorithm: Search,
    objectives: Sequence[str] = (),
    costs: Mapping[str, Measure] | None = None,
    limits: Mapping[str, float] | None = None,
    seed: int = 0,
    **settings: Any,
) -> Task:
    """Search a run, the run in a folder, a table, or any evaluator; what was found stays in the task.

    Most is predicted of the best; `objectives` are what is minimised beside it, `limits` what is not exceeded, both by
    name: `params`, `macs` (in millions), and those of `costs`, functions of an architecture. The settings are those of
    the evaluator of a run, such as `norm`, or of a table. ValueError as of `Task`.
    """
    from oneshot.benchmarks.table import Benchmark

    from oneshot.runs.run import Run, open_run

    size: Mapping[str, Any] = {}
    asked = open_run(asked) if isinstance(asked, str | Path) else asked
    if isinstance(asked, Run):
        from oneshot.evaluators.supernet import of_run

        evaluator, size = of_run(asked, **settings), asked.size
    else:
        evaluator = TableEvaluator(asked, **settings) if isinstance(asked, Benchmark) else asked
    table = evaluator if isinstance(evaluator, TableEvaluator) else None
    space = evaluator.space
    known = {**measures(partial(space.cost, **size)), **(costs or {})}
    task = Task(evaluator, known, objectives, limits, table.knows if table else None)
    sampler = Listed(space, table.benchmark.strings) if table else Uniform(space)
    algorithm(task, sampler, np.random.default_rng(seed))
    return task

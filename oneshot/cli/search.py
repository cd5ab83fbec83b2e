"""`oneshot search`: the best architectures by a supernet, a table, a score without training, or training."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli.asking import Asking
from oneshot.cli.machine import add_cluster, add_machine, joined
from oneshot.cli.opened import TOGETHER
from oneshot.cli.options import offer, parser, print_json, print_table

if TYPE_CHECKING:
    from oneshot.base.progress import Progress
    from oneshot.cli.opened import Opened
    from oneshot.evaluators.base import Predictions
    from oneshot.samplers.base import Sampler
    from oneshot.search.base import Measure, Task
    from oneshot.search.evolution import Evolution
    from oneshot.search.nsga2 import Nsga2
    from oneshot.search.random import Random
    from oneshot.space import Arch, Space

EXAMPLE = "oneshot search runs/paper-1 --algorithm nsga2 --objectives params --max-macs 100 --out found"
ALGORITHMS = ("random", "evolution", "nsga2")
MEASURES = ("params", "macs", "latency")
ASKING = Asking(service=True, table=True)


def main(argv: Sequence[str]) -> None:
    args = _arguments(argv)
    from oneshot.base.files import writing_in
    from oneshot.search.result import document, write

    asked = ASKING.asked(args, argv, TOGETHER)
    with writing_in(args.out) if args.out is not None else nullcontext():
        with joined(args) as machine:
            task, settings = _searched(args, asked.open(machine))
        found = document(task, settings)
        if args.out is not None:
            write(args.out, task, found)
            _draw(task, args.out)
    _show(task, found, args)
    if task.failed:
        some = ", ".join(task.space.format(arch) for arch in task.failed[:5])
        count = f"{len(task.failed)} of {task.evaluations} architectures"
        warnings.warn(f"{count} have no finite {task.quantity.column} and were left out: {some}", stacklevel=2)


class Told:
    """What is opened, as a search asks it: it tells of its progress, and keeps what took work."""

    def __init__(self, opened: Opened) -> None:
        self.evaluator, self.stored = opened.evaluator, None if opened.path is None else opened.stored()
        self.progress: Progress | None = None

    @property
    def space(self) -> Space:
        return self.evaluator.space

    @property
    def protocol(self) -> dict[str, Any]:
        return self.evaluator.protocol

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        if self.stored is not None:
            return self.stored(archs, on_chunk=lambda part, values: self._advance(len(part)))
        found = self.evaluator(archs)
        self._advance(len(found))
        return found

    def _advance(self, n: int) -> None:
        if self.progress is not None:
            self.progress.advance(n)


def _searched(args: Any, asked: Opened) -> tuple[Task, dict[str, Any]]:
    """The task when its search is done, and what it was."""
    import numpy as np

    from oneshot.base.progress import Progress
    from oneshot.search.result import begin

    algorithm, asking = _algorithm(args), Told(asked)
    if all(len(decision.options) == 1 for decision in asking.space.decisions):
        only = asking.space.format((0,) * len(asking.space.decisions))
        raise ValueError(f"there is nothing to search: this is a network of {only} alone; expected a supernet's run")
    task, costs = _task(args, asked, asking)
    sampler, start, begins = _samplers(args, asked)
    settings = {
        "space": task.space.name,
        "algorithm": {"name": args.algorithm, **asdict(algorithm)},
        "seed": args.seed,
        "start": begins,
        "objectives": list(task.objectives),
        "limits": task.limits,
        "costs": costs,
        "evaluator": task.evaluator.protocol,
    }
    if args.out is not None:
        begin(args.out, settings)
    with Progress("search", algorithm.population * algorithm.generations, "architectures") as progress:
        asking.progress = progress
        algorithm(task, sampler, np.random.default_rng(args.seed), start)
    return task, settings


def _arguments(argv: Sequence[str]) -> Any:
    from oneshot.search.evolution import Evolution

    to = parser("search", __doc__ or "", EXAMPLE)
    ASKING.add(to, argv)
    offer(to.add_argument("--algorithm", type=str, default="evolution", help=", ".join(ALGORITHMS)), ALGORITHMS)
    costs = f"what is minimised beside the error: {', '.join(MEASURES)}; nsga2 takes params where nothing is said"
    to.add_argument("--objectives", type=str, nargs="+", default=[], help=costs)
    latency = "BENCHMARK:COLUMN, the latency by architecture, or a table of operations of `oneshot cost --table`"
    to.add_argument("--latency-of", type=str, default="", help=latency)
    to.add_argument("--max-params", type=float | None, default=None, help="at most so many parameters")
    to.add_argument("--max-macs", type=float | None, default=None, help="at most so many million multiply-adds")
    to.add_argument("--max-latency", type=float | None, default=None, help="at most so much of --latency-of")
    size = "of the network whose params and macs count, 0 as the run or the table has it, else as published"
    for name in ("channels", "cells", "classes", "image-size"):
        to.add_argument(f"--{name}", type=int, default=0, help=size)
    to.add_class_arguments(Evolution, as_group=True)
    to.add_argument("--seed", type=int, default=0, help="of the search")
    begins = (
        "first population: a sampler's name (vae: what the run has learned), a file of architectures, the "
        "vae.safetensors of a run, or rows (of the table)"
    )
    to.add_argument("--start", type=str, default="", help=begins)
    to.add_argument("--out", type=Path | None, default=None, help="folder for the result, all candidates and figures")
    to.add_argument("--json", action="store_true", help="print one JSON document")
    add_cluster(to)
    add_machine(to)
    args = to.parse_args(list(argv))
    if args.cluster and args.benchmark:
        raise ValueError("--cluster evaluates a run folder; a table has its answers already")
    return args


def _algorithm(args: Any) -> Random | Evolution | Nsga2:
    if args.algorithm not in ALGORITHMS:
        raise ValueError(f"no algorithm {args.algorithm!r}; there are {', '.join(ALGORITHMS)}")
    if args.algorithm == "nsga2":
        from oneshot.search.nsga2 import Nsga2

        return Nsga2(**_fields_of(args, Nsga2))
    from oneshot.search.evolution import Evolution
    from oneshot.search.random import Random

    kind = Random if args.algorithm == "random" else Evolution
    return kind(**_fields_of(args, kind))


def _fields_of(args: Any, kind: type) -> dict[str, Any]:
    """The arguments that are fields of a dataclass; a command may leave some out."""
    values: Mapping[str, Any] = args.as_dict()
    return {f.name: values[f.name] for f in fields(kind) if f.name in values}


def _task(args: Any, asked: Opened, asking: Told) -> tuple[Task, dict[str, Any]]:
    """The task, and what its costs are those of."""
    from oneshot.cost import SIZES
    from oneshot.search.base import Task
    from oneshot.search.costs import measures

    given = {name: getattr(args, name) for name in SIZES if getattr(args, name)}
    for name, value in given.items():
        if value < 0:
            raise ValueError(f"{name} must be at least 0, got {value}")
    size = {**asked.size(), **given}
    known: dict[str, Measure] = measures(partial(asked.space.cost, **size))
    costs: dict[str, Any] = {"network": size}
    if args.latency_of.endswith(".json"):
        known["latency"], costs["latency"] = _summed(args, asked, size)
    elif args.latency_of:
        from oneshot.benchmarks.table import find_table
        from oneshot.evaluators.table import measured

        name, colon, column = args.latency_of.rpartition(":")
        if not colon:
            raise ValueError(f"--latency-of takes BENCHMARK:COLUMN or OPERATIONS.json, got {args.latency_of!r}")
        table = find_table(name, args.data_dir, asked.space)
        known["latency"] = measured(table, column)
        costs["latency"] = {"name": table.name, "sha256": table.sha256, "column": column}
    limits = {name: most for name in MEASURES if (most := getattr(args, f"max_{name}")) is not None}
    if "latency" in {*args.objectives, *limits} and not args.latency_of:
        raise ValueError("a search by latency needs --latency-of BENCHMARK:COLUMN or OPERATIONS.json")
    objectives = list(dict.fromkeys(args.objectives)) or (["params"] if args.algorithm == "nsga2" else [])
    can = asked.table.knows if asked.table else None
    return Task(asking, known, objectives, limits, can), costs


def _summed(args: Any, asked: Opened, size: Mapping[str, int]) -> tuple[Measure, dict[str, Any]]:
    """Milliseconds summed over operations, which are measured where the table lacks them; and what they are."""
    from oneshot.latency.table import OperationTable
    from oneshot.registry import skeleton_of
    from oneshot.runs.config import Config

    table = OperationTable.open(args.latency_of)
    given = {} if asked.config is None else asked.config.space.given
    known = {f.name for f in fields(skeleton_of(asked.space.name))}
    sizes = {name: value for name, value in size.items() if name in known}
    config = Config.of(space={"name": asked.space.name, **given, **sizes})
    classes, side = size.get("classes", 10), size.get("image_size", 32)
    told = {"file": args.latency_of, "batch_size": table.batch, "protocol": table.protocol}
    return lambda arch: table.of(config, arch, classes, side), told


def _samplers(args: Any, asked: Opened) -> tuple[Sampler, Sampler | None, str]:
    """What the search draws from, what its first population comes from, and how the settings name that."""
    from oneshot.registry import SAMPLERS
    from oneshot.samplers.listed import Listed
    from oneshot.samplers.uniform import Uniform

    rows = Listed(asked.space, asked.table.benchmark.strings) if asked.table else None
    if args.start == "rows" and rows is None:
        raise ValueError("--start rows needs a --benchmark")
    if args.start in ("", "rows"):
        return rows or Uniform(asked.space), None, "rows" if rows else "uniform"
    if args.start.endswith(".safetensors") or (args.start in SAMPLERS and hasattr(SAMPLERS[args.start], "load")):
        start, name = _learned(args, asked)
        return rows or Uniform(asked.space), start, name
    if Path(args.start).is_file():
        from oneshot.base.provenance import fingerprint
        from oneshot.benchmarks.scoring.predictions import read_archs

        strings = list(read_archs(Path(args.start)))
        return rows or Uniform(asked.space), Listed(asked.space, strings), f"{args.start} {fingerprint(strings)}"
    start = SAMPLERS[args.start]().make(asked.space)
    return rows or Uniform(asked.space), start, args.start


def _learned(args: Any, asked: Opened) -> tuple[Sampler, str]:
    """What the sampler of the run has learned, or one from a file; and how the settings name it."""
    from oneshot.base.provenance import fingerprint
    from oneshot.registry import SAMPLERS
    from oneshot.runs.run import learned

    if args.start in SAMPLERS and (not args.run or not Path(args.run).is_dir()):
        raise ValueError(
            f"--start {args.start} needs a run folder; --start FILE takes the {args.start}.safetensors of one"
        )
    if args.start in SAMPLERS:
        start = learned(args.run)
    else:
        kinds = [kind for kind in SAMPLERS.values() if hasattr(kind, "load")]
        named = [kind for name, kind in SAMPLERS.items() if kind in kinds and Path(args.start).stem == name]
        start = (named or kinds)[0].load(args.start, asked.space)
    return start, f"{args.start} {fingerprint({name: value.tolist() for name, value in start.state_dict().items()})}"


def _draw(task: Task, out: Path) -> None:
    from oneshot.benchmarks.reporting.plots import save
    from oneshot.search.figures import front_figure, progress_figure

    save(progress_figure(task), out / "progress")
    for name in task.objectives:
        save(front_figure(task, name), out / f"front-{name}")


def _show(task: Task, found: dict[str, Any], args: Any) -> None:
    if args.json:
        print_json(found)
        return
    head, *rows = task.rows()
    print_table(task.title, head, rows)
    if args.out is not None:
        print(f"{args.out}: {len(task.found)} candidates")

"""The study of all methods on NAS-Bench-201 with real CIFAR-10: searches, and looks up the truth of what was found.

    ONESHOT_DATA=data python docs/results/methods.py runs/methods

All methods of the first seed come first, so that a part of the study is a table already. What is in methods.parquet
beside this file, or finished in the folder, is not done again; a training that was stopped goes on where it was.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from methods_measures import TRUTHS, accuracies, ranks, single_of, truth
from methods_plans import BUDGETS, CALIBRATED, COMMON, IMAGES, METHODS, SECONDS, VALIDATED, WHY, Plan
from oneshot.benchmarks.table import Benchmark, find_table
from oneshot.evaluators.feedback import feedback_of
from oneshot.evaluators.supernet import of_run

from oneshot.base.files import append_line, replacing, write_json
from oneshot.runs.begin import begun
from oneshot.runs.config import configured
from oneshot.runs.folder import RunFolder
from oneshot.runs.run import Run
from oneshot.samplers.uniform import Uniform
from oneshot.search.base import Task
from oneshot.search.evolution import Evolution
from oneshot.search.random import Random
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL
from oneshot.training.callbacks import OnEpoch
from oneshot.training.loop import train

FOUND = Path(__file__).with_suffix(".parquet")
SHORT = 93.5
"""Below this, or below random search, it is asked why."""
SEEN = CALIBRATED // 4
"""Batch size of recalibration and validation, where architectures are compared."""


@dataclass(frozen=True)
class Job:
    """One search of the study; its folder holds the run, its course, and in the end its row."""

    budget: str
    method: str
    seed: int
    variant: str = ""

    def folder(self, root: Path) -> Path:
        variant = f"-{self.variant.replace(' ', '-').replace('/', 'by')}" if self.variant else ""
        return root / f"{self.budget}-{self.method}{variant}-{self.seed}"

    def plan(self, root: Path) -> Plan:
        """By images, or by seconds: so many as the first seed's search by images shows to cost as much."""
        entry = METHODS[self.method]
        if self.variant:
            return WHY[self.variant][1](entry.plan, IMAGES)
        if self.budget == "images":
            return entry.plan(IMAGES)
        cost = next(filter(None, (done(Job("images", self.method, seed), root) for seed in range(1000))), None)
        if cost is None:
            raise ValueError(f"{self.method} by seconds needs a search by images before it, whose cost is known")
        return entry.plan(IMAGES * SECONDS / cost["seconds"])


def done(job: Job, root: Path) -> dict[str, Any] | None:
    """The row of a finished job."""
    path = job.folder(root) / "row.json"
    if path.exists():
        return json.loads(path.read_text())
    if not FOUND.exists():
        return None
    own = [row for row in pd.read_parquet(FOUND).to_dict("records") if job_of(row) == job]
    return own[0] if own else None


def job_of(row: Mapping[str, Any]) -> Job:
    return Job(row["budget"], row["method"], int(row["seed"]), row.get("variant", ""))


def work(job: Job, root: Path, table: Benchmark) -> dict[str, Any]:
    """Search, and the row of what was found."""
    plan, folder = job.plan(root), job.folder(root)
    folder.mkdir(parents=True, exist_ok=True)
    values = {**COMMON, **plan.settings, "seed": job.seed}
    print(f"{folder.name}: oneshot train {_options(values)} --out {folder / 'run'}", flush=True)
    course = folder / "course.jsonl"
    run = trained(values, folder / "run", course, plan.norm)
    begun = time.process_time()
    found = compared(run, plan, job.seed) if plan.search else run.method.derive()
    searched = time.process_time() - begun
    assert found is not None
    epochs = {row["epoch"]: row for row in map(json.loads, course.read_text().splitlines())}  # the last of each
    single = single_of(run, found)
    row: dict[str, Any] = {
        **asdict(job), "arch": run.space.format(found),
        "single": ALL.format(single), "several": sum(len(gate) > 1 for gate in run.space.gates(found)),
        **truth(table, single), "skips": ALL.operations(single).count("skip_connect"),
        "seconds": searched + sum(row["seconds"] for row in epochs.values()), "searched": searched,
        "images": plan.images, "epochs": len(epochs), "course": [epochs[e]["single"] for e in sorted(epochs)],
        "settings": json.dumps(values),
    }  # fmt: skip
    row["course_cifar10"] = [table.row(a, TRUTHS[:1])[TRUTHS[0]] if a else None for a in row["course"]]
    row |= ranks(run, table)
    row |= accuracies(run, found, row["mean_predicted"])
    return row


def trained(values: Mapping[str, Any], path: Path, course: Path, norm: str) -> Run:
    """A training to its end, from wherever it is, with what would be derived after every epoch."""
    config, recipe = configured(dict(values))
    folder = RunFolder(path)
    run = begun(config, recipe, folder)
    seen = replace(run, images=replace(run.images, valid=run.valid.subset(slice(0, VALIDATED))))
    since = time.process_time()

    def on_epoch(row: Mapping[str, Any]) -> None:
        nonlocal since
        found, now = run.method.derive(), time.process_time()
        single = None if found is None else ALL.format(single_of(run, found))
        append_line(course, json.dumps({"epoch": row["epoch"], "single": single, "seconds": now - since}))
        since = now

    feedback = feedback_of(seen, norm, SEEN)
    train(run.net, run.method, run.train, run.valid, recipe, config.seed, folder, [OnEpoch(on_epoch)], feedback)
    return run


def compared(run: Run, plan: Plan, seed: int) -> Arch:
    """The best of those that a search compares."""
    task, sampler = Task(of_run(run, plan.norm, SEEN, VALIDATED)), Uniform(run.space)
    rng = np.random.default_rng((seed, 11))
    if plan.search == "vae":
        Random(plan.compared, 1)(task, sampler, rng, run.sampler.learned())
    else:
        size = -(-plan.compared // 5)
        Evolution(size, 5, size // 2, size // 2, max(size // 4, 1))(task, sampler, rng)
    return task.best().arch


def _options(values: Mapping[str, Any]) -> str:
    return " ".join(f"--{name.replace('_', '-')} {value}" for name, value in values.items())


def gathered(root: Path) -> pd.DataFrame:
    """All rows that there are, written beside this file."""
    rows = pd.read_parquet(FOUND).to_dict("records") if FOUND.exists() else []
    rows += [json.loads(path.read_text()) for path in root.glob("*/row.json")]
    each = {astuple(job_of(row)): {**row, "variant": row.get("variant", "")} for row in rows}
    frame = pd.DataFrame([each[key] for key in sorted(each)])
    if len(frame):
        with replacing(FOUND) as temporary:
            frame.to_parquet(temporary, compression="zstd", index=False)
    return frame


def jobs(budgets: list[str], seeds: list[int], methods: list[str]) -> Iterator[Job]:
    """All methods of one seed after those of another."""
    yield from (Job(budget, method, seed) for budget, seed, method in itertools.product(budgets, seeds, methods))


def reasons(seeds: list[int], methods: list[str], root: Path) -> Iterator[Job]:
    """One change at a time, of each method that by images fell short."""
    rows = gathered(root)
    means = rows[(rows.budget == "images") & (rows.variant == "")].groupby("method").cifar10.mean().to_dict()
    short = [name for name in methods if means.get(name, 100.0) < max(SHORT, means.get("random-search", 0.0))]
    for seed, (variant, (able, _)) in itertools.product(seeds, WHY.items()):
        yield from (Job("images", method, seed, variant) for method in short if method in able)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of the runs")
    parser.add_argument("--budgets", nargs="+", default=list(BUDGETS), choices=BUDGETS)
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--why", action="store_true", help="of what fell short: again, with one thing changed")
    parser.add_argument("--threads", type=int, default=1)
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    asked.root.mkdir(parents=True, exist_ok=True)
    table, failed = find_table("nasbench201", None, ALL), list[str]()
    why, every = reasons(asked.seeds, asked.methods, asked.root), jobs(asked.budgets, asked.seeds, asked.methods)
    for job in why if asked.why else every:
        if done(job, asked.root) is not None:
            continue
        try:
            row = work(job, asked.root, table)
        except (ValueError, FloatingPointError, BlockingIOError) as error:
            traceback.print_exc()
            failed.append(f"{job}: {error}")
            continue
        write_json(job.folder(asked.root) / "row.json", row)
        gathered(asked.root)
        print(f"{job}: {row['cifar10']:.2f}, rank {row['rank']}, {row['seconds']:.0f} s", flush=True)
    print(f"{FOUND}: {len(gathered(asked.root))} searches" + "".join(f"\nfailed: {line}" for line in failed))


if __name__ == "__main__":
    main()

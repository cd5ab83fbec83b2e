"""A table of one's own: architectures trained from scratch, in parallel processes, continued after any stop."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from contextlib import suppress
from functools import partial
from multiprocessing.connection import wait as wait_for
from pathlib import Path
from typing import Any

import numpy as np
from oneshot.benchmarks.table import Benchmark, write

from oneshot.base.files import append_line, writing
from oneshot.base.provenance import differences
from oneshot.space import Arch, Space

Measure = Callable[[Arch, int], Mapping[str, float]]
"""Trains one architecture with one seed; must be picklable. Returns at least test_accuracy and valid_accuracy."""
Pool = Callable[[Callable[..., Any], Sequence[tuple[Any, ...]]], Iterator[tuple[int, Any]]]
"""Calls a function with each of the tuples; number and result of each, as they come."""

KEPT = "it is left as it is: move it away, or choose another target"


def create(
    target: str | Path,
    space: Space,
    archs: Sequence[Arch],
    seeds: Sequence[int],
    measure: Measure,
    prefix: str,
    protocol: Mapping[str, Any],
    notes: Mapping[str, Any],
    workers: int | Pool = 1,
    on_start: Callable[[int], None] = lambda finished: None,
    on_result: Callable[[], None] = lambda: None,
) -> Benchmark:
    """Measure every architecture with every seed, and write the table `target` when all is done.

    `workers` are so many processes here, or a pool of them such as a cluster. `protocol` is what the results depend on;
    `notes` stand beside it in the table's metadata. Finished trainings stand in `TARGET.journal`: the same call
    continues from it, another one's journal or table is refused with a ValueError that names the difference, and a
    finished table is returned as it is. One process at a time makes a table (BlockingIOError). `on_start` is told
    how many were finished before, `on_result` is called after each new one. Columns: `PREFIX_test`, `PREFIX_valid`
    (means over the seeds, percent), `PREFIX_test_seedN`, `seconds` (of one training); those of validation images are
    left out where these are the test images, and would look like a perfect ceiling.
    """
    target = Path(target)
    if not archs or not seeds:
        raise ValueError(f"a table needs architectures and seeds, got {len(archs)} and {len(seeds)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    pool = partial(_processes, workers=workers) if isinstance(workers, int) else workers
    with writing(target):
        path, header = target.with_name(target.name + ".journal"), {"space": space.name, **protocol}
        if target.exists():
            table = _finished(target, space, archs, seeds, protocol)
            with suppress(ValueError):  # somebody else's
                if path.exists():  # a kill came between the table and this
                    Journal(path, header).path.unlink()
            on_start(len(archs) * len(seeds))
            return table
        journal = Journal(path, header)
        _measure(journal, space, archs, seeds, measure, pool, on_start, on_result)
        results = [[journal.results[space.format(arch), seed] for seed in seeds] for arch in archs]
        columns = _columns(results, seeds, prefix)
        roles = {"truth": f"{prefix}_test"}
        if f"{prefix}_valid" in columns:
            roles["ceiling"] = f"{prefix}_valid"
        metadata = {**notes, **roles, "seeds": list(seeds), "protocol": dict(protocol)}
        table = write(target, archs, columns, space, metadata)
        journal.path.unlink()
        return table


def _measure(
    journal: Journal,
    space: Space,
    archs: Sequence[Arch],
    seeds: Sequence[int],
    measure: Measure,
    pool: Pool,
    on_start: Callable[[int], None],
    on_result: Callable[[], None],
) -> None:
    """Into the journal whatever it lacks."""
    names = {arch: space.format(arch) for arch in archs}
    wanted = [(arch, seed) for arch in archs for seed in seeds]
    open_tasks = [(arch, seed) for arch, seed in wanted if (names[arch], seed) not in journal.results]
    on_start(len(wanted) - len(open_tasks))
    for number, result in pool(measure, open_tasks):
        arch, seed = open_tasks[number]
        journal.add(names[arch], seed, result)
        on_result()


def _finished(
    target: Path, space: Space, archs: Sequence[Arch], seeds: Sequence[int], protocol: Mapping[str, Any]
) -> Benchmark:
    """The table that the same call made before; ValueError where it is another, which is not overwritten."""
    table = Benchmark.open(target)
    asked = {"space": space.name, "seeds": list(seeds), "protocol": dict(protocol), "architectures": len(archs)}
    kept = {key: table.metadata.get(key) for key in ("seeds", "protocol")}
    there = {"space": table.space.name, **kept, "architectures": len(table)}
    changed = list(differences(there, json.loads(json.dumps(asked))))
    if not changed and {*table.strings} != {space.format(arch) for arch in archs}:
        changed = ["other architectures"]
    if changed:
        told = "; ".join(changed)
        raise ValueError(f"{target} is a table made otherwise: {told}; move it away, or choose another target")
    return table


class Journal:
    """Finished trainings, one JSON line each, on disk before they count; its header says of which table.

    ValueError where the file is no such journal, or another table's: it is left as it is.
    """

    def __init__(self, path: Path, header: Mapping[str, Any]) -> None:
        self.path = path
        self.results: dict[tuple[str, int], dict[str, float]] = {}
        header = json.loads(json.dumps(header))
        begun = json.dumps({"header": header})
        content = path.read_bytes() if path.exists() else b""
        if b"\n" not in content and begun.encode().startswith(content):
            path.write_bytes(b"")  # what there may be of it was cut short
            append_line(path, begun)
            return
        *whole, rest = content.split(b"\n")  # what follows the last line break was cut short
        there = self._header(whole)
        if there != header:
            changed = "; ".join(differences(there, header))
            raise ValueError(f"{path} belongs to a table made otherwise: {changed}; remove it or choose another target")
        for number, line in enumerate(whole[1:], 2):
            try:
                row = json.loads(line)
                self.results[row["arch"], row["seed"]] = dict(row["result"])
            except (ValueError, KeyError, TypeError, RecursionError):
                raise ValueError(f"line {number} of {path} is no journal entry; {KEPT}") from None
        if rest:
            os.truncate(path, len(content) - len(rest))

    def _header(self, lines: Sequence[bytes]) -> Any:
        try:
            return json.loads(lines[0])["header"]
        except (ValueError, KeyError, TypeError, IndexError, RecursionError):
            told = f"line 1 of {self.path} is no journal entry: it is no journal of a table; {KEPT}"
            raise ValueError(told) from None

    def add(self, arch: str, seed: int, result: Mapping[str, float]) -> None:
        append_line(self.path, json.dumps({"arch": arch, "seed": seed, "result": dict(result)}))
        self.results[arch, seed] = dict(result)


def _processes(work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]], workers: int) -> Iterator[tuple[int, Any]]:
    """A pool of this process alone, or of several others."""
    if workers <= 1:
        yield from ((number, work(*task)) for number, task in enumerate(tasks))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, context, initializer=_prepare_worker) as pool:
        pending = {pool.submit(work, *task): number for number, task in enumerate(tasks)}
        try:
            while pending:
                done, _ = wait(pending, return_when=FIRST_COMPLETED)
                for future in done:
                    yield pending.pop(future), future.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _prepare_worker() -> None:
    """One thread a worker; Ctrl-C is the parent's business, and a parent that was killed takes its workers along."""
    os.environ.update(OMP_NUM_THREADS="1", MKL_NUM_THREADS="1")
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def follow() -> None:
        if parent is not None:
            wait_for([parent.sentinel])
            os._exit(1)

    threading.Thread(target=follow, daemon=True).start()


def _columns(
    results: Sequence[Sequence[Mapping[str, float]]], seeds: Sequence[int], prefix: str
) -> dict[str, np.ndarray]:
    """Means and single seeds, from results [architecture][seed]."""
    columns: dict[str, np.ndarray] = {}
    measured = {p: np.array([[r[f"{p}_accuracy"] for r in row] for row in results]) for p in ("test", "valid")}
    if np.array_equal(measured["test"], measured["valid"]):
        del measured["valid"]
    for part, each in measured.items():
        columns[f"{prefix}_{part}"] = each.mean(1)
        columns |= {f"{prefix}_{part}_seed{seed}": each[:, i] for i, seed in enumerate(seeds)}
    columns["seconds"] = np.array([[result["seconds"] for result in row] for row in results]).mean(1)
    return columns

"""How fast ground truth opens, answers and scores, against the official packages on the same content.

Explain: an official NAS-Bench-201 file is one pickle of every epoch of every training, which has to be read whole to
answer anything; NAS-Bench-101 hashes a graph by MD5 of strings, a vertex and a round at a time. Our tables are Parquet,
read by column; the hash runs over many graphs at once.
Predict: opening reads a footer and one column of strings, megabytes instead of gigabytes; the hash is bound by MD5.
Measure: each case is a process of its own; seconds are processor seconds, memory is what the process holds more than
Python with pandas and numpy does. The official file has `--official` architectures of the official structure, and is
scaled up linearly to 15,625. The NAS-Bench-101 table is the whole space with random accuracies.

    python perf/benchmarks.py [--official 100] [--folder DIR]     (DIR keeps the made tables for the next time)
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
Measured = dict[str, float]
SPACE_201 = 15_625


def main() -> None:
    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    to.add_argument("--official", type=int, default=100, help="architectures of the official file")
    to.add_argument("--folder", type=Path, default=None)
    args = to.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        apart(make_tables, folder, args.official)
        found = {}
        for case in (open_201, look_up_201, official_201, open_101, hash_cells, score_all):
            found |= apart(case, folder, args.official)
            print(json.dumps(found), file=sys.stderr)
    scale = SPACE_201 / args.official
    official = {key: scale * found.pop(f"official {key}") for key in ("seconds", "mib")}
    twin = found.pop("hash twin cells_per_second")
    ratios = {
        "NAS-Bench-201, open and first query": official["seconds"] / found["NAS-Bench-201 first query seconds"],
        "NAS-Bench-201, memory": official["mib"] / found["NAS-Bench-201 mib"],
        "NAS-Bench-101, hashing": found["hash cells_per_second"] / twin,
    }
    print(json.dumps({
        "script": "perf/benchmarks.py",
        "ratios": {case: round(ratio, 1) for case, ratio in ratios.items()},
        "seconds": {case: round(value, 5) for case, value in found.items() if case.endswith("seconds")},
        "others": {case: round(value, 1) for case, value in found.items() if not case.endswith("seconds")},
        "official, scaled up": {case: round(value, 1) for case, value in official.items()},
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }))  # fmt: skip


def apart(case: Callable[[Path, int], Measured], folder: Path, official: int) -> Measured:
    """The result of a case in a fresh process, in which pandas and numpy are there already."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_child, args=(case, folder, official, there))
    process.start()
    result = here.recv()
    process.join()
    return result


def _child(case: Callable[[Path, int], Measured], folder: Path, official: int, pipe: Any) -> None:
    import pandas  # noqa: F401

    pipe.send(case(folder, official))


def make_tables(folder: Path, official: int) -> Measured:
    """A NAS-Bench-201 and a NAS-Bench-101 table of the whole spaces, and an official file; once."""
    import numpy as np
    from oneshot.benchmarks.table import write, write_strings

    from oneshot.spaces.nasbench101 import ALL as NB101
    from oneshot.spaces.nasbench101_batch import models
    from oneshot.spaces.nasbench201 import ALL as NB201
    from tests.benchmarks.official201 import write_pth

    rng = np.random.default_rng(0)
    if not (folder / "nb201.parquet").exists():
        archs = list(NB201)
        columns = {f"cifar{i}_test_200": rng.random(len(archs)) for i in range(14)}
        write(folder / "nb201.parquet", archs, columns, NB201, {"truth": "cifar0_test_200"})
    if not (folder / "nb101.parquet").exists():
        cells = models()
        keys = [bytes.fromhex(text) for text in cells.hashes()]
        columns = {name: rng.random(len(keys)) for name in ("test_accuracy_108", "validation_accuracy_108")}
        write_strings(folder / "nb101.parquet", cells.strings(), columns, NB101, {"truth": "test_accuracy_108"}, keys)
    if not (folder / f"official-{official}.pth").exists():
        write_pth(folder / f"official-{official}.pth", official)
    return {}


def open_201(folder: Path, official: int) -> Measured:
    from oneshot.spaces.nasbench201 import ALL

    before, held = time.process_time(), resident()
    from oneshot.benchmarks.table import Benchmark

    table = Benchmark.open(folder / "nb201.parquet")
    table.query([ALL.format((3, 2, 3, 1, 4, 3))])
    return {"NAS-Bench-201 first query seconds": time.process_time() - before, "NAS-Bench-201 mib": resident() - held}


def look_up_201(folder: Path, official: int) -> Measured:
    from oneshot.benchmarks.table import Benchmark

    table = Benchmark.open(folder / "nb201.parquet")
    strings = table.strings[::-1]
    table.query(strings[:1])
    before = time.process_time()
    table.query(strings)
    return {"NAS-Bench-201 15,625 lookups seconds": time.process_time() - before}


def official_201(folder: Path, official: int) -> Measured:
    import torch
    from nas_201_api import NASBench201API

    before, held = time.process_time(), resident()
    api = NASBench201API(torch.load(folder / f"official-{official}.pth", weights_only=False), verbose=False)
    api.get_more_info(0, "cifar10", hp="200", is_random=False)
    return {"official seconds": time.process_time() - before, "official mib": resident() - held}


def open_101(folder: Path, official: int) -> Measured:
    from oneshot.spaces.nasbench101 import ALL

    cell = ALL.parse("conv1x1~0|conv3x3~0|maxpool3x3~2|conv3x3~3|conv3x3~014|output~05")
    matrix, operations = ALL.graph(cell)
    before = time.process_time()
    from oneshot.benchmarks.table import Benchmark

    table = Benchmark.open(folder / "nb101.parquet")
    table.row(cell)
    opened = time.process_time()
    for _ in range(100):
        table.row(ALL.from_graph(matrix, operations))
    return {
        "NAS-Bench-101 open and first query seconds": opened - before,
        "NAS-Bench-101 query by matrix seconds": (time.process_time() - opened) / 100,
    }


def hash_cells(folder: Path, official: int) -> Measured:
    import numpy as np
    from nasbench_pytorch.model.graph_util import hash_module

    from oneshot.spaces.nasbench101_batch import models

    cells = models()
    few = cells.take(np.random.default_rng(0).choice(len(cells), 40_000, replace=False))
    before = time.process_time()
    hashes = few.hashes()
    batch = len(hashes) / (time.process_time() - before)
    graphs = [_labelled(each) for each in few.take(np.arange(2_000)).archs()]
    before = time.process_time()
    slow = [hash_module(matrix, labels) for matrix, labels in graphs]
    twin = len(slow) / (time.process_time() - before)
    assert slow == hashes[: len(slow)], "the batch hash differs from the official one"
    return {"hash cells_per_second": batch, "hash twin cells_per_second": twin}


def _labelled(arch: tuple[int, ...]) -> tuple[Any, list[int]]:
    """The matrix and the vertex labels as the official hash takes them: -1 input, -2 output."""
    import numpy as np

    from oneshot.spaces.nasbench101 import ALL, OPERATIONS

    matrix, operations = ALL.graph(arch)
    return np.array(matrix), [-1, *(OPERATIONS.index(name) for name in operations[1:-1]), -2]


def score_all(folder: Path, official: int) -> Measured:
    import numpy as np
    from oneshot.benchmarks.scoring.predictions import Predicted
    from oneshot.benchmarks.scoring.score import score
    from oneshot.benchmarks.table import Benchmark

    table = Benchmark.open(folder / "nb101.parquet")
    truth = table.values("test_accuracy_108")
    predicted = Predicted(table.strings, truth + np.random.default_rng(1).normal(0, 0.3, len(truth)))
    before, wall = time.process_time(), time.perf_counter()
    score(predicted, table, baselines=False)
    return {
        "score 423,624 seconds": time.process_time() - before,
        "score 423,624 wall seconds": time.perf_counter() - wall,
    }


def resident() -> float:
    """MiB that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()

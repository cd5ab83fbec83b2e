"""What a cluster costs beside the evaluating: the driver's time a shard, SQLite's a prediction, an actor's start.

Explain: one process, the driver, hands out shards, and writes what comes back; everything else grows with the machines.
So the driver bounds how many shards a second there can be, and SQLite how many predictions; a shard must be long enough
to be worth its message, the whole long enough to be worth the start of the actors.
Predict: a message of Ray's takes about a millisecond of the driver; a commit of SQLite's (WAL) a tenth of one, and some
microseconds a row; a process that imports PyTorch and opens a run takes some seconds.
Measure: the evaluator says 50% to everything, so that nothing else is measured; shards of --shard architectures through
`Stored` on --actors actors of a Ray on this machine, without and with a cluster, taking turns. Processor seconds of the
driver, all its threads; the start in wall seconds, of actors that open a run of digits as `oneshot predict` does.

    python perf/cluster.py [--shards 400] [--shard 16] [--actors 2] [--rounds 3]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any


class Constant:
    """An evaluator that takes no time."""

    def __init__(self) -> None:
        from oneshot.spaces.nasbench201 import ALL

        self.space, self.protocol = ALL, {"evaluator": "constant"}

    def __call__(self, archs: Sequence[Any]) -> Any:
        from oneshot.evaluators.base import Prediction, Predictions

        return Predictions(self.space, tuple(archs), (Prediction(50.0, 1.0, 5000),) * len(archs), self.protocol)


def main() -> None:
    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in {"shards": 400, "shard": 16, "actors": 2, "rounds": 3}.items():
        to.add_argument(f"--{name}", type=int, default=default)
    args = to.parse_args()
    from oneshot.evaluators.actors import Cluster
    from oneshot.evaluators.cluster import ClusterEvaluator

    with tempfile.TemporaryDirectory() as folder:
        run = trained(Path(folder) / "run")
        start = time.perf_counter()
        with Cluster("local", actors=args.actors) as cluster:
            ray = time.perf_counter() - start
            opening = started(run, cluster)
            there = ClusterEvaluator(Constant, cluster, args.shard)
            took: dict[str, list[float]] = {"here": [], "cluster": []}
            for number in range(args.rounds):
                for case, evaluator in (("here", Constant()), ("cluster", there)):
                    took[case].append(stored(evaluator, Path(folder) / f"{case}-{number}.sqlite", args))
    here, cluster_s = (statistics.median(values) / args.shards for values in took.values())
    print(json.dumps({
        "script": "perf/cluster.py",
        "seconds": {
            "driver, a shard": round(cluster_s, 6),
            "of which format, SQLite and the rest": round(here, 6),
            "start of Ray": round(ray, 2),
            "start of the actors until they have opened a run": round(opening, 2),
        },
        "most": {
            "shards/s": round(1 / cluster_s),
            "architectures/s": round(args.shard / cluster_s),
            "stored architectures/s": round(args.shard / here),
        },
        "settings": vars(args),
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }))  # fmt: skip


def trained(folder: Path) -> Path:
    """A run of one epoch."""
    from oneshot.cli import main as oneshot

    if oneshot(f"train --preset demo --channels 4 --cells 1 --epochs 1 --threads 1 --out {folder}".split()):
        raise SystemExit("the run could not be trained")
    return folder


def started(run: Path, cluster: Any) -> float:
    """Seconds until every actor has opened the run and made a prediction."""
    from oneshot.evaluators.cluster import ClusterEvaluator
    from oneshot.evaluators.supernet import of_folder

    start = time.perf_counter()
    evaluator = ClusterEvaluator(partial(of_folder, run, norm="inherit", images=64), cluster, 1)
    evaluator([(3, 0, 0, 0, 0, number % 5) for number in range(cluster.size)])
    return time.perf_counter() - start


def stored(evaluator: Any, path: Path, args: argparse.Namespace) -> float:
    """Processor seconds of this process for all shards, kept in a new file."""
    from oneshot.evaluators.store import Stored

    keeping = Stored(evaluator, path, chunk=args.shard)
    archs = list(evaluator.space)[: args.shards * args.shard]
    if len(archs) < args.shards * args.shard:
        raise SystemExit(f"there are {len(archs)} architectures: too few for {args.shards} shards of {args.shard}")
    evaluator(archs[: args.shard])
    start = time.process_time()
    keeping(archs)
    return time.process_time() - start


if __name__ == "__main__":
    main()

"""Where a command computes: on a device of this process, or on a Ray cluster."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

from oneshot.cli.options import add_data_dir, offer

if TYPE_CHECKING:
    from oneshot.evaluators.actors import Cluster
    from oneshot.evaluators.base import Evaluator


@dataclass(frozen=True)
class Machine:
    """What the options ask for; `cluster` is None where this process computes."""

    asked: str
    threads: int
    cluster: Cluster | None = None

    @cached_property
    def device(self) -> str:
        """The device that was asked for, or what the cluster has; ValueError where there is none such."""
        if self.cluster is not None:
            return self.cluster.device
        import torch

        from oneshot.base.memory import keep_freed_memory

        if self.threads < 0:
            raise ValueError(f"--threads must be at least 0, got {self.threads}")
        keep_freed_memory()
        if self.threads:
            torch.set_num_threads(self.threads)
        if self.asked == "auto":
            return "cuda" if torch.cuda.is_available() else "cpu"
        try:
            torch.empty(0, device=self.asked)
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"device {self.asked!r} cannot be used: {str(error).splitlines()[0]}") from error
        return self.asked

    def spread(self, make: Callable[[], Evaluator], shard: int) -> Evaluator:
        """What `make` makes, here or in every process of the cluster, which is sent `shard` architectures a time."""
        if self.cluster is None:
            return make()
        from oneshot.evaluators.cluster import ClusterEvaluator

        return ClusterEvaluator(partial(_made_in_our_process, make), self.cluster, shard)


def add_machine(to: Any) -> None:
    devices = ("cpu", "cuda", "auto")
    offer(to.add_argument("--device", type=str, default="auto", help="cpu, cuda, or auto"), devices)
    to.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all")
    add_data_dir(to)


def add_cluster(to: Any, processes: str = "") -> None:
    where = "work on Ray: local, or HOST:PORT of a running cluster; one process a GPU, else one for --threads CPUs"
    to.add_argument("--cluster", type=str, default="", help=where)
    to.add_argument("--workers", type=int | None, default=None, help=f"{processes} so many on the cluster".strip())


def device(args: Any) -> str:
    """The device of this process that was asked for; ValueError where there is none such."""
    return Machine(args.device, args.threads).device


@contextmanager
def joined(args: Any) -> Iterator[Machine]:
    """With its cluster if one was asked for; then what is printed goes to the standard error, as Ray prints."""
    if args.workers is not None and args.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {args.workers}")
    if not args.cluster:
        yield Machine(args.device, args.threads)
        return
    from oneshot.evaluators.actors import Cluster

    with (
        redirect_stdout(sys.stderr),
        Cluster(args.cluster, args.workers or 0, args.threads or 1, args.device) as cluster,
    ):
        print(f"cluster: {cluster.size} x {cluster.device}")
        yield Machine(args.device, args.threads, cluster)


def _made_in_our_process(make: Callable[[], Evaluator]) -> Evaluator:
    """In a process that is the command line's own."""
    from oneshot.base.memory import keep_freed_memory

    keep_freed_memory()
    return make()

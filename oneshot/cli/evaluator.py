"""What `oneshot search` asks: a supernet, stand-alone training, a table, a score, a service; their networks' costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli import untrained
from oneshot.cli.address import connected

if TYPE_CHECKING:
    from oneshot.base.progress import Progress
    from oneshot.cli.machine import Machine
    from oneshot.evaluators.base import Evaluator, Predictions
    from oneshot.evaluators.remote import RemoteEvaluator
    from oneshot.evaluators.store import Stored
    from oneshot.evaluators.table import TableEvaluator
    from oneshot.runs.config import Config
    from oneshot.space import Arch, Space


TOGETHER = 16
"""Architectures in one pass of a supernet: so many share common work, and are lost by a stop."""


@dataclass
class Opened:
    """What is searched: an evaluator that tells of its progress, and what is known about its networks."""

    evaluator: Evaluator
    size: dict[str, int]
    config: Config | None = None
    store: Stored | None = None
    table: TableEvaluator | None = None
    progress: Progress | None = None

    @property
    def space(self) -> Space:
        return self.evaluator.space

    @property
    def protocol(self) -> dict[str, Any]:
        return self.evaluator.protocol

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        if self.store is not None:
            return self.store(archs, on_chunk=lambda part, values: self._advance(len(part)))
        found = self.evaluator(archs)
        self._advance(len(found))
        return found

    def _advance(self, n: int) -> None:
        if self.progress is not None:
            self.progress.advance(n)


def asked_service(args: Any, argv: Sequence[str]) -> RemoteEvaluator | None:
    """The service that the arguments name, if they do; ValueError unless they name one thing to ask."""
    scores = untrained.is_chosen(args, argv)
    if (bool(args.run), bool(args.benchmark), scores).count(True) != 1:
        raise ValueError(
            "say what to ask: a run folder, --benchmark NAME, or --evaluator NAME --space NAME (one of these)"
        )
    if args.standalone < 0:
        raise ValueError(f"--standalone must be at least 0 epochs, got {args.standalone}")
    return connected(args, argv)


def opened(args: Any, service: RemoteEvaluator | None, machine: Machine) -> Opened:
    """The evaluator that the arguments name; evaluations are kept where they took work."""
    from oneshot.evaluators.store import Stored

    if service is not None:  # it keeps its predictions itself; --store also keeps them here
        store = Stored(service, args.store, chunk=service.batch) if args.store else None
        return Opened(service, service.network, store=store)
    if args.benchmark:
        return _opened_table(args)
    if not args.run:
        evaluator = untrained.evaluator_of(args, machine)
        return Opened(evaluator, {}, store=Stored(evaluator, untrained.store_of(args), chunk=TOGETHER))
    found = _opened_standalone(args, machine) if args.standalone else _opened_run(args, machine)
    name = "standalone.sqlite" if args.standalone else "predictions.sqlite"
    found.store = Stored(found.evaluator, args.store or Path(args.run) / name, chunk=1 if args.standalone else TOGETHER)
    return found


def _opened_table(args: Any) -> Opened:
    from oneshot.benchmarks.table import find_table
    from oneshot.evaluators.table import TableEvaluator

    if args.standalone:
        raise ValueError("--standalone needs a run folder, got --benchmark")
    table = TableEvaluator(find_table(args.benchmark, args.data_dir), args.truth)
    found = table.benchmark.metadata.get("protocol", {}).get("configuration", {})
    trained: dict[str, Any] = found if isinstance(found, dict) else {}
    own = trained.get("space", {})
    trained = {**trained, **own} if isinstance(own, dict) else trained  # flat, in tables of earlier versions
    size = {name: trained[name] for name in ("channels", "cells", "image_size") if type(trained.get(name)) is int}
    size = {name: value for name, value in size.items() if value}
    return Opened(table, size, table=table)


def _opened_run(args: Any, machine: Machine) -> Opened:
    from oneshot.evaluators.supernet import of_folder, of_run
    from oneshot.runs.network import network_size
    from oneshot.runs.run import open_run

    cluster, settings = machine.cluster, {"norm": args.batch_norm, "batch_size": args.batch_size, "images": args.images}
    run = open_run(args.run, args.data_dir, "cpu" if cluster else machine.device, args.accept_data)
    there = partial(of_folder, args.run, args.data_dir, accept_data=args.accept_data)
    make = partial(there, cluster.device) if cluster else partial(of_run, run)
    evaluator = machine.spread(partial(make, **settings), TOGETHER)
    return Opened(evaluator, network_size(run.config, run.images), run.config)


def _opened_standalone(args: Any, machine: Machine) -> Opened:
    from oneshot.evaluators.standalone import Standalone, StandaloneEvaluator
    from oneshot.runs.data import RunData
    from oneshot.runs.folder import RunFolder
    from oneshot.runs.network import network_size

    folder = RunFolder(args.run)
    config, recipe = folder.configuration()
    standalone = Standalone(config, replace(recipe, epochs=args.standalone), args.data_dir, machine.device)
    images = RunData.of(config, args.data_dir, "cpu" if machine.cluster else standalone.device)
    data = images.protocol(folder, args.accept_data)
    evaluator = machine.spread(partial(StandaloneEvaluator, standalone, data), 1)
    return Opened(evaluator, network_size(config, images), config)

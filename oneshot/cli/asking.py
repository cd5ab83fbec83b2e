"""What `predict`, `search` and `serve` ask: a run, stand-alone training, a table, a service, or a score.

It is named on the command line, checked at once, and opened where the machine computes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.cli import untrained
from oneshot.cli.opened import TOGETHER, Asked, Opened
from oneshot.cli.options import add_accept_data

if TYPE_CHECKING:
    from oneshot.cli.machine import Machine
    from oneshot.cli.options import Parser
    from oneshot.evaluators.remote import RemoteEvaluator
    from oneshot.evaluators.table import TableEvaluator
    from oneshot.space import Space

OF_RUNS = (
    "--standalone", "--batch-norm", "--batch-size", "--images", "--together", "--memory", "--device", "--threads",
    "--cluster", "--workers", "--top", "--confidence",
)  # fmt: skip
"""Options of a run folder, which a service decides itself."""


@dataclass(frozen=True)
class AskedRun:
    """The supernet in a run folder, with the settings of its evaluator."""

    title: str
    store: Path | None
    data_dir: str | None
    accept_data: bool
    settings: dict[str, Any]
    chunk: int | None
    """None for as many as share the work of one pass."""

    @property
    def space(self) -> Space:
        from oneshot.runs.folder import RunFolder

        return RunFolder(self.title).space

    def open(self, machine: Machine) -> Opened:
        from oneshot.evaluators.supernet import of_folder, of_run
        from oneshot.runs.data import RunData
        from oneshot.runs.folder import RunFolder
        from oneshot.runs.network import network_size
        from oneshot.runs.run import open_run

        path = self.store or Path(self.title) / "predictions.sqlite"
        if machine.cluster is not None:
            make = partial(of_folder, self.title, self.data_dir, machine.device, self.accept_data, **self.settings)
            evaluator = machine.spread(make, self.settings.get("together") or TOGETHER)
            config, _ = RunFolder(self.title).configuration()
            images = partial(RunData.of, config, self.data_dir, "cpu")
            return Opened(evaluator, path, lambda: network_size(config, images()), config=config)
        run = open_run(self.title, self.data_dir, machine.device, self.accept_data)
        evaluator = of_run(run, **self.settings)
        chunk = self.chunk or evaluator.fitting
        return Opened(evaluator, path, partial(network_size, run.config, run.images), chunk, run.config)


@dataclass(frozen=True)
class AskedTraining:
    """Training each architecture from scratch, as the run in a folder is configured."""

    title: str
    store: Path | None
    data_dir: str | None
    accept_data: bool
    epochs: int

    @property
    def space(self) -> Space:
        from oneshot.runs.folder import RunFolder

        return RunFolder(self.title).space

    def open(self, machine: Machine) -> Opened:
        from oneshot.evaluators.standalone import Standalone, StandaloneEvaluator
        from oneshot.runs.data import RunData
        from oneshot.runs.folder import RunFolder
        from oneshot.runs.network import network_size

        folder = RunFolder(self.title)
        config, recipe = folder.configuration()
        standalone = Standalone(config, replace(recipe, epochs=self.epochs), self.data_dir, machine.device)
        images = RunData.of(config, self.data_dir, "cpu" if machine.cluster else standalone.device)
        make = partial(StandaloneEvaluator, standalone, images.protocol(folder, self.accept_data))
        path = self.store or Path(self.title) / "standalone.sqlite"
        return Opened(machine.spread(make, 1), path, partial(network_size, config, images), 1, config)


@dataclass(frozen=True)
class AskedTable:
    """What a table measured."""

    title: str
    data_dir: str | None
    truth: str | None

    @property
    def space(self) -> Space:
        from oneshot.benchmarks.table import find_table

        return find_table(self.title, self.data_dir).space

    def open(self, machine: Machine) -> Opened:
        from oneshot.benchmarks.table import find_table
        from oneshot.evaluators.table import TableEvaluator

        table = TableEvaluator(find_table(self.title, self.data_dir), self.truth)
        return Opened(table, None, partial(_size_of_table, table))


@dataclass(frozen=True)
class AskedService:
    """A service, which keeps its predictions itself; a store also keeps them here."""

    service: RemoteEvaluator
    title: str
    store: Path | None

    @property
    def space(self) -> Space:
        return self.service.space

    def open(self, machine: Machine) -> Opened:
        return Opened(self.service, self.store, lambda: self.service.network, self.service.batch)


def _size_of_table(table: TableEvaluator) -> dict[str, Any]:
    """Of the networks that a table's protocol tells of."""
    found = table.benchmark.metadata.get("protocol", {}).get("configuration", {})
    trained: dict[str, Any] = found if isinstance(found, dict) else {}
    own = trained.get("space", {})
    trained = {**trained, **own} if isinstance(own, dict) else trained  # flat, in tables of earlier versions
    size = {name: trained[name] for name in ("channels", "cells", "image_size") if type(trained.get(name)) is int}
    return {name: value for name, value in size.items() if value}


@dataclass(frozen=True)
class Asking:
    """What a command can ask, beside a run and a score."""

    service: bool = False
    table: bool = False
    """Or training."""

    def add(self, to: Parser, argv: Sequence[str]) -> None:
        """The options that name it, and say how a run is read."""
        ways = f"run folder of `oneshot train`{', or address of a service' if self.service else ''}"
        to.add_argument("run", type=str, nargs="?", default="", help=f"{ways}; none for --evaluator")
        if self.table:
            to.add_argument("--benchmark", type=str, default="", help="ask a table instead: its name or file")
            to.add_argument("--truth", type=str | None, default=None, help="its column, by default the one it declares")
            trains = "train each architecture from scratch for so many epochs, otherwise as the run is configured"
            to.add_argument("--standalone", type=int, default=0, help=trains)
        modes = "inherit, batch, ema-N, reset-ema-N or reset-cumulative-N"
        to.add_argument("--batch-norm", type=str, default="ema-20", help=modes)
        to.add_argument("--batch-size", type=int, default=256, help="of recalibration and validation")
        some = "validate on the first so many validation images, 0 for all"
        to.add_argument("--images", type=int, default=0, help=some)
        kept = "SQLite file of predictions, in which a stopped command goes on: by default in the run folder, or cache"
        to.add_argument("--store", type=Path | None, default=None, help=kept)
        if self.service:
            secret = "file with the token of a service (else $ONESHOT_TOKEN_FILE)"
            to.add_argument("--token-file", type=Path | None, default=None, help=secret)
        untrained.add_evaluator(to, argv)
        add_accept_data(to)

    def asked(self, args: Any, argv: Sequence[str], chunk: int | None = None, **settings: Any) -> Asked:
        """What the arguments name; ValueError unless it is one thing, and every option has a meaning for it.

        A run's evaluator has more `settings`; its predictions are kept `chunk` together, None for as many as share one
        pass.
        """
        given = {word.partition("=")[0].replace("_", "-") for word in argv if word.startswith("--")}
        score, table = untrained.asked(args, given), args.benchmark if self.table else ""
        self._check_one(args.run, table, score)
        epochs = args.standalone if self.table else 0
        if epochs < 0:
            raise ValueError(f"--standalone must be at least 0 epochs, got {epochs}")
        if score is not None:
            return score
        if table and epochs:
            raise ValueError("--standalone needs a run folder, got --benchmark")
        if table:
            return AskedTable(table, args.data_dir, args.truth)
        if self.service and args.run.startswith(("http://", "https://")):
            return _asked_service(args.run, args.token_file, args.store, given)
        if self.service and args.token_file is not None:
            raise ValueError(f"--token-file is for the address of a service, got {args.run}")
        where = args.run, args.store, args.data_dir, args.accept_data
        if epochs:
            return AskedTraining(*where, epochs)
        read = {"norm": args.batch_norm, "batch_size": args.batch_size, "images": args.images}
        return AskedRun(*where, {**read, **settings}, chunk)

    def _check_one(self, run: str, table: str, score: Asked | None) -> None:
        if (bool(run), bool(table), score is not None).count(True) != 1:
            others = [
                *(["the address of a service"] if self.service else []),
                *(["--benchmark NAME"] if self.table else []),
            ]
            ways = ", ".join(["a run folder", *others])
            raise ValueError(f"say what to ask: {ways}, or --evaluator NAME --space NAME (one of these)")


def _asked_service(url: str, token_file: Path | None, store: Path | None, given: Collection[str]) -> AskedService:
    for option in OF_RUNS:
        if option in given:
            raise ValueError(f"{option} is for a run folder; {url} decides that itself")
    from oneshot.evaluators.remote import service_at

    return AskedService(service_at(url, token_file), url, store)

"""What several commands share: parsers, common options, output."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from oneshot.runs.config import Config, flat
from oneshot.runs.presets import PRESETS, preset
from oneshot.training.recipe import Recipe

if TYPE_CHECKING:
    from oneshot.evaluators.actors import Cluster
    from oneshot.evaluators.base import Evaluator
    from oneshot.space import Arch, Space

WIDTH = 100
"""Columns of what is printed to no terminal."""


class Parser(ArgumentParser):
    """Takes `--batch-size` and `--batch_size` alike."""

    def parse_args(self, args: Sequence[str] | None = None, *rest: Any, **named: Any) -> Any:
        return super().parse_args(None if args is None else [self._known(word) for word in args], *rest, **named)

    def _known(self, word: str) -> str:
        flag, equals, value = word.partition("=")
        if flag.startswith("--") and flag not in self._option_string_actions:
            for other in ("--" + flag[2:].replace("-", "_"), "--" + flag[2:].replace("_", "-")):
                if other in self._option_string_actions:
                    return other + equals + value
        return word


def parser(name: str, about: str, example: str) -> ArgumentParser:
    """A parser whose help ends with an example."""
    return Parser(
        prog=f"oneshot {name}",
        description=about,
        epilog=f"example:  {example}",
        formatter_class=DefaultHelpFormatter,
        default_env=False,
    )


def add_recipe(to: ArgumentParser, argv: Sequence[str], skip: Collection[str] = ()) -> None:
    """A preset, and every field of Config and Recipe but `skip`, whose defaults are those of the preset in `argv`."""
    to.add_argument(
        "--preset", type=str, default="paper", help=f"one of {', '.join(PRESETS)}; options given beside it win"
    )
    for kind in (Config, Recipe):
        to.add_class_arguments(kind, as_group=True, skip={name for name in skip if hasattr(kind, name)})
    values = flat(*preset(_preset_name(argv)))
    to.set_defaults({name: value for name, value in values.items() if name not in skip})


def _preset_name(argv: Sequence[str]) -> str:
    """The preset asked for, known before the other defaults are."""
    name = "paper"
    for word, after in zip(argv, [*argv[1:], ""], strict=True):
        if word.startswith("--preset="):
            name = word.partition("=")[2]
        elif word == "--preset":
            name = after
    return name


def add_machine(to: Any) -> None:
    to.add_argument("--device", type=str, default="auto", help="cpu, cuda, or auto")
    to.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all")
    add_data_dir(to)


def add_data_dir(to: Any) -> None:
    to.add_argument(
        "--data-dir",
        type=str | None,
        default=None,
        help="folder of data sets and tables (else $ONESHOT_DATA, else cache)",
    )


def add_cluster(to: Any, processes: str = "") -> None:
    where = "work on Ray: local, or HOST:PORT of a running cluster; one process a GPU, else one for --threads CPUs"
    to.add_argument("--cluster", type=str, default="", help=where)
    to.add_argument("--workers", type=int | None, default=None, help=f"{processes} so many on the cluster".strip())


@contextmanager
def joined(args: Any) -> Iterator[Cluster | None]:
    """The cluster that was asked for, if any; meanwhile, what is printed goes to the standard error, as Ray prints."""
    if args.workers is not None and args.workers < 1:
        raise ValueError(f"--workers must be at least 1, got {args.workers}")
    if not args.cluster:
        yield None
        return
    from oneshot.evaluators.actors import Cluster

    with (
        redirect_stdout(sys.stderr),
        Cluster(args.cluster, args.workers or 0, args.threads or 1, args.device) as cluster,
    ):
        print(f"cluster: {cluster.size} x {cluster.device}")
        yield cluster


def spread(make: Callable[[], Evaluator], cluster: Cluster | None, shard: int) -> Evaluator:
    """The evaluator that `make` makes: here, or in every process of the cluster, for `shard` architectures a time."""
    if cluster is None:
        return make()
    from oneshot.evaluators.cluster import ClusterEvaluator

    return ClusterEvaluator(make, cluster, shard)


def device(args: Any, cluster: Cluster | None = None) -> str:
    """The device that was asked for, or what the cluster has; ValueError where there is none such."""
    if cluster is not None:
        return cluster.device
    import torch

    if args.threads < 0:
        raise ValueError(f"--threads must be at least 0, got {args.threads}")
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        torch.empty(0, device=args.device)
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device {args.device!r} cannot be used: {str(error).splitlines()[0]}") from error
    return args.device


def every(space: Space) -> list[Arch]:
    """What `--all` means; ValueError where that is too many."""
    if not space.is_enumerable:
        raise ValueError(f"{space.name} has up to {space.size:,} architectures: too many for --all, use --sample N")
    return list(space)


def print_json(document: Any) -> None:
    json.dump(document, sys.stdout, indent=2, allow_nan=False)
    print()


def print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table for people; the first column is text, the others are numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console = Console(width=None if sys.stdout.isatty() else 120)
    console.print(table)


def print_rich(table: Any) -> None:
    """A table that fits a hundred columns where no terminal shows it."""
    from rich.console import Console

    Console(width=None if sys.stdout.isatty() else WIDTH).print(table)


def chosen(args: Any, *kinds: type) -> dict[str, Any]:
    """The arguments that are fields of these dataclasses; a command may leave some out."""
    from dataclasses import fields

    values: Mapping[str, Any] = args.as_dict()
    return {f.name: values[f.name] for kind in kinds for f in fields(kind) if f.name in values}

"""What several commands share: parsers, common options, output."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from oneshot.base.console import console
from oneshot.base.settings import nearest

if TYPE_CHECKING:
    from oneshot.evaluators.actors import Cluster
    from oneshot.evaluators.base import Evaluator
    from oneshot.space import Arch, Space

WIDTH = 100
"""Columns of what is printed to no terminal."""


class Parser(ArgumentParser):
    """Takes `--batch-size` and `--batch_size` alike; `owner` says what else an option may be called."""

    owner: Callable[[str], str] | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.aliases: dict[str, str] = {}
        """Options by what the help calls them."""

    def format_help(self, *arguments: Any, **named: Any) -> str:
        text = super().format_help(*arguments, **named)
        for alias, option in self.aliases.items():
            text = text.replace(option, alias)
        return text

    def parse_args(self, args: Sequence[str] | None = None, *rest: Any, **named: Any) -> Any:
        words = None if args is None else [self._known(word) for word in args]
        return super().parse_args(words, *rest, **named)

    def _known(self, word: str) -> str:
        flag, equals, value = word.partition("=")
        known = self._option_string_actions
        if not re.fullmatch(r"--[a-zA-Z][\w.-]*", flag) or flag in known:
            return word
        flag = self.aliases.get(flag, flag)
        spellings = flag, "--" + flag[2:].replace("-", "_"), "--" + flag[2:].replace("_", "-")
        found = next((other for other in spellings if other in known), None)
        if found is None and self.owner is not None:
            found = "--" + self.owner(flag[2:].replace("-", "_"))
        if found is None:
            raise ValueError(f"no option {flag}{nearest(flag, known)}")
        return found + equals + value


def parser(name: str, about: str, example: str) -> Parser:
    """A parser whose help ends with an example."""
    return Parser(
        prog=f"oneshot {name}",
        description=about,
        epilog=f"example:  {example}",
        formatter_class=DefaultHelpFormatter,
        default_env=False,
    )


def add_machine(to: Any) -> None:
    to.add_argument("--device", type=str, default="auto", help="cpu, cuda, or auto")
    to.add_argument("--threads", type=int, default=0, help="CPU threads, 0 for all")
    add_data_dir(to)


def add_accept_data(to: Any) -> None:
    differs = "go on although the data is not what the run was made with; the protocol then says what differs"
    to.add_argument("--accept-data", action="store_true", help=differs)


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

    return ClusterEvaluator(partial(_made_in_our_process, make), cluster, shard)


def _made_in_our_process(make: Callable[[], Evaluator]) -> Evaluator:
    """In a process that is the command line's own."""
    from oneshot.base.memory import keep_freed_memory

    keep_freed_memory()
    return make()


def device(args: Any, cluster: Cluster | None = None) -> str:
    """The device that was asked for, or what the cluster has; ValueError where there is none such."""
    if cluster is not None:
        return cluster.device
    import torch

    from oneshot.base.memory import keep_freed_memory

    if args.threads < 0:
        raise ValueError(f"--threads must be at least 0, got {args.threads}")
    keep_freed_memory()
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
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for i, column in enumerate(columns):
        table.add_column(column, justify="right" if i else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    print_rich(table, 120)


def print_rich(table: Any, width: int = WIDTH) -> None:
    """A table that fits a hundred columns where no terminal shows it."""
    console(width=width).print(table)


def fields_of(args: Any, kind: type) -> dict[str, Any]:
    """The arguments that are fields of a dataclass; a command may leave some out."""
    values: Mapping[str, Any] = args.as_dict()
    return {f.name: values[f.name] for f in fields(kind) if f.name in values}

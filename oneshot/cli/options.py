"""What several commands share: parsers, common options, output."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from jsonargparse import ArgumentParser, DefaultHelpFormatter

from oneshot.base.console import console
from oneshot.base.settings import nearest

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

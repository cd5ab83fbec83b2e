"""What several commands share: parsers, common options, output."""

from __future__ import annotations

import json
import re
import sys
from argparse import SUPPRESS, Action
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

from jsonargparse import ArgumentParser

from oneshot.base.console import console
from oneshot.base.settings import nearest
from oneshot.cli.help import HelpFormatter

WIDTH = 100
"""Columns of what is printed to no terminal."""


_is_building = False


class Built(Exception):
    """Instead of parsing, while parsers are only built."""

    def __init__(self, parser: Parser) -> None:
        super().__init__(parser.prog)
        self.parser = parser


@contextmanager
def building() -> Iterator[None]:
    """Inside, a command raises `Built` where it would parse its words."""
    global _is_building
    _is_building = True
    try:
        yield
    finally:
        _is_building = False


class Parser(ArgumentParser):
    """Takes `--batch-size` and `--batch_size` alike; `owner` says what else an option may be called."""

    owner: Callable[[str], str] | None = None

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self.aliases: dict[str, str] = {}
        """Options by what the help calls them."""
        self.repeated: set[str] = set()
        """Lists: options that may come several times, or with several words between commas."""
        self.common: set[str] = set()
        """The options that `--help` shows, where not all; `--help-all` shows every one."""
        self.add_argument("--help-all", action=HelpAll, help=SUPPRESS)

    def format_help(self, *arguments: Any, **named: Any) -> str:
        hidden = [action for action in self._actions if self.common and not self._is_common(action)]
        before = [action.help for action in hidden]
        for action in hidden:
            action.help = SUPPRESS
        text = super().format_help(*arguments, **named)
        for action, said in zip(hidden, before, strict=True):
            action.help = said
        for alias, option in self.aliases.items():
            text = text.replace(option, alias)
        more = sum(said != SUPPRESS for said in before)
        return text if not more else f"{text.rstrip()}\n\n--help-all shows {more} further options\n"

    def _is_common(self, action: Action) -> bool:
        names = {word.lstrip("-") for word in action.option_strings}
        return not names or any(name in self.common or name.split(".")[0] + "." in self.common for name in names)

    def error(self, message: str, *rest: Any, **named: Any) -> NoReturn:
        """One line, and no usage."""
        raise ValueError(" ".join(message.split()))

    def parse_args(self, args: Sequence[str] | None = None, *rest: Any, **named: Any) -> Any:
        if _is_building:
            raise Built(self)
        words = None if args is None else gathered([self._known(word) for word in args], self.repeated)
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


def offer(action: Any, words: Collection[str]) -> None:
    """Words that a shell may complete an option by, which may have others."""
    action.offers = words


def gathered(words: Sequence[str], repeated: Collection[str]) -> list[str]:
    """The words, but each of these options once, with a JSON list of all that is said of it."""
    found: dict[str, list[str]] = {}
    others, given = [], iter(words)
    for word in given:
        flag, equals, value = word.partition("=")
        if flag not in repeated:
            others.append(word)
            continue
        value = value if equals else next(given, "")
        found.setdefault(flag, []).extend(json.loads(value) if value.startswith("[") else value.split(","))
    return [f"{flag}={json.dumps(values)}" for flag, values in found.items()] + others


class HelpAll(Action):
    """Prints the help with all options."""

    def __init__(self, option_strings: Sequence[str], dest: str, **named: Any) -> None:
        super().__init__(option_strings, SUPPRESS, nargs=0, default=SUPPRESS, **{**named, "help": SUPPRESS})

    def __call__(self, parser: Any, *rest: Any, **named: Any) -> None:
        parser.common = set()
        parser.print_help()
        parser.exit()


def parser(name: str, about: str, example: str) -> Parser:
    """A parser whose help ends with an example."""
    return Parser(
        prog=f"oneshot {name}",
        description=about,
        epilog=f"example:  {example}",
        formatter_class=HelpFormatter,
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

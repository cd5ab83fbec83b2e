"""`oneshot --print-completion SHELL`: commands, options and their words, for a shell to complete."""

from __future__ import annotations

import argparse
import importlib
import inspect
from argparse import SUPPRESS, Action
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from oneshot.cli.options import Built, Parser, building

CHOOSES = (".name", ".names")
"""How options end on whose words further options depend."""


def script(shell: str, commands: dict[str, str]) -> str:
    """What a shell reads; ValueError for one that is not known, or where shtab is not installed."""
    try:
        import shtab  # pyright: ignore[reportMissingImports]
    except ImportError:
        raise ValueError("completion needs shtab: pip install 'oneshot-nas[completion]'") from None
    if shell not in shtab.SUPPORTED_SHELLS:
        raise ValueError(
            f"no completion for {shell or 'nothing'}; there is one for {', '.join(shtab.SUPPORTED_SHELLS)}"
        )
    return shtab.complete(tree(commands, shtab), shell)


def tree(commands: dict[str, str], shtab: Any) -> argparse.ArgumentParser:
    """One parser of all commands, with the options of all their components."""
    root = argparse.ArgumentParser("oneshot")
    root.add_argument("--version", action="store_true", help="print the version")
    root.add_argument("--print-completion", choices=shtab.SUPPORTED_SHELLS, help="print a script for this shell")
    under = root.add_subparsers()
    for name, what in commands.items():
        command = under.add_parser(name, help=what)
        actions = getattr(importlib.import_module(f"oneshot.cli.{name}"), "ACTIONS", None)
        if actions is None:
            _add_options(command, [name], shtab)
            continue
        below = command.add_subparsers()
        for action, does in actions.items():
            _add_options(below.add_parser(action, help=does), [name, action], shtab)
    return root


def _add_options(to: argparse.ArgumentParser, command: Sequence[str], shtab: Any) -> None:
    """All options of a command, also those of components that may be chosen."""
    common = built(command)
    chosen = [
        (flag, word)
        for action in common._actions
        for flag in action.option_strings
        if flag.endswith(CHOOSES)
        for word in _offers(action)
    ]
    parsers = [common, *_choosing(command, chosen)]
    seen: set[str] = {"-h", "--help"}
    for parser in parsers:
        for action in parser._actions:
            flags = [_shown(parser, flag) for flag in action.option_strings if flag not in ("-h", "--help")]
            if seen & {*flags} or (not flags and parser is not common) or (action.help == SUPPRESS and flags):
                continue
            if action.option_strings and not flags:
                continue
            seen |= {*flags}
            _copy(to, action, flags, shtab)
    plugin = to.add_argument("--plugin", help="a file of spaces, samplers, methods and more of one's own")
    plugin.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]


def _choosing(command: Sequence[str], chosen: Sequence[tuple[str, str]]) -> Iterator[Parser]:
    for flag, word in chosen:
        try:
            yield built([*command, flag.removesuffix(".name").removesuffix(".names"), word])
        except ValueError:  # of what does not go together
            continue


def built(words: Sequence[str]) -> Parser:
    """The parser of a command, which does nothing else."""
    with building():
        try:
            importlib.import_module(f"oneshot.cli.{words[0]}").main(list(words[1:]))
        except Built as found:
            return found.parser
    raise RuntimeError(f"{words[0]} parses nothing")


def _shown(parser: Parser, flag: str) -> str:
    """As the help has it."""
    return next((alias for alias, known in parser.aliases.items() if known == flag), flag).replace("_", "-")


def _copy(to: argparse.ArgumentParser, action: Action, flags: Sequence[str], shtab: Any) -> None:
    text = " ".join((action.help or "").replace("%", "%%").split())
    if action.nargs == 0:
        to.add_argument(*flags, action="store_true", help=text)
        return
    offered = _offers(action)
    kind = getattr(action, "_typehint", None) or action.type or str
    choices = offered if offered else ["true", "false"] if kind is bool else None
    names, nargs = flags or [action.dest], action.nargs if action.nargs in ("*", "+", "?") else None
    copied = to.add_argument(*names, nargs=nargs, choices=choices, help=text)
    if choices is None and (not flags or _is_of_files(kind)):
        copied.complete = shtab.FILE  # pyright: ignore[reportAttributeAccessIssue]


def _offers(action: Action) -> list[str]:
    return list(getattr(action, "offers", ()))


def _is_of_files(kind: Any) -> bool:
    """Words may be paths: of a data set, a table, a run."""
    kinds = [kind, *getattr(kind, "__args__", ())]
    return any(inspect.isclass(each) and issubclass(each, str | Path) for each in kinds)

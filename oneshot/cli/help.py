"""How the help of a command reads: common options first, hyphens, one line an option where it fits."""

from __future__ import annotations

from argparse import SUPPRESS, Action
from collections.abc import Iterable
from shutil import get_terminal_size
from typing import Any

from jsonargparse import DefaultHelpFormatter

WIDTH = 100
"""Columns at least."""
METAVARS = {"int": "N", "float": "X", "Path": "PATH", "bool": "true|false"}
"""What stands for a value of a type; a word for all others."""


class HelpFormatter(DefaultHelpFormatter):
    """Without types, and without defaults that say nothing."""

    def __init__(self, prog: str, **named: Any) -> None:
        super().__init__(prog, **{"max_help_position": 24, "width": max(WIDTH, get_terminal_size().columns), **named})

    def _get_help_string(self, action: Action) -> str:
        text = action.help or ""
        if action.required and action.option_strings:
            return f"{text} (required)"
        says = action.default not in (None, False, SUPPRESS, "") and action.option_strings and action.nargs != 0
        return f"{text} (default: %(default)s)" if says and "%(default)" not in text else text

    def _format_action_invocation(self, action: Action) -> str:
        if not action.option_strings:
            return super()._format_action_invocation(action)
        flag = action.option_strings[-1].replace("_", "-")
        short = [word for word in action.option_strings[:-1] if not word.startswith("--")]
        value = "" if action.nargs == 0 else " " + self._format_args(action, self._word(action))
        return ", ".join([*short, flag]) + value

    def _word(self, action: Action) -> str:
        kind = self._get_type_str(action) or ""
        return next((word for name, word in METAVARS.items() if name in kind.split(" ")[0]), "WORD")

    def _format_usage(self, usage: Any, actions: Iterable[Action], *rest: Any, **named: Any) -> str:
        needed = [a for a in actions if a.required or not a.option_strings]
        words = [a.metavar or a.dest if not a.option_strings else self._format_action_invocation(a) for a in needed]
        places = " ".join(word if isinstance(word, str) else " ".join(word) for word in words)
        return " ".join(f"usage: {self._prog} {places} [OPTION ...]".split()) + "\n\n"

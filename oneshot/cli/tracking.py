"""Where else a training shows itself: trackers by name, each with its own settings."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.base.settings import made
from oneshot.cli.configuration import add_settings
from oneshot.cli.options import Parser, gathered, offer
from oneshot.registry import TRACKERS

if TYPE_CHECKING:
    from oneshot.runs.trackers.base import Tracker

OPTION, ALIAS = "--tracker.names", "--tracker"
DEFAULT = ["tensorboard"]


def add_trackers(to: Parser, words: Sequence[str]) -> None:
    """The trackers that words choose, with their settings."""
    text = f"shows the training elsewhere, may be repeated: {', '.join(TRACKERS)}"
    offer(to.add_argument(OPTION, type=list[str], default=DEFAULT, help=text), list(TRACKERS))
    to.aliases[ALIAS] = OPTION
    to.repeated.add(OPTION)
    for name in _asked(words):
        if name in TRACKERS:  # what is not is told where it is made
            add_settings(to, f"tracker.{name}", f"tracker {name}", TRACKERS[name]())


def trackers_of(args: Any) -> dict[str, Tracker]:
    """Those that the arguments ask for, of the run folder --out; ValueError names what is unknown or not installed."""
    values, folder = args.tracker.as_dict(), Path(args.out)
    return {
        name: made(TRACKERS[name], values.get(name, {}), f"tracker {name}").make(folder)
        for name in dict.fromkeys(values["names"])
    }


def _asked(words: Sequence[str]) -> list[str]:
    known = [word.replace(ALIAS, OPTION, 1) if word.partition("=")[0] == ALIAS else word for word in words]
    first = next(iter(gathered(known, {OPTION})), "")
    return list(dict.fromkeys(json.loads(first.partition("=")[2]))) if first.startswith(f"{OPTION}=") else []

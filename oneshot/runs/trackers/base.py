"""What a tracker is, and how it is kept in step with a run folder."""

from __future__ import annotations

import importlib
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from oneshot.training.callbacks import Callback

if TYPE_CHECKING:
    from oneshot.runs.folder import RunFolder

RETRY_SECONDS = 60.0
"""After a failure a tracker is left alone for so long."""

Row = Mapping[str, Any]


class Tracker:
    """One run of another program, which shows what metrics.jsonl of one run folder holds.

    Whatever fails may raise: the training goes on, and `begin` is called again later.
    """

    def begin(self, configuration: Mapping[str, Any]) -> int:
        """Open the tracked run, new or as it was; after how many epochs the rows begin that it lacks."""
        raise NotImplementedError

    def log(self, rows: Sequence[Row]) -> None:
        """The metrics of the epochs that follow, in order, each with its `epoch`."""
        raise NotImplementedError

    def end(self, finished: bool) -> None:
        """The training is over, or stopped before its last epoch."""


class TrackerSettings(Protocol):
    def make(self, folder: Path) -> Tracker:
        """The tracker of a run folder, which may not be there yet; ValueError where its library is missing."""
        ...


class Tracked(Callback):
    """Tells a tracker of a training in a run folder; for the first process alone.

    After a stop it goes on in the same tracked run with the rows that it lacks. A failure is a warning, once, and what
    was missed is made up for as soon as the tracker answers again.
    """

    def __init__(self, name: str, tracker: Tracker, folder: RunFolder, epochs: int) -> None:
        self.name, self.tracker, self.folder, self.epochs = name, tracker, folder, epochs
        self._rows: list[Row] = []
        self._has = 0
        self._is_open = self._has_warned = False
        self._next = 0.0

    def begin(self, epoch: int) -> None:
        self._rows = list(self.folder.metrics)
        self._try(self._send)

    def epoch(self, row: Row) -> None:
        self._rows.append(dict(row))
        if time.monotonic() >= self._next:
            self._try(self._send)

    def end(self) -> None:
        self._try(self._send)
        if self._is_open:
            self._try(lambda: self.tracker.end(bool(self._rows) and self._rows[-1]["epoch"] == self.epochs))

    def _send(self) -> None:
        if not self._is_open:
            self._has = self.tracker.begin(self.folder.config)
            self._is_open = True
        missing = [row for row in self._rows if row["epoch"] > self._has]
        if missing:
            self.tracker.log(missing)
            self._has = missing[-1]["epoch"]

    def _try(self, act: Any) -> None:
        try:
            act()
        except Exception as error:
            self._is_open = False
            self._next = time.monotonic() + RETRY_SECONDS
            if not self._has_warned:
                self._has_warned = True
                what = " ".join(str(error).split()) or type(error).__name__
                warnings.warn(f"the tracker {self.name} fails, the training goes on: {what:.300}", stacklevel=2)


def numbers(row: Row) -> Iterator[tuple[str, float]]:
    """What a curve can show of a row: losses, accuracies, learning rate, seconds, each by its name."""
    for name, value in row.items():
        if name != "epoch" and isinstance(value, int | float):
            yield name, float(value)


def flat(configuration: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The values of a nested configuration by dotted names."""
    for name, value in configuration.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value


def library(name: str) -> Any:
    """The module of an extra of the same name; ValueError says how to install it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        if error.name is not None and error.name.split(".")[0] != name:
            raise
        raise ValueError(f"the tracker {name} needs {name}: pip install 'oneshot-nas[{name}]'") from None

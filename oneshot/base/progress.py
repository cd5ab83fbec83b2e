"""Progress with rates and remaining time: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, ClassVar, TextIO

from oneshot.base.console import console

LINE_SECONDS = 10.0


class Progress:
    """Counts `total` units of work; silent for the first two seconds where no terminal shows it.

    Within another one that a terminal shows, it is told in lines.
    """

    _has_bar: ClassVar[bool] = False

    def __init__(self, label: str, total: int, unit: str, stream: TextIO | None = None, quiet: bool = False) -> None:
        self.label, self.total, self.unit, self.quiet = label, total, unit, quiet
        self.stream = stream or sys.stderr
        self.done = self._first = 0
        self._start = self._next = time.monotonic()
        self._next += 2.0
        self._bar: Any = None

    def __enter__(self) -> Progress:
        if not self.quiet and self.stream.isatty() and not Progress._has_bar:
            from rich import progress

            columns = (
                progress.TextColumn("{task.description}", markup=False),
                progress.BarColumn(),
                progress.MofNCompleteColumn(),
                progress.TextColumn("{task.fields[facts]}", markup=False),
                progress.TimeElapsedColumn(),
                progress.TimeRemainingColumn(),
            )
            self._bar = progress.Progress(*columns, console=console(self.stream))
            self._bar.start()
            Progress._has_bar = True
            self._task = self._bar.add_task(self.label, total=self.total, facts="")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None):
        if self._bar is not None:
            self._bar.stop()
            Progress._has_bar = False
        elif kind is None and time.monotonic() - self._start > 2.0:
            self._line("")

    def expect(self, total: int, unit: str) -> None:
        """How much work there is, where that was not known from the start."""
        self.total, self.unit = total, unit
        if self._bar is not None:
            self._bar.update(self._task, total=total)

    def begin(self, done: int) -> None:
        """Work that an earlier run had finished: counted, but not in the rate."""
        self.done = self._first = done
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def advance(self, n: int = 1, **facts: float | str) -> None:
        self.done += n
        words = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in facts.items())
        if self._bar is not None:
            self._bar.update(self._task, completed=self.done, facts=f"{self.rate:.3g} {self.unit}/s  {words}")
        elif time.monotonic() >= self._next:
            self._line(words)
            self._next = time.monotonic() + LINE_SECONDS

    @property
    def rate(self) -> float:
        """Units of work a second, of this run alone."""
        return (self.done - self._first) / max(time.monotonic() - self._start, 1e-9)

    def _line(self, facts: str) -> None:
        if self.quiet or not self.total:
            return
        remaining = (self.total - self.done) / self.rate if self.rate else float("inf")
        parts = f"{self.label} {self.done}/{self.total} {self.unit}", f"{self.rate:.3g}/s", f"{remaining:.0f} s left"
        print("  ".join([*parts, facts]).rstrip(), file=self.stream, flush=True)

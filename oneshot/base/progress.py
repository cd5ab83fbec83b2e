"""Progress with rates and remaining time: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from collections import deque
from types import TracebackType
from typing import Any, ClassVar, TextIO

from oneshot.base.console import console

LINE_SECONDS = 10.0
WINDOW_SECONDS = 60.0
"""The rate is that of so long, so that a slow start is soon forgotten."""


def span(seconds: float) -> str:
    """A time in words: 50 s, 12 min, 3.5 h, 2.1 days."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172800 else f"{seconds / 86400:.1f} days"


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
        self._marks: deque[tuple[float, int]] = deque()
        self._bar: Any = None
        self._shown = 0.0

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
        self._marks.clear()
        if self._bar is not None:
            self._bar.update(self._task, completed=done)

    def advance(self, n: int = 1, **facts: float | str) -> None:
        self.done += n
        self._mark()
        words = "  ".join(f"{k} {v:.4g}" if isinstance(v, float) else f"{k} {v}" for k, v in facts.items())
        if self._bar is not None:
            self._shown = time.monotonic()
            self._bar.update(self._task, completed=self.done, facts=f"{self.rate:.3g} {self.unit}/s  {words}")
        elif time.monotonic() >= self._next:
            self._line(words)
            self._next = time.monotonic() + LINE_SECONDS

    @property
    def is_due(self) -> bool:
        """Whether what `advance` is told now would be seen by somebody: facts that cost something can wait for it."""
        return not self.quiet and time.monotonic() >= (self._next if self._bar is None else self._shown + 0.5)

    @property
    def rate(self) -> float:
        """Units of work a second, of this run's last minute."""
        now = time.monotonic()
        since, first = self._marks[0] if self._marks else (self._start, self._first)
        return (self.done - first) / max(now - since, 1e-9)

    def _mark(self) -> None:
        """Remember how far it was, once a second."""
        now = time.monotonic()
        if not self._marks:
            self._marks.append((self._start, self._first))
        if now - self._marks[-1][0] >= 1:
            self._marks.append((now, self.done))
            while len(self._marks) > 2 and now - self._marks[0][0] > WINDOW_SECONDS:
                self._marks.popleft()

    def _line(self, facts: str) -> None:
        if self.quiet or not self.total:
            return
        left = [f"{span((self.total - self.done) / self.rate)} left"] if self.rate and self.done < self.total else []
        parts = f"{self.label} {self.done}/{self.total} {self.unit}", f"{self.rate:.3g}/s", *left
        print("  ".join([*parts, facts]).rstrip(), file=self.stream, flush=True)

"""What a command asks, named and not opened yet, and what is opened."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from oneshot.cli.machine import Machine
    from oneshot.evaluators.base import Evaluator
    from oneshot.evaluators.store import Stored
    from oneshot.evaluators.table import TableEvaluator
    from oneshot.runs.config import Config
    from oneshot.space import Arch, Space

TOGETHER = 16
"""Architectures that go to a process, or into the file, together where nothing else is said: a stop loses so many."""


@dataclass(frozen=True)
class Opened:
    """An evaluator, what its networks' costs depend on, and the file that keeps what took work; None for no file."""

    evaluator: Evaluator
    path: Path | None
    size: Callable[[], dict[str, Any]] = dict
    chunk: int | Callable[[Sequence[Arch]], int] = TOGETHER
    config: Config | None = None

    @property
    def space(self) -> Space:
        return self.evaluator.space

    @property
    def table(self) -> TableEvaluator | None:
        from oneshot.evaluators.table import TableEvaluator

        return self.evaluator if isinstance(self.evaluator, TableEvaluator) else None

    def stored(self, **settings: Any) -> Stored:
        """Asks only for what the file does not hold, `chunk` at once unless the settings say otherwise."""
        from oneshot.evaluators.store import Stored

        if self.path is None:
            raise TypeError("nothing that it says is kept here")
        return Stored(self.evaluator, self.path, **{"chunk": self.chunk, **settings})


class Asked(Protocol):
    """Named, and not opened yet; `title` is what it is called."""

    @property
    def title(self) -> str: ...
    @property
    def space(self) -> Space: ...
    def open(self, machine: Machine) -> Opened: ...

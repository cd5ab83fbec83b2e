"""What a training leaves behind as it goes: metrics, checkpoints."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from torch import Tensor

from oneshot.base.files import writing_in
from oneshot.base.provenance import environment

if TYPE_CHECKING:
    from oneshot.training.place import Place

CHECKPOINT_SECONDS = float(os.environ.get("ONESHOT_CHECKPOINT_SECONDS", "10"))
"""Epochs shorter than this share a checkpoint."""
WITHIN_SECONDS = float(os.environ.get("ONESHOT_WITHIN_SECONDS", "60"))
"""Within an epoch the state is kept as often as this."""


State = Mapping[str, Tensor]


class Folder(Protocol):
    """Where it goes, a run folder: see there."""

    path: Path

    @property
    def commit(self) -> dict[str, Any] | None: ...
    def log(self, row: Mapping[str, Any]) -> None: ...
    def save(self, state: State, epoch: int, facts: Mapping[str, Any]) -> None: ...
    def save_within(self, state: State, epoch: int, place: Place, facts: Mapping[str, Any]) -> None: ...


class Recorder:
    """Writes the rows and states of a training that continues after `finished` of its `epochs`.

    `facts` of the training, such as its device, go into every commit. Until it is closed, no other process writes
    there: BlockingIOError where one does, or has since the state was read.
    """

    def __init__(self, folder: Folder, finished: int, epochs: int, facts: Mapping[str, Any]) -> None:
        self.folder, self.epochs, self.facts = folder, epochs, dict(facts)
        self._alone = ExitStack()
        self._alone.enter_context(writing_in(folder.path))
        commit = folder.commit
        if commit is not None and commit["epoch"] != finished:
            self._alone.close()
            raise BlockingIOError(f"{folder.path} has {commit['epoch']} epochs by now, not {finished}: start again")
        self._saved = time.monotonic()

    def __call__(self, row: Mapping[str, Any], state: Callable[[], State]) -> None:
        """A row to the folder; the state too, after the last epoch and when due."""
        self.folder.log(row)
        if row["epoch"] == self.epochs or time.monotonic() - self._saved >= CHECKPOINT_SECONDS:
            facts = {"seconds": row["seconds"], **self.facts, "environment": environment()}
            self.folder.save(state(), row["epoch"], facts)
            self._saved = time.monotonic()

    def within(self, epoch: int, place: Callable[[], Place], state: Callable[[], State]) -> None:
        """The state in the middle of the epoch that follows so many, when due."""
        if time.monotonic() - self._saved >= WITHIN_SECONDS:
            self.folder.save_within(state(), epoch, place(), self.facts)
            self._saved = time.monotonic()

    def close(self) -> None:
        self._alone.close()

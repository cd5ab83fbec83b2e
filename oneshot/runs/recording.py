"""What a training leaves behind as it goes: metrics, TensorBoard, checkpoints."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from torch import Tensor

from oneshot.base.provenance import environment

if TYPE_CHECKING:
    from oneshot.runs.folder import RunFolder

CHECKPOINT_SECONDS = float(os.environ.get("ONESHOT_CHECKPOINT_SECONDS", "10"))
"""Epochs shorter than this share a checkpoint."""


class Recorder:
    """Writes the rows and states of a training that continues after `finished` of its `epochs`.

    `facts` of the training, such as its device, go into every commit.
    """

    def __init__(self, folder: RunFolder, finished: int, epochs: int, facts: Mapping[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.epochs, self.facts = folder, epochs, dict(facts)
        self._board = SummaryWriter(str(folder.path / "tensorboard"), purge_step=finished + 1)
        self._saved = time.monotonic()

    def __call__(self, row: Mapping[str, Any], state: Callable[[], Mapping[str, Tensor]]) -> None:
        """A row to the folder, its numbers to TensorBoard; the state too, after the last epoch and when due."""
        self.folder.log(row)
        for name in row.keys() - {"epoch", "seconds", "phase"}:
            self._board.add_scalar(name, row[name], row["epoch"])
        if row["epoch"] == self.epochs or time.monotonic() - self._saved >= CHECKPOINT_SECONDS:
            facts = {"seconds": row["seconds"], **self.facts, "environment": environment()}
            self.folder.save(state(), row["epoch"], facts)
            self._saved = time.monotonic()

    def close(self) -> None:
        self._board.close()

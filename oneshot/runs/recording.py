"""What a training leaves behind as it goes: metrics, TensorBoard, checkpoints."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from oneshot.base.provenance import environment
from oneshot.runs.folder import RunFolder

CHECKPOINT_SECONDS = float(os.environ.get("ONESHOT_CHECKPOINT_SECONDS", "10"))
"""Epochs shorter than this share a checkpoint."""


class Recorder:
    """Writes the rows and states of a training on `device` that continues after `finished` of its `epochs`."""

    def __init__(self, folder: RunFolder, finished: int, epochs: int, device: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.folder, self.epochs, self.device = folder, epochs, device
        self._board = SummaryWriter(str(folder.path / "tensorboard"), purge_step=finished + 1)
        self._saved = time.monotonic()

    def __call__(self, row: Mapping[str, Any], state: Callable[[], Mapping[str, Tensor]]) -> None:
        """A row to the folder, its numbers to TensorBoard; the state too, after the last epoch and when due."""
        self.folder.log(row)
        for name in row.keys() - {"epoch", "seconds"}:
            self._board.add_scalar(name, row[name], row["epoch"])
        if row["epoch"] == self.epochs or time.monotonic() - self._saved >= CHECKPOINT_SECONDS:
            facts = {"seconds": row["seconds"], "device": self.device, "environment": environment()}
            self.folder.save(state(), row["epoch"], facts)
            self._saved = time.monotonic()

    def close(self) -> None:
        self._board.close()

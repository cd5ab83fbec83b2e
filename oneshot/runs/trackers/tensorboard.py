"""The metrics as TensorBoard reads them."""

from __future__ import annotations

import json
import os
import socket
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

from tensorboard.compat.proto.event_pb2 import Event, SessionLog  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.compat.proto.summary_pb2 import (
    Summary,  # pyright: ignore[reportAttributeAccessIssue]
    SummaryMetadata,  # pyright: ignore[reportAttributeAccessIssue]
)
from tensorboard.compat.proto.tensor_pb2 import TensorProto  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.compat.proto.types_pb2 import DT_STRING  # pyright: ignore[reportAttributeAccessIssue]
from tensorboard.summary.writer.record_writer import RecordWriter

from oneshot.base.files import naming
from oneshot.runs.trackers.base import Row, Tracker, numbers


@dataclass(frozen=True)
class TensorBoardSettings:
    """The folder tensorboard/ in the run folder."""

    def make(self, folder: Path) -> Tracker:
        return TensorBoard(folder / "tensorboard")


class TensorBoard(Tracker):
    """A file of events, which begins by saying that what others in its folder say no longer counts.

    Events are as far apart as the seconds of the training, so that its stops do not show. An epoch is in the file when
    a call returns: no thread writes it, so that an OSError comes where it belongs, and names the file.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._file: Any = None
        self._begun: float | None = None

    def begin(self, configuration: Mapping[str, Any]) -> int:
        self._close()
        self.folder.mkdir(exist_ok=True)
        before = {path.name for path in self.folder.iterdir()}
        stem = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        name = next(name for number in count() if (name := f"{stem}.{number}") not in before)
        self._path, self._begun = self.folder / name, None
        self._file = self._path.open("ab")
        self._records = RecordWriter(self._file)
        self._write(time.time(), file_version="brain.Event:2")
        self._write(time.time(), step=1, session_log=SessionLog(status=SessionLog.START))
        if not before:
            shown = [f"```\n{json.dumps(configuration, indent=2)}\n```".encode()]
            shape = {"dim": [{"size": 1}]}
            text = TensorProto(dtype=DT_STRING, string_val=shown, tensor_shape=shape)
            as_text = SummaryMetadata(plugin_data={"plugin_name": "text"})
            self._summary(time.time(), 0, [{"tag": "configuration", "metadata": as_text, "tensor": text}])
        return 0

    def log(self, rows: Sequence[Row]) -> None:
        if self._begun is None:
            self._begun = time.time() - rows[-1]["seconds"]
        for row in rows:
            values = [{"tag": name, "simple_value": value} for name, value in numbers(row)]
            self._summary(self._begun + row["seconds"], row["epoch"], values)

    def end(self, finished: bool) -> None:
        self._close()

    def _summary(self, at: float, step: int, values: Sequence[Mapping[str, Any]]) -> None:
        self._write(at, step=step, summary=Summary(value=[Summary.Value(**value) for value in values]))

    def _write(self, at: float, **what: Any) -> None:
        with naming(self._path):
            self._records.write(Event(wall_time=at, **what).SerializeToString())
            self._records.flush()

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # of what could not be written, as was said
                self._file.close()
            self._file = None

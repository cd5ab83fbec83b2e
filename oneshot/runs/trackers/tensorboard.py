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
        # TensorBoard takes a second to import
        from tensorboard.compat.proto import event_pb2, summary_pb2, tensor_pb2, types_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        self._close()
        self.folder.mkdir(exist_ok=True)
        before = {path.name for path in self.folder.iterdir()}
        stem = f"events.out.tfevents.{time.time():.0f}.{socket.gethostname()}.{os.getpid()}"
        name = next(name for number in count() if (name := f"{stem}.{number}") not in before)
        self._path, self._begun, self._events, self._summaries = self.folder / name, None, event_pb2, summary_pb2
        self._file = self._path.open("ab")
        self._records = RecordWriter(self._file)
        self._write(time.time(), file_version="brain.Event:2")
        start = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
        self._write(time.time(), step=1, session_log=start)
        if not before:
            shown = [f"```\n{json.dumps(configuration, indent=2)}\n```".encode()]
            shape = {"dim": [{"size": 1}]}
            text = tensor_pb2.TensorProto(dtype=types_pb2.DT_STRING, string_val=shown, tensor_shape=shape)
            as_text = summary_pb2.SummaryMetadata(plugin_data={"plugin_name": "text"})
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
        summary = self._summaries.Summary(value=[self._summaries.Summary.Value(**value) for value in values])
        self._write(at, step=step, summary=summary)

    def _write(self, at: float, **what: Any) -> None:
        with naming(self._path):
            self._records.write(self._events.Event(wall_time=at, **what).SerializeToString())
            self._records.flush()

    def _close(self) -> None:
        if self._file is not None:
            with suppress(OSError):  # of what could not be written, as was said
                self._file.close()
            self._file = None

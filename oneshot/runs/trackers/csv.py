"""The metrics as a table that any spreadsheet opens."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot.base.files import append_line, write_text
from oneshot.runs.trackers.base import Row, Tracker


@dataclass(frozen=True)
class CsvSettings:
    """The file metrics.csv in the run folder, one line an epoch."""

    def make(self, folder: Path) -> Tracker:
        return Csv(folder / "metrics.csv")


class Csv(Tracker):
    """Written anew whenever a training begins or a row has a new column, else one line longer."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._rows: list[Row] = []
        self._columns: list[str] = []

    def begin(self, configuration: Mapping[str, Any]) -> int:
        self._rows, self._columns = [], []
        return 0

    def log(self, rows: Sequence[Row]) -> None:
        self._rows += rows
        columns = list(dict.fromkeys([*self._columns, *(name for row in rows for name in row)]))
        if columns == self._columns:
            append_line(self.path, self._lines(rows))
            return
        self._columns = columns
        head = dict(zip(columns, columns, strict=True))
        write_text(self.path, self._lines([head, *self._rows]) + "\n")

    def _lines(self, rows: Sequence[Row]) -> str:
        text = io.StringIO()
        csv.DictWriter(text, self._columns, lineterminator="\n").writerows(rows)
        return text.getvalue().removesuffix("\n")

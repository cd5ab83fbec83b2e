"""Which row an architecture has: by its string, or by a key that isomorphic architectures share.

Keys are digests of fixed length in a column of their own, searched in a sorted array, so that opening a large table
parses no string and builds no dictionary.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cached_property
from typing import Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oneshot.space import Arch, Space

ROW_GROUP = 1 << 16
"""Rows of a file that are read together where a few are wanted."""

KEY_BYTES = 16
KEY_COLUMN = "hash"
KEY_TYPE = pa.binary(KEY_BYTES)
HEXADECIMAL = re.compile(rf"[0-9a-fA-F]{{{2 * KEY_BYTES}}}")

FEW = 1000
"""Up to so many rows are looked up one by one; for more, all strings of the table are read."""


@runtime_checkable
class Keyed(Protocol):
    """A space of which a table may measure several architectures as one: those of the same hash."""

    def graph_hash(self, arch: Arch) -> str:
        """`KEY_BYTES` bytes in hexadecimal, the same for isomorphic architectures."""
        ...


class Keys:
    """The keys of a table's rows, ascending or not; the first of equal ones counts."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        if column.null_count:
            raise ValueError(f"expected a key in every row, {column.null_count} of {len(column)} have none")
        self.values = np.concatenate([_digests(chunk) for chunk in column.chunks])

    def rows(self, keys: Sequence[bytes]) -> np.ndarray:
        """The row of each key, -1 where there is none."""
        wanted, order = packed(keys), self._order
        places = np.minimum(np.searchsorted(self.values, wanted, sorter=order), len(self.values) - 1)
        rows = places if order is None else order[places]
        return np.where(self.values[rows] == wanted, rows, -1)

    @cached_property
    def _order(self) -> np.ndarray | None:
        """The rows by ascending key; None where they are so already."""
        if np.all(self.values[:-1] <= self.values[1:]):
            return None
        return np.argsort(self.values, kind="stable")


class Index:
    """The architectures of a table, all rows or the chosen ones; a column is read when it is first needed."""

    def __init__(self, file: pq.ParquetFile, space: Space, chosen: np.ndarray | None = None) -> None:
        self.file = file
        self.space = space
        self.chosen = chosen
        self._groups: dict[int, pa.ChunkedArray] = {}

    @cached_property
    def strings(self) -> list[str]:
        strings = self._column("arch").to_pylist()
        return strings if self.chosen is None else [strings[row] for row in self.chosen]

    def spelled(self, rows: np.ndarray) -> list[str]:
        """The strings of some rows."""
        if len(rows) > FEW or "strings" in self.__dict__:
            return [self.strings[row] for row in rows]
        rows = rows if self.chosen is None else self.chosen[rows]
        groups = np.searchsorted(self._group_starts, rows, side="right") - 1
        return [
            self._group(int(g))[int(row - self._group_starts[g])].as_py() for row, g in zip(rows, groups, strict=True)
        ]

    def rows(self, archs: Sequence[Arch | str]) -> np.ndarray:
        """The row of each architecture, -1 where there is none."""
        if self._keys is None or not isinstance(self.space, Keyed):
            return np.fromiter((self._by_any_string(arch) for arch in archs), np.intp, len(archs))
        if len(archs) <= FEW:
            return self._by_key(archs, self._keys, self.space)
        strings = self._row_of_string
        rows = np.fromiter((strings.get(a, -1) if isinstance(a, str) else -1 for a in archs), np.intp, len(archs))
        others = np.flatnonzero(rows < 0)
        rows[others] = self._by_key([archs[int(i)] for i in others], self._keys, self.space)
        return rows

    @cached_property
    def _group_starts(self) -> np.ndarray:
        """The first row of each row group of the file."""
        parts = self.file.metadata
        return np.cumsum([0, *(parts.row_group(group).num_rows for group in range(parts.num_row_groups - 1))])

    def _group(self, group: int) -> pa.ChunkedArray:
        """The strings of a row group."""
        if group not in self._groups:
            self._groups[group] = self.file.read_row_group(group, ["arch"], use_threads=False).column("arch")
        return self._groups[group]

    @cached_property
    def _row_of_string(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.strings)}

    @cached_property
    def _keys(self) -> Keys | None:
        schema = self.file.schema_arrow
        if KEY_COLUMN not in schema.names or schema.field(KEY_COLUMN).type != KEY_TYPE:
            return None
        return Keys(self._column(KEY_COLUMN))

    @cached_property
    def _place(self) -> np.ndarray:
        """Of each row of the file its place among the chosen ones, -1 where it is none of them; the last is for -1."""
        place = np.full(self.file.metadata.num_rows + 1, -1)
        place[self.chosen] = np.arange(len(self.strings))
        return place

    def _column(self, name: str) -> pa.ChunkedArray:
        return self.file.read(columns=[name], use_threads=False).column(name)

    def _by_any_string(self, arch: Arch | str) -> int:
        row = self._row_of_string.get(arch, -1) if isinstance(arch, str) else -1
        if row >= 0:
            return row
        return self._row_of_string.get(self.space.format(self.space.parse(arch) if isinstance(arch, str) else arch), -1)

    def _by_key(self, archs: Sequence[Arch | str], keys: Keys, space: Keyed) -> np.ndarray:
        """By the key of the architecture, or that a string spells in hexadecimal."""

        def key(arch: Arch | str) -> bytes:
            if isinstance(arch, str) and HEXADECIMAL.fullmatch(arch):
                return bytes.fromhex(arch)
            return bytes.fromhex(space.graph_hash(self.space.parse(arch) if isinstance(arch, str) else arch))

        rows = keys.rows([key(arch) for arch in archs])
        return rows if self.chosen is None else self._place[rows]


def packed(keys: Sequence[bytes]) -> np.ndarray:
    """Keys as one array of fixed-length byte strings."""
    for key in keys:
        if len(key) != KEY_BYTES:
            raise ValueError(f"expected a key of {KEY_BYTES} bytes, got {len(key)}: {key!r}")
    return np.frombuffer(b"".join(keys), f"S{KEY_BYTES}")


def ordered(keys: Sequence[bytes], strings: Sequence[str]) -> tuple[np.ndarray | None, pa.Array]:
    """The rows by ascending key (None where they are so already), and the column of keys; ValueError names repeats."""
    if len(keys) != len(strings):
        raise ValueError(f"expected a key for each of {len(strings)} architectures, got {len(keys)}")
    values, order = packed(keys), None
    if not np.all(values[:-1] < values[1:]):
        order = np.argsort(values, kind="stable")
        values = values[order]
        for place in np.flatnonzero(values[1:] == values[:-1]):
            first, second = (int(row) for row in order[place : place + 2])
            raise ValueError(
                f"rows {first + 1} and {second + 1} have the same key {keys[first].hex()}: "
                f"{strings[first]!r} and {strings[second]!r}"
            )
    return order, pa.FixedSizeBinaryArray.from_buffers(KEY_TYPE, len(values), [None, pa.py_buffer(values.tobytes())])


def _digests(chunk: pa.Array) -> np.ndarray:
    """The bytes of an Arrow column of fixed length, not copied."""
    start = chunk.offset * KEY_BYTES
    return np.frombuffer(chunk.buffers()[1], np.uint8)[start : start + len(chunk) * KEY_BYTES].view(f"S{KEY_BYTES}")

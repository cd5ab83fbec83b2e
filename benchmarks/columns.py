"""Tables of foreign origin as a text column and numeric columns; errors name row and column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from oneshot.base.foreign import json_of

Array = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

METADATA_KEY = b"oneshot"
"""The file-level metadata of a Parquet table under which this project keeps one JSON document."""

ARCH_NAMES = ("arch", "architecture")
PARQUET = (".parquet", ".pq")
MOST_ROWS = 1 << 20
ROWS_A_BYTE = 10
"""A Parquet file of more rows than both allow holds one value for many: no table of different architectures."""
METADATA = {"space": str, "ceiling": str, "protocol": dict, "source": dict, "seeds": list}
"""What this project's document may hold, by type."""


@contextmanager
def intact(path: Path) -> Iterator[None]:
    """Whatever reading a Parquet file stumbles over is a ValueError of one line."""
    try:
        yield
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no Parquet file, or a damaged one: {' '.join(str(error).split())}") from None


def open_parquet(path: Path) -> pq.ParquetFile:
    """The Parquet file, its columns still unread; ValueError where it is none."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    with intact(path):
        file = pq.ParquetFile(path)
    if file.metadata.num_rows > max(MOST_ROWS, ROWS_A_BYTE * path.stat().st_size):
        raise ValueError(
            f"{path} is refused: a file of {path.stat().st_size:,} bytes promises {file.metadata.num_rows:,} rows"
        )
    return file


def read_metadata(file: pq.ParquetFile, path: Path) -> dict[str, Any]:
    """What this project wrote about the table; empty for a table of other origin."""
    text = (file.schema_arrow.metadata or {}).get(METADATA_KEY)
    if text is None:
        return {}
    try:
        metadata = json_of(text, "it")
    except ValueError:
        metadata = None
    if not isinstance(metadata, dict):
        raise ValueError(f"the metadata {METADATA_KEY.decode()!r} of {path} is not one JSON object")
    return checked_metadata(metadata, path)


def checked_metadata(metadata: dict[str, Any], path: Path | str) -> dict[str, Any]:
    """The same without what is null; ValueError where something that this project reads is of another type."""
    for name, kind in METADATA.items():
        value = metadata.get(name)
        if value is not None and not isinstance(value, kind):
            raise ValueError(f"the {name!r} that {path} says of itself must be a {kind.__name__}, got {value!r:.100}")
    return {name: value for name, value in metadata.items() if value is not None}


def architecture_strings(table: pa.Table, path: Path | str) -> list[str]:
    """The architecture column, by either of its names; errors name the table by its path, or in other words."""
    found = [name for name in ARCH_NAMES if name in table.column_names]
    if not found:
        raise ValueError(
            f"{path} has no column 'arch'; its columns are {listed(table.column_names)}; --arch-column names another"
        )
    strings = table.column(found[0]).to_pylist()
    for row, text in enumerate(strings, 1):
        if not isinstance(text, str) or not text:
            raise ValueError(f"row {row} of {path} has no architecture: expected a string, got {text!r}")
    return strings


def is_numeric(kind: pa.DataType) -> bool:
    """Whether values of this Arrow type are measurements."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)


def numeric_columns(table: pa.Table) -> list[str]:
    """The names of the columns that hold numbers, or text whose first cell is one (a typing error further down)."""
    return [
        f.name for f in table.schema if f.name not in ARCH_NAMES and (is_numeric(f.type) or _starts_as_number(table, f))
    ]


def as_floats(values: pa.ChunkedArray) -> Array:
    """A numeric column as float64, NaN where there is no value; pyarrow's own conversion would import pandas."""
    plain = not pa.types.is_decimal(values.type)
    parts = [np.from_dlpack(c) if plain and not c.null_count else np.array(c.to_pylist(), float) for c in values.chunks]
    return np.concatenate([np.empty(0), *(np.asarray(part, np.float64) for part in parts)])


def finite_numbers(table: pa.Table, column: str, path: Path | str) -> Array:
    """A column as float64; ValueError names the row and column of a gap, a NaN, an infinity or a text."""
    values = table.column(column)
    if is_numeric(values.type):
        numbers = as_floats(values)
        wrong = np.flatnonzero(~np.isfinite(numbers))
        if len(wrong):
            raise ValueError(
                f"row {wrong[0] + 1}, column {column!r} of {path}: expected a finite number, got "
                f"{values[int(wrong[0])].as_py()}"
            )
        return numbers
    numbers = np.empty(len(values))
    for row, value in enumerate(values.to_pylist()):
        numbers[row] = _number(value)
        if not np.isfinite(numbers[row]):
            raise ValueError(f"row {row + 1}, column {column!r} of {path}: expected a finite number, got {value!r}")
    return numbers


def first_repeat(strings: Iterable[str]) -> tuple[int, int] | None:
    """The rows (from 0) of the first string that occurs twice."""
    seen: dict[str, int] = {}
    for row, text in enumerate(strings):
        if seen.setdefault(text, row) != row:
            return seen[text], row
    return None


def first_few(names: Sequence[str], limit: int = 3) -> str:
    """A few of many names, for an error message."""
    return ", ".join(repr(name) for name in names[:limit]) + (f" and {len(names) - limit} more" * (len(names) > limit))


def listed(names: Sequence[str], limit: int = 20) -> str:
    """Names of columns for an error message, which is not endless."""
    return ", ".join(name[:100] for name in names[:limit]) + (f" and {len(names) - limit} more" * (len(names) > limit))


def _starts_as_number(table: pa.Table, field: pa.Field) -> bool:
    is_text = pa.types.is_string(field.type) or pa.types.is_large_string(field.type)
    return bool(is_text and len(table) and not np.isnan(_number(table.column(field.name)[0].as_py())))


def _number(value: object) -> float:
    try:
        return float(value)  # pyright: ignore[reportArgumentType]
    except (TypeError, ValueError):
        return float("nan")

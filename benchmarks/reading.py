"""Tables as people bring them: CSV of any separator, JSON, JSON lines, Parquet; the texts also gzipped.

JSON may be a list of records, `{"predictions": [records]}` with what else is said, `{architecture: accuracy}`, or
`{column: [values]}`.
"""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from oneshot.benchmarks.columns import (
    ARCH_NAMES,
    PARQUET,
    checked_metadata,
    intact,
    is_numeric,
    listed,
    open_parquet,
    read_metadata,
)

from oneshot.base.foreign import content_of, json_of

TEXTS = (".csv", ".tsv", ".json", ".jsonl", ".ndjson")
SEPARATORS = ",;\t"
HEAD = 1 << 16
"""Bytes among which the header of a CSV is sought."""


def is_table(path: Path) -> bool:
    """Whether the name is that of a table."""
    return _form(path) in (*TEXTS, *PARQUET)


def label_of(name: str) -> str:
    """A file's name without what says that it is a table."""
    path = Path(name)
    return name[: name.lower().rindex(_form(path))] if is_table(path) else name


def read_any(path: Path, arch_column: str | None = None) -> tuple[pa.Table, dict[str, Any]]:
    """A whole table, and its metadata; `arch_column` becomes the column `arch`, whatever else has that name.

    ValueError where it is none, or two of its columns have one name.
    """
    form = _form(path)
    if form in PARQUET:
        file = open_parquet(path)
        _check_distinct(file.schema_arrow.names, path)
        with intact(path):
            table, metadata = file.read(), read_metadata(file, path)
    elif form in (".csv", ".tsv"):
        table, metadata = _csv(content_of(path), path, arch_column), {}
    elif form in TEXTS:
        table, metadata = _json(content_of(path), path, lines=form != ".json")
    else:
        raise ValueError(f"expected a .parquet, {', '.join(TEXTS[:-2])} or .jsonl file (texts also .gz), got {path}")
    _check_distinct(table.column_names, path)
    return (table if arch_column is None else _with_archs(table, arch_column, path)), metadata


def _form(path: Path) -> str:
    name = path.name.lower()
    inner = Path(name.removesuffix(".gz")).suffix
    return inner if inner in TEXTS or not name.endswith(".gz") else ".gz"


def _with_archs(table: pa.Table, column: str, path: Path) -> pa.Table:
    if column not in table.column_names:
        raise ValueError(f"{path} has no column {column!r}; its columns are {listed(table.column_names)}")
    others = [name for name in table.column_names if name not in (column, *ARCH_NAMES)]
    return table.select([column, *others]).rename_columns([ARCH_NAMES[0], *others])


def _check_distinct(names: Sequence[str], path: Path) -> None:
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise ValueError(f"{path} has more than one column {twice[0]!r:.200}: expected each name once")


def _csv(content: bytes, path: Path, arch_column: str | None) -> pa.Table:
    """With the separator of its header; where that is no comma, numbers may have a decimal comma."""
    from pyarrow import csv as arrow

    header = content[:HEAD].decode("utf-8-sig", "replace").lstrip("\r\n").partition("\n")[0]
    try:
        separator = csv.Sniffer().sniff(header, SEPARATORS).delimiter
    except csv.Error:  # of a single column
        separator = ","
    texts = dict.fromkeys((*ARCH_NAMES, *([arch_column] if arch_column else [])), pa.string())

    def read(decimal: str) -> pa.Table:
        return arrow.read_csv(
            pa.BufferReader(content),
            parse_options=arrow.ParseOptions(delimiter=separator),
            convert_options=arrow.ConvertOptions(column_types=texts, decimal_point=decimal),
        )

    try:
        found = [read(".")] + ([] if separator == "," else [read(",")])
    except pa.ArrowException as error:
        raise ValueError(f"{path} is no well-formed CSV table: {' '.join(str(error).split())}") from None
    return max(found, key=lambda table: sum(is_numeric(field.type) for field in table.schema))


def _json(content: bytes, path: Path, lines: bool) -> tuple[pa.Table, dict[str, Any]]:
    document: Any
    if lines:
        rows = [(number, line) for number, line in enumerate(content.splitlines(), 1) if line.strip()]
        document = [json_of(line, f"line {number} of {path}") for number, line in rows]
    else:
        document = json_of(content, path)
    metadata = document if isinstance(document, dict) and "predictions" in document else {}
    found = metadata.get("predictions", document)
    try:
        columns = _columns(found)
        table = None if columns is None else pa.table(columns)
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise ValueError(f"what {path} holds is no table: {' '.join(str(error).split())}") from None
    if table is None:
        raise ValueError(
            f"{path} is no table: expected a list of objects, an object with that as 'predictions', or one of "
            "numbers by architecture"
        )
    return table, checked_metadata({key: value for key, value in metadata.items() if key != "predictions"}, path)


def _columns(found: Any) -> Mapping[str, Sequence[Any]] | None:
    """The columns of what a JSON document holds; None where it is no table."""
    if isinstance(found, list) and found and all(isinstance(row, dict) for row in found):
        names = list(dict.fromkeys(name for row in found for name in row))
        return {name: [row.get(name) for row in found] for name in names}
    if not isinstance(found, dict) or not found:
        return None
    if all(isinstance(value, list) for value in found.values()):
        return found
    if all(isinstance(value, int | float) and not isinstance(value, bool) for value in found.values()):
        return {"arch": list(found), "accuracy": [float(value) for value in found.values()]}
    return None

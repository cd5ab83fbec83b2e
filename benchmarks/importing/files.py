"""Foreign files become tables: recognised by what they hold, checked whole, written whole or not at all."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from oneshot.benchmarks.columns import (
    ARCH_NAMES,
    Array,
    architecture_strings,
    finite_numbers,
    first_few,
    numeric_columns,
)
from oneshot.benchmarks.importing import nasbench101, nasbench201
from oneshot.benchmarks.importing.roles import Roles, declare
from oneshot.benchmarks.index import KEY_COLUMN
from oneshot.benchmarks.origin import origin_of
from oneshot.benchmarks.reading import read_any
from oneshot.benchmarks.table import Benchmark, recognised, write, write_strings

from oneshot.base.files import writing
from oneshot.registry import SPACES
from oneshot.space import Arch, Space

NUMBERS = ("arch_index", "index")
"""Columns that number the architectures of a published table, so that others can refer to them."""
REPEATS = ("seed", "run")
"""Columns that tell several trainings of one architecture apart."""
NO_ROLES = Roles()


def import_any(
    source: str | Path,
    target: str | Path,
    space: Space | None = None,
    joined: Sequence[str | Path] = (),
    roles: Roles = NO_ROLES,
    arch_column: str | None = None,
    on_start: Callable[[int, str], None] = lambda count, unit: None,
    on_advance: Callable[[int], None] = lambda count: None,
) -> Benchmark:
    """Converts an official file of NAS-Bench-201, NATS-Bench or NAS-Bench-101, or any table of `benchmarks.reading`.

    `arch_column` is the column of architectures, where a table names it otherwise than `arch`. The columns of
    the tables `joined` are added to it, then `roles` say which are the truth, its ceiling and its seeds.
    ValueError says what is wrong and where, and nothing is written.
    `on_start` is told how much there is to do, and the unit in which `on_advance` is told what was done.
    """
    source, target = Path(source), Path(target)
    if not target.parent.is_dir():
        raise ValueError(f"there is no folder {target.parent} to write {target.name} in")
    with writing(target), tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / target.name if joined or roles else target
        if nasbench201.is_official(source):
            table = nasbench201.import_official(
                source, first, lambda count: on_start(count, "architectures"), lambda: on_advance(1)
            )
        elif nasbench101.is_official(source):
            on_start(source.stat().st_size if source.is_file() else 0, "bytes")
            table = nasbench101.import_official(source, first, on_advance)
        else:
            table = import_table(source, first, space, arch_column)
        if joined:
            table = join(table, [Path(each) for each in joined], first if roles else target)
        return declare(table, roles, target) if roles else table


def import_table(
    source: str | Path, target: str | Path, space: Space | None = None, arch_column: str | None = None
) -> Benchmark:
    """Converts a table with a column `arch` or `architecture`, or as named, into a benchmark file.

    Keeps every numeric column, and checks all of it first: each string is one of the space (by default the space that
    the table names, or that parses its first string), each number finite, no architecture has two results. Rows that
    repeat another exactly are dropped. ValueError names the row (the first is 1) and column, and nothing is written.
    """
    source = Path(source)
    table, metadata = read_any(source, arch_column)
    strings = architecture_strings(table, source)
    if not strings:
        raise ValueError(f"{source} has no rows")
    if space is None:
        named: Space | None = SPACES[metadata["space"]] if "space" in metadata else None
        space = named or recognised(strings[0])
    archs = [_parsed(space, text, row, source) for row, text in enumerate(strings, 1)]
    columns = {name: finite_numbers(table, name, source) for name in numeric_columns(table)}
    if not columns:
        raise ValueError(f"{source} has no numeric column; its columns are {', '.join(table.column_names)}")
    kept = _without_repeats(archs, columns, source)
    left_out = [name for name in table.column_names if name not in (*columns, *ARCH_NAMES)]
    metadata["source"] = origin_of(source, columns_left_out=left_out)
    return write(
        target, [archs[i] for i in kept], {name: values[kept] for name, values in columns.items()}, space, metadata
    )


def join(table: Benchmark, others: Sequence[Path], target: str | Path) -> Benchmark:
    """Writes the table with the numeric columns of others, NaN where they have no row for an architecture.

    Rows find each other by `arch`, `hash`, or the published number of an architecture. Where another table has one row
    a training (column `seed` or `run`), its columns become one a seed: `NAME_seed777`.
    """
    columns = {name: table.values(name) for name in table.columns}
    for path in others:
        more, _ = read_any(path)
        rows = _rows_in(table, more, path)
        for name, values in _by_repeat(more, path).items():
            filled = np.full(len(table), np.nan)
            kept = ~np.isnan(values)
            _fill(filled, rows[kept], values[kept], name, path)
            if name in columns and not np.array_equal(columns[name], filled, equal_nan=True):
                raise ValueError(f"{table.name} has another column {name!r} than {path}")
            columns[name] = filled
    metadata = {**table.metadata, "joined": [origin_of(path) for path in others]}
    return write_strings(target, table.strings, columns, table.space, metadata, table.keys)


def _rows_in(table: Benchmark, more: pa.Table, path: Path) -> np.ndarray:
    """The row of the table that each row of another one is about."""
    if any(name in more.column_names for name in ARCH_NAMES):
        return table.rows_of(architecture_strings(more, path))
    if table.keys is not None and KEY_COLUMN in more.column_names:
        hashes = more.column(KEY_COLUMN).to_pylist()
        return table.rows_of([each.hex() if isinstance(each, bytes) else str(each) for each in hashes])
    shared = [name for name in NUMBERS if name in more.column_names and name in table.columns]
    if not shared:
        raise ValueError(
            f"{path} has none of the columns by which its rows could find those of {table.name}: expected arch, "
            f"{KEY_COLUMN} or {', '.join(NUMBERS)}, its columns are {first_few(more.column_names, 8)}"
        )
    row_of = {number: row for row, number in enumerate(table.values(shared[0]).tolist())}
    numbers = finite_numbers(more, shared[0], path).tolist()
    unknown = [row for row, number in enumerate(numbers) if number not in row_of]
    if unknown:
        wrong = f"row {unknown[0] + 1} of {path}: {table.name} has no {shared[0]} {numbers[unknown[0]]:g}"
        raise ValueError(wrong)
    return np.array([row_of[number] for number in numbers])


def _by_repeat(more: pa.Table, path: Path) -> dict[str, Array]:
    """The measured columns, one a seed where the rows are trainings; NaN in the rows of other seeds."""
    names = [name for name in numeric_columns(more) if name not in (*NUMBERS, *REPEATS, KEY_COLUMN)]
    if not names:
        raise ValueError(f"{path} has no numeric column to join; its columns are {first_few(more.column_names, 8)}")
    columns = {name: finite_numbers(more, name, path) for name in names}
    repeat = next((name for name in REPEATS if name in more.column_names), None)
    if repeat is None:
        return columns
    which = finite_numbers(more, repeat, path).astype(int)
    return {
        f"{name}_{repeat}{seed}": np.where(which == seed, values, np.nan)
        for name, values in columns.items()
        for seed in np.unique(which)
    }


def _fill(filled: Array, rows: np.ndarray, values: Array, name: str, path: Path) -> None:
    if len(np.unique(rows)) != len(rows):
        raise ValueError(f"{path} has two values of {name!r} for one architecture")
    filled[rows] = values


def _without_repeats(archs: Sequence[Arch], columns: Mapping[str, Array], path: Path) -> list[int]:
    first: dict[Arch, int] = {}
    for row, arch in enumerate(archs):
        before = first.setdefault(arch, row)
        if before == row:
            continue
        for name, values in columns.items():
            if values[row] != values[before]:
                raise ValueError(
                    f"rows {before + 1} and {row + 1} of {path} are the same architecture with different values of "
                    f"{name!r}: {values[before]} and {values[row]}"
                )
    return list(first.values())


def _parsed(space: Space, text: str, row: int, path: Path) -> Arch:
    try:
        return space.parse(text)
    except ValueError as error:
        raise ValueError(f"row {row} of {path}: {error}") from None

"""Benchmark: a search space and a table of measured results.

The file is Parquet: a column `arch` of the space's strings, and numeric columns of measurements, one row an
architecture. The file-level metadata `oneshot` holds one JSON document:
`{"space": name in the catalogue, "truth": column, "ceiling": column, "protocol": {...}, ...}`; all of it is optional
when opening, so that tables of other origin work as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.columns import (
    ARCH_NAMES,
    METADATA_KEY,
    Array,
    architecture_strings,
    as_floats,
    finite_numbers,
    first_repeat,
    is_numeric,
    numeric_columns,
    open_parquet,
    read_any,
    read_metadata,
    some,
)
from oneshot.files import replacing
from oneshot.lookup import find_file
from oneshot.space import Arch, Space
from oneshot.spaces import SPACES, space_named

if TYPE_CHECKING:
    import pandas as pd

SHIPPED = Path(__file__).parent / "data"
HINT = "`oneshot benchmark create` makes a table, `oneshot benchmark import` converts a published one"


class Benchmark:
    """A search space and a table of measured columns; a column is read when it is first asked for."""

    def __init__(self, path: Path, space: Space, metadata: Mapping[str, Any], rows: np.ndarray | None = None) -> None:
        self.path = path
        self.space = space
        self.metadata = dict(metadata)
        self._rows = rows
        self._values: dict[str, Array] = {}

    @classmethod
    def open(cls, path: str | Path, space: Space | None = None) -> Benchmark:
        """The table in a Parquet file; without a space it is the one that the file names, or whose strings it holds."""
        path = Path(path)
        file = open_parquet(path)
        if "arch" not in file.schema_arrow.names:
            raise ValueError(f"{path} has no column 'arch'; its columns are {', '.join(file.schema_arrow.names)}")
        metadata = read_metadata(file, path)
        if space is None and "space" in metadata:
            space = space_named(metadata["space"])
        first = next((batch[0][0].as_py() for batch in file.iter_batches(1, columns=["arch"])), None)
        if first is None:
            raise ValueError(f"{path} has no rows")
        if space is not None:
            space.parse(first)
        return cls(path, space or recognised(first), metadata)

    @property
    def name(self) -> str:
        return self.path.stem

    @cached_property
    def sha256(self) -> str:
        """The digest of the file, so that a report says which table it was scored against."""
        return _sha256(self.path)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The measured columns."""
        return tuple(field.name for field in self._file.schema_arrow if is_numeric(field.type))

    @cached_property
    def strings(self) -> list[str]:
        """The architectures as the table writes them."""
        strings = self._file.read(columns=["arch"]).column("arch").to_pylist()
        return strings if self._rows is None else [strings[row] for row in self._rows]

    @cached_property
    def archs(self) -> list[Arch]:
        """The architectures, in the order of the table."""
        return [self.space.parse(text) for text in self.strings]

    def __len__(self) -> int:
        return self._file.metadata.num_rows if self._rows is None else len(self._rows)

    def __contains__(self, arch: Arch | str) -> bool:
        return self._string(arch) in self._index

    def values(self, column: str) -> Array:
        """A measured column, float64, NaN where nothing was measured; ValueError lists the columns."""
        if column not in self.columns:
            raise ValueError(f"{self.name} has no column {column!r}; its columns are {', '.join(self.columns)}")
        if column not in self._values:
            read = as_floats(self._file.read(columns=[column], use_threads=False).column(column))
            values = read if self._rows is None else read[self._rows]
            values.flags.writeable = False
            self._values[column] = values
        return self._values[column]

    def rows_of(self, archs: Sequence[Arch | str]) -> np.ndarray:
        """The row of each architecture; ValueError names some that the table does not have."""
        rows = np.fromiter((self._row(arch) for arch in archs), np.intp, len(archs))
        unknown = [self._string(archs[int(i)]) for i in np.flatnonzero(rows < 0)]
        if unknown:
            raise ValueError(
                f"{len(unknown)} of {len(archs)} architectures are not among the {len(self)} of {self.name} "
                f"({self.space.name}): {some(unknown)}"
            )
        return rows

    def row(self, arch: Arch | str) -> dict[str, float]:
        """What was measured of one architecture."""
        row = int(self.rows_of([arch])[0])
        return {column: float(self.values(column)[row]) for column in self.columns}

    def query(self, archs: Sequence[Arch | str], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A frame with `arch` and the measured columns, one row an architecture, in the order asked for."""
        import pandas as pd

        rows = self.rows_of(archs)
        wanted = {column: self.values(column)[rows] for column in (self.columns if columns is None else columns)}
        return pd.DataFrame({"arch": [self.strings[row] for row in rows], **wanted})

    def within(self, space: Space) -> Benchmark:
        """The rows whose string the other space parses, as its benchmark; ValueError where there are none."""
        if space == self.space:
            return self
        rows = np.flatnonzero([_parses(space, text) for text in self.strings])
        if not len(rows):
            raise ValueError(f"{self.name} holds architectures of {self.space.name}, none of {space.name}")
        return Benchmark(self.path, space, self.metadata, rows if self._rows is None else self._rows[rows])

    @property
    def truth(self) -> str | None:
        """The column that the table itself declares to be the truth."""
        return self.metadata.get("truth")

    def default_truth(self) -> str:
        """The declared truth, else the first test accuracy of the longest training, such as `cifar10_test_200`."""
        if self.truth is not None:
            return self.truth
        matches = [m for m in (re.fullmatch(r"(.*_)?test(_accuracy)?(_(\d+))?", c) for c in self.columns) if m]
        if not matches:
            raise ValueError(
                f"{self.name} declares no truth; say which of its columns it is: {', '.join(self.columns)}"
            )
        return max(matches, key=lambda match: int(match[4] or 0)).string

    def default_ceiling(self, truth: str) -> str | None:
        """A second measurement of the same networks: the declared one, else `X_valid_Y` for the truth `X_test_Y`."""
        if truth == self.truth and "ceiling" in self.metadata:
            return self.metadata["ceiling"]
        valid = re.sub(r"(^|_)test(_|$)", r"\1valid\2", truth)
        return valid if valid != truth and valid in self.columns else None

    @cached_property
    def _file(self) -> pq.ParquetFile:
        return open_parquet(self.path)

    @cached_property
    def _index(self) -> dict[str, int]:
        return {text: row for row, text in enumerate(self.strings)}

    def _string(self, arch: Arch | str) -> str:
        if not isinstance(arch, str):
            return self.space.format(arch)
        return arch if arch in self._index else self.space.format(self.space.parse(arch))

    def _row(self, arch: Arch | str) -> int:
        return self._index.get(self._string(arch), -1)


def find(name_or_path: str | Path, data_dir: str | Path | None = None, space: Space | None = None) -> Benchmark:
    """The benchmark of a name (NAME.parquet in the data folder, else among what ships) or in a file."""
    return Benchmark.open(find_file(name_or_path, ".parquet", data_dir, SHIPPED, HINT), space)


def recognised(text: str) -> Space:
    """The most general space of the catalogue that parses this string."""
    for space in SPACES.values():
        if _parses(space, text):
            return space
    raise ValueError(f"no known search space has the architecture {text!r}; known are {', '.join(SPACES)}")


def write(
    path: str | Path,
    archs: Sequence[Arch],
    columns: Mapping[str, Sequence[float] | np.ndarray],
    space: Space,
    metadata: Mapping[str, Any],
) -> Benchmark:
    """Writes a benchmark whole or not at all, and opens it; `metadata` is what the head of this module describes."""
    strings = [space.format(arch) for arch in archs]
    if repeat := first_repeat(strings):
        raise ValueError(f"architecture {strings[repeat[0]]} comes twice, in rows {repeat[0] + 1} and {repeat[1] + 1}")
    arrays: dict[str, np.ndarray] = {name: np.asarray(values) for name, values in columns.items()}
    for name, values in arrays.items():
        if values.shape != (len(strings),) or values.dtype.kind not in "iuf":
            raise ValueError(
                f"column {name!r} needs one number for each of {len(strings)} architectures, "
                f"got shape {values.shape} of {values.dtype}"
            )
    for key in ("truth", "ceiling"):
        if metadata.get(key) is not None and metadata[key] not in arrays:
            raise ValueError(f"the {key} {metadata[key]!r} is none of the columns {', '.join(arrays)}")
    document = json.dumps({**metadata, "space": space.name})
    table = pa.table({"arch": pa.array(strings, pa.string()), **{name: pa.array(a) for name, a in arrays.items()}})
    with replacing(Path(path)) as temporary:
        pq.write_table(table.replace_schema_metadata({METADATA_KEY: document}), temporary, compression="zstd")
    return Benchmark.open(path, space)


def import_table(source: str | Path, target: str | Path, space: Space | None = None) -> Benchmark:
    """Converts a CSV or Parquet table with a column `arch` or `architecture` into a benchmark file.

    Keeps every numeric column, and checks all of it first: each string is one of the space (by default the space that
    the table names, or that parses its first string), each number finite, no architecture has two results. Rows that
    repeat another exactly are dropped. ValueError names the row (the first is 1) and column, and nothing is written.
    """
    from datetime import UTC, datetime

    from oneshot.provenance import version

    source = Path(source)
    table, metadata = read_any(source)
    strings = architecture_strings(table, source)
    if not strings:
        raise ValueError(f"{source} has no rows")
    if space is None:
        space = space_named(metadata["space"]) if "space" in metadata else recognised(strings[0])
    archs = [_parsed(space, text, row, source) for row, text in enumerate(strings, 1)]
    columns = {name: finite_numbers(table, name, source) for name in numeric_columns(table)}
    if not columns:
        raise ValueError(f"{source} has no numeric column; its columns are {', '.join(table.column_names)}")
    kept = _without_repeats(archs, columns, source)
    provenance = {
        "file": source.name,
        "sha256": _sha256(source),
        "importer": f"oneshot-nas {version('oneshot-nas')}",
        "date": datetime.now(UTC).date().isoformat(),
        "columns_left_out": [name for name in table.column_names if name not in (*columns, *ARCH_NAMES)],
    }
    chosen = {name: values[kept] for name, values in columns.items()}
    return write(target, [archs[i] for i in kept], chosen, space, {**metadata, "source": provenance})


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


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _parsed(space: Space, text: str, row: int, path: Path) -> Arch:
    try:
        return space.parse(text)
    except ValueError as error:
        raise ValueError(f"row {row} of {path}: {error}") from None


def _parses(space: Space, text: str) -> bool:
    try:
        space.parse(text)
    except ValueError:
        return False
    return True

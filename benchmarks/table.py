"""Benchmark: a search space and a table of measured results.

The file is Parquet: a column `arch` of the space's strings, and numeric columns of measurements, one row an
architecture. The file-level metadata `oneshot` holds one JSON document: `{"space": name in the catalogue,
"truth": column, "ceiling": column, "truth_seeds": {seed: column}, "protocol": {...}, ...}`; all of it is optional when
opening, so that tables of other origin work as they are. Where one row stands for several architectures, a column
`hash` (16 bytes, ascending) holds the key that they share (`oneshot.benchmarks.index`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from oneshot.benchmarks.columns import (
    METADATA_KEY,
    Array,
    as_floats,
    first_few,
    first_repeat,
    intact,
    is_numeric,
    listed,
    open_parquet,
    read_metadata,
)
from oneshot.benchmarks.index import KEY_COLUMN, ROW_GROUP, Index, ordered
from oneshot.benchmarks.origin import sha256

from oneshot.base.files import replacing
from oneshot.base.html import html_table
from oneshot.base.lookup import find_file
from oneshot.registry import SPACES
from oneshot.space import Arch, Space

if TYPE_CHECKING:
    import pandas as pd

SHIPPED = Path(__file__).parent / "data"
TEST_ACCURACY = re.compile(r"(.*_)?test(_accuracy)?(_\d+)?")
"""What may be the truth of a table that declares none; a number at its end may be epochs, or a seed."""
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
            raise ValueError(_no_archs(file.schema_arrow.names, path))
        metadata = read_metadata(file, path)
        if space is None and "space" in metadata:
            space = SPACES[metadata["space"]]
        with intact(path):
            first = next((batch[0][0].as_py() for batch in file.iter_batches(1, columns=["arch"])), None)
        if first is None:
            raise ValueError(f"{path} has no rows")
        if not isinstance(first, str):
            raise ValueError(f"row 1 of {path} has no architecture: expected a string, got {first!r:.100}")
        if space is not None:
            space.parse(first)
        return cls(path, space or recognised(first), metadata)

    @property
    def name(self) -> str:
        return self.path.stem

    def __repr__(self) -> str:
        return f"<Benchmark {self.name}: {len(self):,} architectures of {self.space.name}>"

    def _repr_html_(self) -> str:
        truth = self.truth or ", ".join(self.truth_candidates) or "none is named"
        rows = {"search space": self.space.name, "architectures": f"{len(self):,}", "truth": truth}
        ceiling = self.default_ceiling(self.truth) if self.truth else None
        rows |= {"second measurement": ceiling} if ceiling else {}
        return html_table([], [[name, str(value)] for name, value in rows.items()], f"columns: {self._listed}")

    @cached_property
    def sha256(self) -> str:
        """The digest of the file, so that a report says which table it was scored against."""
        return sha256(self.path)

    @cached_property
    def columns(self) -> tuple[str, ...]:
        """The measured columns."""
        return tuple(field.name for field in self._file.schema_arrow if is_numeric(field.type))

    @cached_property
    def strings(self) -> list[str]:
        """The architectures as the table writes them."""
        return self._index.strings

    @cached_property
    def archs(self) -> list[Arch]:
        """The architectures, in the order of the table."""
        return [self.space.parse(text) for text in self.strings]

    def __len__(self) -> int:
        return self._file.metadata.num_rows if self._rows is None else len(self._rows)

    def __contains__(self, arch: Arch | str) -> bool:
        return bool(self._index.rows([arch])[0] >= 0)

    def values(self, column: str) -> Array:
        """A measured column, float64, NaN where nothing was measured; ValueError lists the columns."""
        if column not in self.columns:
            raise ValueError(f"{self.name} has no column {column!r}; its columns are {self._listed}")
        if column not in self._values:
            with intact(self.path):
                read = as_floats(self._file.read(columns=[column], use_threads=False).column(column))
            values = read if self._rows is None else read[self._rows]
            values.flags.writeable = False
            self._values[column] = values
        return self._values[column]

    def rows_of(self, archs: Sequence[Arch | str]) -> np.ndarray:
        """The row of each architecture; ValueError names some that the table does not have.

        In a table with keys that is the row of their key, and a string may be the key itself in hexadecimal.
        """
        rows = self._index.rows(archs)
        missing = [archs[int(i)] for i in np.flatnonzero(rows < 0)]
        if missing:
            unknown = [arch if isinstance(arch, str) else self.space.format(arch) for arch in missing]
            raise ValueError(
                f"{len(unknown)} of {len(archs)} architectures are not among the {len(self)} of {self.name} "
                f"({self.space.name}): {first_few(unknown)}"
            )
        return rows

    def row(self, arch: Arch | str, columns: Sequence[str] | None = None) -> dict[str, float]:
        """What was measured of one architecture, in all columns or in these."""
        row = int(self.rows_of([arch])[0])
        return {column: float(self.values(column)[row]) for column in (self.columns if columns is None else columns)}

    def query(self, archs: Sequence[Arch | str], columns: Sequence[str] | None = None) -> pd.DataFrame:
        """A frame with `arch`, as the table writes it, and the measured columns; one row an architecture, in order."""
        import pandas as pd

        rows = self.rows_of(archs)
        wanted = {column: self.values(column)[rows] for column in (self.columns if columns is None else columns)}
        return pd.DataFrame({"arch": self._index.spelled(rows), **wanted})

    def within(self, space: Space) -> Benchmark:
        """The rows whose string the other space parses, as its benchmark; ValueError where there are none."""
        if space == self.space:
            return self
        rows = np.flatnonzero([_parses(space, text) for text in self.strings])
        if not len(rows):
            raise ValueError(f"{self.name} holds architectures of {self.space.name}, none of {space.name}")
        return Benchmark(self.path, space, self.metadata, rows if self._rows is None else self._rows[rows])

    @property
    def keys(self) -> list[bytes] | None:
        """The key of every row, of a table that has keys."""
        if KEY_COLUMN not in self._file.schema_arrow.names:
            return None
        keys = self._file.read(columns=[KEY_COLUMN]).column(KEY_COLUMN).to_pylist()
        return keys if self._rows is None else [keys[row] for row in self._rows]

    @property
    def truth(self) -> str | None:
        """The column that the table itself declares to be the truth."""
        truth = self.metadata.get("truth")
        if truth is not None and truth not in self.columns:
            raise ValueError(f"{self.path} declares the truth {truth!r}, which is none of its columns {self._listed}")
        return truth

    @property
    def truth_candidates(self) -> tuple[str, ...]:
        """The test accuracies by their names, such as `test`, `digits_test`, `cifar10_test_200`."""
        return tuple(column for column in self.columns if TEST_ACCURACY.fullmatch(column))

    def default_truth(self) -> str:
        """The declared truth, else the one test accuracy that the table has; ValueError lists several."""
        if self.truth is not None:
            return self.truth
        candidates = self.truth_candidates
        if len(candidates) == 1:
            return candidates[0]
        if not candidates:
            raise ValueError(f"{self.name} declares no truth; say which of its columns it is: {self._listed}")
        raise ValueError(
            f"{self.name} declares no truth, and {', '.join(candidates)} could each be it; say which (--truth COLUMN, "
            "also of `oneshot benchmark import`, which writes it into the table)"
        )

    def default_ceiling(self, truth: str) -> str | None:
        """A second measurement of the same networks: the declared one, else the truth's name with `valid[ation]`."""
        if truth == self.truth and self.metadata.get("ceiling") is not None:
            return self.metadata["ceiling"]
        twins = (re.sub(r"(^|_)test(_|$)", rf"\1{word}\2", truth) for word in ("valid", "validation"))
        return next((twin for twin in twins if twin != truth and twin in self.columns), None)

    @property
    def truth_seeds(self) -> dict[int, str]:
        """The columns of single trainings that the table declares to be those of its truth, by their seed."""
        seeds = self.metadata.get("truth_seeds", {})
        if not isinstance(seeds, dict) or not all(seed.isdecimal() and seeds[seed] in self.columns for seed in seeds):
            raise ValueError(f"{self.path} declares the seeds {seeds!r:.80}: expected a column for each seed")
        return {int(seed): column for seed, column in seeds.items()}

    def seed_columns(self, column: str) -> dict[int, str]:
        """The columns of single trainings of a measured one, by seed: `COLUMN_seedN`, `COLUMN_runN`, or as declared."""
        found = dict(self.truth_seeds) if column == self.truth else {}
        for kind in ("seed", "run"):
            for single in (re.fullmatch(rf"{re.escape(column)}_{kind}(\d+)", name) for name in self.columns):
                if single:
                    found.setdefault(int(single[1]), single.string)
        return found

    @property
    def _listed(self) -> str:
        return ", ".join(self.columns)

    @cached_property
    def _file(self) -> pq.ParquetFile:
        return open_parquet(self.path)

    @cached_property
    def _index(self) -> Index:
        return Index(self._file, self.space, self._rows)


def find_table(name_or_path: str | Path, data_dir: str | Path | None = None, space: Space | None = None) -> Benchmark:
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
    return write_strings(path, [space.format(arch) for arch in archs], columns, space, metadata)


def write_strings(
    path: str | Path,
    strings: Sequence[str],
    columns: Mapping[str, Sequence[float] | np.ndarray],
    space: Space,
    metadata: Mapping[str, Any],
    keys: Sequence[bytes] | None = None,
) -> Benchmark:
    """The same for architectures as `space.format` writes them; with `keys`, 16 bytes each, in the order of these."""
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
    head: dict[str, Any] = {"arch": pa.array(strings, pa.string())}
    if keys is not None:
        order, head[KEY_COLUMN] = ordered(keys, strings)
        if order is not None:
            head["arch"] = head["arch"].take(pa.array(order))
            arrays = {name: values[order] for name, values in arrays.items()}
    table = pa.table({**head, **{name: pa.array(values) for name, values in arrays.items()}})
    _write(table, Path(path), list(arrays), {**metadata, "space": space.name})
    return Benchmark.open(path, space)


def write_declared(path: str | Path, table: Benchmark, metadata: Mapping[str, Any]) -> Benchmark:
    """Writes a whole table as it is, with other metadata."""
    _write(open_parquet(table.path).read(), Path(path), list(table.columns), {**metadata, "space": table.space.name})
    return Benchmark.open(path, table.space)


def _write(table: pa.Table, path: Path, measured: Sequence[str], metadata: Mapping[str, Any]) -> None:
    with replacing(path) as temporary:
        # strings are distinct throughout: a dictionary of them only makes reading slower
        options = {"compression": "zstd", "use_dictionary": list(measured), "row_group_size": ROW_GROUP}
        pq.write_table(table.replace_schema_metadata({METADATA_KEY: json.dumps(metadata)}), temporary, **options)


def _no_archs(names: Sequence[str], path: Path) -> str:
    """What a table without architectures may be."""
    if {"hash", "adj_bits", "ops"} <= set(names):
        return (
            f"{path} is NAS-Bench-101 as hashes, graphs and values: `oneshot benchmark import NAME {path}` makes the "
            "table NAME of it, which can be scored and queried"
        )
    return f"{path} has no column 'arch'; its columns are {listed(names)}; {HINT}"


def _parses(space: Space, text: str) -> bool:
    try:
        space.parse(text)
    except ValueError:
        return False
    return True

"""NAS-Bench-101 (arXiv 1902.09635): its official files, read without TensorFlow, as a table with the official hashes.

`nasbench_only108.tfrecord` and `nasbench_full.tfrecord` hold one record a training (see
`nasbench101_record`).
A Parquet table with the columns `hash`, `num_vertices`, `adj_bits`, `ops` and measurements is read too.

The table has one row a model, by ascending hash: `hash` (the 16 bytes of the official hash), `arch` (a string of the
space), `trainable_parameters`, and for each budget E (4, 12, 36 or 108 epochs) and each metric M (`test_accuracy`,
`validation_accuracy`, `train_accuracy`, fractions as in the official API; `training_time`, seconds):

    M_E                 the mean over the three runs
    M_E_runR            of run R (0, 1, 2, in the order of the file)
    halfway_M_E         the same after half of the E epochs, in the middle of the learning-rate schedule of E
    halfway_M_E_runR
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from oneshot.benchmarks.columns import Array, finite_numbers, numeric_columns, open_parquet
from oneshot.benchmarks.importing.nasbench101_record import BUDGETS, MEASURED, Training, read_training
from oneshot.benchmarks.importing.tfrecord import records
from oneshot.benchmarks.origin import origin_of
from oneshot.benchmarks.table import Benchmark, write_strings

from oneshot.spaces.nasbench101 import ALL
from oneshot.spaces.nasbench101_batch import Cells
from oneshot.spaces.nasbench101_cell import OPERATIONS, Cell

RUNS = 3
GRAPH_COLUMNS = ("hash", "num_vertices", "adj_bits", "ops")
BATCH = 1 << 14
"""So many models have their hashes checked at once."""

Columns = dict[str, np.ndarray]


def is_official(source: str | Path) -> bool:
    """Whether this is a `.tfrecord` file, or a Parquet table of graphs."""
    source = Path(source)
    if source.suffix.lower() == ".parquet" and source.is_file():
        return {"adj_bits", "ops"} <= set(open_parquet(source).schema_arrow.names)
    return source.suffix.lower() == ".tfrecord"


def import_official(
    source: str | Path, target: str | Path, on_bytes: Callable[[int], None] = lambda more: None
) -> Benchmark:
    """Converts an official `.tfrecord` file, or a Parquet table of graphs, into a benchmark file.

    Everything is checked first: the checksums of the file, the hash of every model, three runs of each with every
    budget. ValueError names the byte offset of the wrong record or the row, and nothing is written. `on_bytes` is told
    how many more bytes of the file were read.
    """
    source = Path(source)
    if source.suffix.lower() == ".tfrecord":
        models = Models(source)
        told = 0
        for start, data in records(source):
            models.add(start, data)
            if start - told >= 1 << 20:
                on_bytes(start - told)
                told = start
        hashes, cells, columns = models.finish()
    elif source.suffix.lower() == ".parquet":
        hashes, cells, columns = _read_graphs(source, on_bytes)
    else:
        raise ValueError(f"expected a .tfrecord file or a .parquet table of NAS-Bench-101 graphs, got {source}")
    longest = max((epochs for epochs in BUDGETS if f"test_accuracy_{epochs}" in columns), default=0)
    roles = {"truth": f"test_accuracy_{longest}", "ceiling": f"validation_accuracy_{longest}"}
    metadata = {role: column for role, column in roles.items() if column in columns}
    keys = [bytes.fromhex(text) for text in hashes]
    strings = [str(cell) for cell in cells]
    return write_strings(target, strings, columns, ALL, {**metadata, "source": origin_of(source)}, keys)


class Models:
    """The models of an official file as its records come; memory grows with the results, not with the file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.hashes: list[str] = []
        self.cells: list[Cell] = []
        self._row: dict[str, int] = {}
        self._offsets = array("q")  # byte offset of the first record of each model
        self._parameters = array("q")
        self._budgets: dict[int, Budget] = {}
        self._checked = 0

    def add(self, start: int, data: bytes) -> None:
        """One record, which begins at the byte `start`; ValueError where it is wrong or contradicts an earlier one."""
        try:
            training = read_training(data)
            row = self._row.get(training.hash)
            if row is None:
                row = self._new(start, training)
            elif self.cells[row] != training.cell or self._parameters[row] != training.parameters:
                raise ValueError(
                    f"expected the graph and parameters of the record at byte {self._offsets[row]} with the same hash "
                    f"{training.hash}, got others"
                )
            budget = self._budgets.get(training.epochs) or self._budgets.setdefault(training.epochs, Budget())
            budget.add(row, training)
        except (ValueError, RecursionError) as error:
            raise _wrong(self.path, start, error) from None
        if len(self.cells) - self._checked >= BATCH:
            self._check_hashes()

    def finish(self) -> tuple[list[str], list[Cell], Columns]:
        """Hashes and cells, ascending by hash, and the columns in that order."""
        self._check_hashes()
        if not self.cells:
            raise ValueError(f"{self.path} has no records")
        order = sorted(range(len(self.hashes)), key=self.hashes.__getitem__)
        rank = np.empty(len(order), np.intp)
        rank[order] = np.arange(len(order))
        means: Columns = {"trainable_parameters": np.array(self._parameters)[order]}
        runs: Columns = {}
        for epochs in sorted(self._budgets):
            values = self._budgets.pop(epochs).values(rank, f"{epochs} epochs", self.path, self.hashes)
            for name, measured in zip(MEASURED, values, strict=True):
                means[f"{name}_{epochs}"] = measured.mean(0)
                runs |= {f"{name}_{epochs}_run{run}": measured[run] for run in range(RUNS)}
        return [self.hashes[row] for row in order], [self.cells[row] for row in order], {**means, **runs}

    def _new(self, start: int, training: Training) -> int:
        check_whole(training.cell)
        self.hashes.append(training.hash)
        self.cells.append(training.cell)
        self._offsets.append(start)
        self._parameters.append(training.parameters)
        return self._row.setdefault(training.hash, len(self.hashes) - 1)

    def _check_hashes(self) -> None:
        first, self._checked = self._checked, len(self.cells)
        if wrong := wrong_hash(self.hashes[first:], self.cells[first:]):
            raise _wrong(self.path, self._offsets[first + wrong[0]], wrong[1])


class Budget:
    """All trainings of one length."""

    def __init__(self) -> None:
        self._runs = bytearray()  # of each model, so far
        self._places = array("q")  # model * RUNS + run of each training
        self._measured = array("d")

    def add(self, row: int, training: Training) -> None:
        self._runs.extend(bytes(max(0, row + 1 - len(self._runs))))
        run = self._runs[row]
        if run == RUNS:
            raise ValueError(f"expected {RUNS} runs of {training.epochs} epochs of {training.hash}, this is one more")
        self._runs[row] += 1
        self._places.append(row * RUNS + run)
        self._measured.extend(training.measured)

    def values(self, rank: np.ndarray, name: str, path: Path, hashes: Sequence[str]) -> Array:
        """[measured, run, rank of the model]; ValueError names a model that lacks a run."""
        runs = np.zeros(len(rank), np.uint8)
        runs[: len(self._runs)] = self._runs
        for row in np.flatnonzero(runs < RUNS):
            model = hashes[int(row)]
            raise ValueError(f"{path} is not whole: expected {RUNS} runs of {name} of {model}, got {runs[row]}")
        rows, run = np.divmod(np.array(self._places), RUNS)
        values = np.empty((len(MEASURED), RUNS, len(rank)))
        values[:, run, rank[rows]] = np.frombuffer(self._measured).reshape(-1, len(MEASURED)).T
        return values


def check_whole(cell: Cell) -> None:
    """ValueError where the cell is none of the benchmark, or has vertices that no way to the output goes through."""
    if trouble := cell.trouble():
        raise ValueError(f"{cell} is no NAS-Bench-101 cell: {trouble}")
    if cell.pruned() != cell:
        raise ValueError(f"expected a cell of which every vertex is connected with input and output, got {cell}")


def wrong_hash(hashes: Sequence[str], cells: Sequence[Cell]) -> tuple[int, str] | None:
    """The first cell that does not have the hash beside it, and what is wrong."""
    digits = ["".join(map(str, cell.operations)) for cell in cells]
    found = Cells.from_table([cell.vertices for cell in cells], [cell.bits for cell in cells], digits).hashes()
    for place, (stored, computed) in enumerate(zip(hashes, found, strict=True)):
        if computed != stored:
            return place, f"the hash of {cells[place]} is {computed}, stored is {stored}"
    return None


def _wrong(path: Path, start: int, error: object) -> ValueError:
    return ValueError(f"the record at byte {start} of {path}: {error}")


def _read_graphs(path: Path, on_bytes: Callable[[int], None]) -> tuple[list[str], list[Cell], Columns]:
    """Hashes, cells and measured columns of a Parquet table with GRAPH_COLUMNS.

    Of `adj_bits`, bit `a + b (b - 1) / 2` is the edge from vertex a to b; `ops` has a digit for each inner vertex, the
    place of its operation among OPERATIONS.
    """
    table = open_parquet(path).read()
    if missing := [name for name in GRAPH_COLUMNS if name not in table.column_names]:
        raise ValueError(f"{path} has no column {', '.join(missing)}; its columns are {', '.join(table.column_names)}")
    columns = {name: finite_numbers(table, name, path) for name in numeric_columns(table) if name not in GRAPH_COLUMNS}
    if not columns:
        raise ValueError(f"{path} has no numeric column; its columns are {', '.join(table.column_names)}")
    for name, wanted in zip(GRAPH_COLUMNS, (pa.string(), pa.int64(), pa.int64(), pa.string()), strict=True):
        try:
            whole = not table.column(name).cast(wanted).null_count
        except pa.ArrowException:
            whole = False
        if not whole:
            raise ValueError(f"expected {wanted} in every row of column {name!r} of {path}")
    hashes, vertices, bits, ops = (table.column(name).to_pylist() for name in GRAPH_COLUMNS)
    digits = "".join(str(label) for label in range(len(OPERATIONS)))
    cells = []
    for row, (count, edges, labels) in enumerate(zip(vertices, bits, ops, strict=True), 1):
        if len(labels) != count - 2 or set(labels) - set(digits):
            raise ValueError(f"row {row} of {path}: expected {count - 2} operations among {digits}, got {labels!r}")
        cells.append(Cell(edges, tuple(map(int, labels))))
        try:
            check_whole(cells[-1])
        except ValueError as error:
            raise ValueError(f"row {row} of {path}: {error}") from None
    for first in range(0, len(cells), BATCH):
        batch = slice(first, first + BATCH)
        if wrong := wrong_hash(hashes[batch], cells[batch]):
            raise ValueError(f"row {first + wrong[0] + 1} of {path}: {wrong[1]}")
        on_bytes(path.stat().st_size * len(cells[batch]) // len(cells))  # checking takes the time, not reading
    return hashes, cells, columns

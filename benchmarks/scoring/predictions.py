"""Predictions as scoring takes them: architecture strings with a predicted accuracy each, from whatever source."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from oneshot.benchmarks.columns import (
    ARCH_NAMES,
    PARQUET,
    Array,
    architecture_strings,
    finite_numbers,
    first_repeat,
    read_any,
)

from oneshot.base.files import read_json
from oneshot.space import Arch, Space

if TYPE_CHECKING:
    import pandas as pd

SEED_KEYS = ("seed", "checkpoint")
"""What differs, anywhere in their protocols, between two runs of one method."""


@dataclass(frozen=True)
class Predicted:
    """Predicted accuracies, on any scale on which more is better.

    `space` is the name of the search space, None where the source does not say; `protocol` says how they were made.
    """

    archs: Sequence[str]
    accuracy: Array
    space: str | None = None
    protocol: Mapping[str, Any] = field(default_factory=dict)
    name: str = "predictions"

    def __post_init__(self) -> None:
        object.__setattr__(self, "accuracy", np.asarray(self.accuracy, np.float64))
        if self.accuracy.shape != (len(self.archs),):
            raise ValueError(
                f"{self.name}: expected one accuracy for each of {len(self.archs)} architectures, "
                f"got shape {self.accuracy.shape}"
            )
        wrong = np.flatnonzero(~np.isfinite(self.accuracy))
        if len(wrong):
            raise ValueError(
                f"row {wrong[0] + 1}, column 'accuracy' of {self.name}: expected a finite number, "
                f"got {self.accuracy[wrong[0]]}"
            )
        if repeat := first_repeat(self.archs):
            raise ValueError(
                f"rows {repeat[0] + 1} and {repeat[1] + 1} of {self.name} are the same architecture, "
                f"{self.archs[repeat[0]]!r}; expected each once"
            )

    @property
    def label(self) -> str:
        """The name as figures and tables show it, without what says that it is a file."""
        return re.sub(r"\.(parquet|pq|csv|json)$", "", self.name)


@runtime_checkable
class Evaluated(Protocol):
    """What an evaluator returns."""

    @property
    def space(self) -> Space: ...
    @property
    def archs(self) -> Sequence[Arch]: ...
    @property
    def accuracy(self) -> Array: ...
    @property
    def protocol(self) -> Mapping[str, Any]: ...


def as_predicted(source: Predicted | Evaluated | pd.DataFrame | str | Path) -> Predicted:
    """Predictions of an evaluator, of a data frame with the columns `arch` and `accuracy`, or of a file.

    ValueError for anything else, and for what `read_predictions` refuses.
    """
    if isinstance(source, Predicted):
        return source
    if isinstance(source, str | Path):
        return read_predictions(source)
    if isinstance(source, Evaluated):
        protocol, strings = dict(source.protocol), [source.space.format(arch) for arch in source.archs]
        name = str(protocol.get("name") or protocol.get("evaluator") or "predictions")
        return Predicted(strings, source.accuracy, source.space.name, protocol, name)
    import pandas as pd

    if not isinstance(source, pd.DataFrame):
        raise ValueError(
            "expected predictions of an evaluator, a data frame with the columns arch and accuracy, or a file, "
            f"got {type(source).__name__}"
        )
    if "accuracy" not in source.columns:
        raise ValueError(f"the data frame has no column 'accuracy'; its columns are {', '.join(map(str, source))}")
    try:
        needed = source[[name for name in source.columns if name in (*ARCH_NAMES, "accuracy")]]
        table = pa.Table.from_pandas(needed, preserve_index=False)
    except (ValueError, TypeError) as error:
        raise ValueError(f"the data frame is no table of predictions: {error}") from None
    return Predicted(architecture_strings(table, "the data frame"), finite_numbers(table, "accuracy", "the data frame"))


def read_predictions(path: str | Path, by: str = "accuracy") -> Predicted:
    """Predictions from a CSV or Parquet file with the columns `arch` and `accuracy`; others are ignored.

    `by` names another column to rank by, for example `loss`, of which less is better (its sign is turned). Space and
    protocol come from the Parquet metadata `oneshot`, a JSON document `{"space": ..., "protocol": {...}}`. A .json file
    is that document with the rows as `predictions`, a list of objects. Their name is the protocol's `name`, else that
    of the file. ValueError names the row (the first is 1) and column of what is missing, repeated or not a number.
    """
    path = Path(path)
    table, metadata = _read_json(path) if path.suffix.lower() == ".json" else read_any(path)
    if by not in table.column_names:
        raise ValueError(f"{path} has no column {by!r}; its columns are {', '.join(table.column_names)}")
    strings = architecture_strings(table, path)
    values = finite_numbers(table, by, path) * (-1 if by == "loss" else 1)
    protocol = {**(metadata.get("protocol") or {}), "ranked_by": by}
    return Predicted(strings, values, metadata.get("space"), protocol, str(protocol.get("name") or path.name))


def read_methods(words: Sequence[str], by: str = "accuracy") -> dict[str, list[Predicted]]:
    """The runs of each method by its name, from `FILE`, `NAME=FILE` or `NAME=FILE,FILE` (one file a training seed).

    Files without a name whose protocols differ in nothing but seed and checkpoint are runs of one method.
    """
    methods: dict[str, list[Predicted]] = {}
    unnamed: list[Predicted] = []
    for word in words:
        name, equals, files = word.partition("=")
        if not equals or Path(word).is_file():
            unnamed.append(read_predictions(word, by))
            continue
        if not name or not files or name in methods:
            raise ValueError(f"expected NAME=FILE or NAME=FILE,FILE with a name of its own, got {word!r}")
        runs = [read_predictions(file, by) for file in files.split(",")]
        methods[name] = [replace(runs[0], name=name)] if len(runs) == 1 else runs
    for runs in _runs_of_one_method(unnamed):
        name = _common_name([run.label for run in runs])
        if name in methods:
            raise ValueError(f"two methods are named {name!r}; name them as NAME=FILE")
        methods[name] = runs
    return methods


def _runs_of_one_method(files: Sequence[Predicted]) -> list[list[Predicted]]:
    groups: list[list[Predicted]] = []
    for run in files:
        for group in groups:
            same = _without_seed(run.protocol) == _without_seed(group[0].protocol)
            if same and all(run.protocol != other.protocol for other in group):
                group.append(run)
                break
        else:
            groups.append([run])
    return groups


def _common_name(names: Sequence[str]) -> str:
    """What several names begin with, without separators at its end; the first where that is nothing."""
    if len(names) == 1:
        return names[0]
    same = takewhile(lambda letters: len(set(letters)) == 1, zip(*names, strict=False))
    return "".join(letters[0] for letters in same).rstrip("-_. ") or names[0]


def _without_seed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _without_seed(item) for key, item in value.items() if key not in SEED_KEYS}
    return value


def read_archs(path: str | Path) -> list[str]:
    """The architecture strings of a text file (one a line, empty lines skipped), or of a CSV or Parquet column."""
    path = Path(path)
    if path.suffix.lower() in (".csv", *PARQUET):
        table, _ = read_any(path)
        return architecture_strings(table, path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8").splitlines()]
    except UnicodeDecodeError:
        raise ValueError(f"expected a text file, .csv or .parquet with architectures, got {path}") from None
    return [line for line in lines if line]


def aligned(runs: Sequence[Predicted]) -> list[Array]:
    """The accuracies of several runs in the order of the first; ValueError where they predict other architectures."""
    arrays = []
    for run in runs:
        rows = {text: row for row, text in enumerate(run.archs)}
        missing = [text for text in runs[0].archs if text not in rows]
        if missing or len(rows) != len(runs[0].archs):
            raise ValueError(
                f"{run.name} and {runs[0].name} predict different architectures: {len(rows)} and "
                f"{len(runs[0].archs)}, {len(runs[0].archs) - len(missing)} of them in common"
            )
        arrays.append(run.accuracy[[rows[text] for text in runs[0].archs]])
    return arrays


def _read_json(path: Path) -> tuple[pa.Table, dict[str, Any]]:
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    document = read_json(path)
    rows = document.get("predictions") if isinstance(document, dict) else None
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} is no document of predictions: expected an object with a list of 'predictions'")
    try:
        return pa.Table.from_pylist(rows), document
    except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
        raise ValueError(f"the predictions in {path} are no table: {error}") from None

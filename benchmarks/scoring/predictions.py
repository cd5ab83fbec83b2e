"""Predictions as scoring takes them: architecture strings with a predicted accuracy each, from whatever source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import pyarrow as pa
from oneshot.benchmarks.columns import (
    ARCH_NAMES,
    Array,
    architecture_strings,
    as_floats,
    finite_numbers,
    first_repeat,
    is_numeric,
    listed,
)
from oneshot.benchmarks.reading import is_table, label_of, read_any

from oneshot.base.quantity import quantity
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
    notes: Sequence[str] = ()
    """What a reader of a result made with them must know."""
    loss: Array | None = None
    """The validation losses, infinite where the source has none of an architecture; None where it has none at all."""
    used: Sequence[str] = ()
    """Architectures whose truth these predictions know: they are not scored."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "accuracy", np.asarray(self.accuracy, np.float64))
        if self.loss is not None:
            losses = np.asarray(self.loss, np.float64)
            object.__setattr__(self, "loss", np.where(np.isnan(losses), np.inf, losses))
            if losses.shape != (len(self.archs),):
                raise ValueError(f"{self.name}: expected a loss for each of {len(self.archs)}, got {losses.shape}")
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
        if quantity(self.protocol).is_accuracy and (note := mixed_scales(self.accuracy)):
            object.__setattr__(self, "notes", tuple(dict.fromkeys([*self.notes, f"{self.name}: {note}"])))

    @property
    def label(self) -> str:
        """The name as figures and tables show it, without what says that it is a file."""
        return label_of(self.name)


@runtime_checkable
class Evaluated(Protocol):
    """What an evaluator returns; its `predicted` ranks, or where it has none its `accuracy`."""

    @property
    def space(self) -> Space: ...
    @property
    def archs(self) -> Sequence[Arch]: ...
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
        failures: Mapping[Arch, str] = getattr(source, "failures", {})
        kept, notes = _without_errors([failures.get(arch) for arch in source.archs], name)
        values = np.asarray(source.predicted if hasattr(source, "predicted") else source.accuracy)  # pyright: ignore
        losses: Array | None = getattr(source, "loss", None)
        losses = None if losses is None or np.isnan(losses[kept]).any() else losses[kept]
        return Predicted([strings[i] for i in kept], values[kept], source.space.name, protocol, name, notes, losses)
    import pandas as pd

    if not isinstance(source, pd.DataFrame):
        raise ValueError(
            "expected predictions of an evaluator, a data frame with the columns arch and accuracy, or a file, "
            f"got {type(source).__name__}"
        )
    if "accuracy" not in source.columns:
        raise ValueError(f"the data frame has no column 'accuracy'; its columns are {', '.join(map(str, source))}")
    columns = list(map(str, source.columns))
    if twice := next((name for name in columns if columns.count(name) > 1), None):
        raise ValueError(f"the data frame has more than one column {twice!r}: expected each name once")
    try:
        needed = source[[name for name in source.columns if name in (*ARCH_NAMES, "accuracy", "loss")]]
        table = pa.Table.from_pandas(needed, preserve_index=False)
    except (ValueError, TypeError) as error:
        raise ValueError(f"the data frame is no table of predictions: {error}") from None
    where = "the data frame"
    return Predicted(architecture_strings(table, where), finite_numbers(table, "accuracy", where), loss=_losses(table))


def read_predictions(path: str | Path, by: str = "accuracy", arch_column: str | None = None) -> Predicted:
    """Predictions from any table of `benchmarks.reading` with the columns `arch` and `accuracy`; others are ignored.

    Without accuracies, a column `score` ranks. `by` names another one to rank by, for example `loss`, of which less is
    better (its sign is turned), and `arch_column` another one of architectures. Space and protocol come from the
    Parquet metadata `oneshot`, a JSON document `{"space": ..., "protocol": {...}}`, or stand in a .json file beside
    `predictions`. Rows with an `error` are left out, of which the notes tell. Their name is the protocol's `name`, else
    that of the file. ValueError names the row (the first is 1) and column of what is missing, repeated or not a number.
    """
    path = Path(path)
    table, metadata = read_any(path, arch_column)
    if by == "accuracy" and by not in table.column_names and "score" in table.column_names:
        by = "score"
    if by not in table.column_names:
        raise ValueError(
            f"{path} has no column {by!r}; its columns are {listed(table.column_names)}; --accuracy-column names "
            "another"
        )
    notes: Sequence[str] = ()
    if "error" in table.column_names:
        kept, notes = _without_errors(table.column("error").to_pylist(), path.name)
        table = table.take(kept)
    strings = architecture_strings(table, path)
    values = finite_numbers(table, by, path) * (-1 if by == "loss" else 1)
    protocol = {**(metadata.get("protocol") or {}), "ranked_by": by}
    name = str(protocol.get("name") or path.name)
    return Predicted(strings, values, metadata.get("space"), protocol, name, notes, _losses(table))


def _losses(table: pa.Table) -> Array | None:
    """The column `loss`, infinite where nothing stands; None where the table has none, or one of something else."""
    if "loss" not in table.column_names or not is_numeric(table.column("loss").type):
        return None
    return as_floats(table.column("loss"))


def _without_errors(errors: Sequence[str | None], name: str) -> tuple[list[int], Sequence[str]]:
    """The rows without an error, and the note on the others."""
    kept = [row for row, error in enumerate(errors) if not error]
    failed = [error for error in errors if error]
    if not failed:
        return kept, ()
    return kept, (f"{name}: {len(failed)} of {len(errors)} architectures without a prediction were left out",)


def mixed_scales(values: Array) -> str | None:
    """What to say where some accuracies seem to be fractions and others percentages.

    That is where nothing lies between 1 and 5, and the values below, times 100, fall among those above; estimates may
    go a little beyond 1 and 100. Networks that only guess among a hundred classes do not look so: their 1% would be
    100%.
    """
    low, high = values[(values > 0) & (values <= 1.5)], values[values > 1.5]
    if not len(low) or not len(high) or values.min() < 0 or not 5 <= high.min() <= high.max() <= 150:
        return None
    if not high.min() <= 100 * float(np.median(low)) <= high.max():
        return None
    return (
        f"{len(low)} of {len(values)} accuracies look like fractions ({low.min():g} to {low.max():g}) among "
        f"percentages ({high.min():g} to {high.max():g}); they were ranked as they are"
    )


def read_methods(
    words: Sequence[str], by: str = "accuracy", arch_column: str | None = None
) -> dict[str, list[Predicted]]:
    """The runs of each method by its name, from `FILE`, `NAME=FILE` or `NAME=FILE,FILE` (one file a training seed).

    Files without a name whose protocols differ in nothing but seed and checkpoint are runs of one method.
    """
    methods: dict[str, list[Predicted]] = {}
    unnamed: list[Predicted] = []
    for word in words:
        name, equals, files = word.partition("=")
        if not equals or Path(word).is_file():
            unnamed.append(read_predictions(word, by, arch_column))
            continue
        if not name or not files or name in methods:
            raise ValueError(f"expected NAME=FILE or NAME=FILE,FILE with a name of its own, got {word!r}")
        runs = [read_predictions(file, by, arch_column) for file in files.split(",")]
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
    """The architecture strings of a text file (one a line, empty lines skipped), or of a table's column."""
    path = Path(path)
    if is_table(path):
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

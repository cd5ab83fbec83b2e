"""Data sets of Hugging Face's `datasets` on disk: what `save_to_disk` wrote, or Parquet files that hold images.

Nothing is fetched, and no script is run. Parquet is made an Arrow file once, in the library's cache, so that any image
can be read by itself.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc
import torch

from oneshot.base.lookup import data_folder
from oneshot.data.encoded import EncodedImages, assembled, default_workers, scale
from oneshot.data.keys import keys_of, keys_of_names
from oneshot.data.listing import PARTS, packed_parts
from oneshot.data.source import Dataset

if TYPE_CHECKING:
    from datasets import Dataset as Table

SAVED = ("dataset_dict.json", "state.json")
"""What `save_to_disk` leaves in a folder of several parts, and of one."""
LABELS = ("label", "labels", "class", "target", "fine_label")
TOGETHER = 1000


@dataclass(frozen=True, slots=True, eq=False)
class Cell:
    """An image in a row of a table."""

    table: Table
    column: str
    row: int

    def __str__(self) -> str:
        return f"row {self.row} of {self.column!r}"

    def read(self) -> bytes:
        value = self.table[self.row][self.column]
        return Path(value["path"]).read_bytes() if value["bytes"] is None else value["bytes"]


class Hub:
    """A folder that `save_to_disk` wrote, one of Parquet files (or with data/*.parquet), or one Parquet file.

    `PATH::COLUMN` names the column of labels where there are several.
    """

    def find(self, name: str, data_dir: str | Path | None) -> Path | None:
        path = Path(name.partition("::")[0]).expanduser()
        for place in (path, data_folder(data_dir) / path):
            if (place.is_dir() and _is_saved(place)) or (place.is_file() and place.suffix == ".parquet"):
                return place.with_name(place.name + "".join(name.partition("::")[1:]))
        return None

    def load(self, path: Path, image_size: int | None, device: str | torch.device) -> Dataset[EncodedImages]:
        """ValueError where a column of images or labels is missing, or one of several is not named."""
        name, _, column = path.name.partition("::")
        path = path.with_name(name)
        tables = _tables(path)
        image, label = _columns(path, tables["train"], column)
        names = _class_names(tables["train"], label)
        classes = {value: i for i, value in enumerate(names)}
        mean, std = scale(device)

        def images(table: Table) -> EncodedImages:
            table = _undecoded(table, image)
            keys, sizes, values = _read(table, image, label)
            labels = torch.tensor([_label(path, value, classes) for value in values], device=device)
            cells = [Cell(table, image, row) for row in range(len(table))]
            size, workers = image_size or 224, default_workers()
            return EncodedImages(cells, labels, mean, std, size, workers, file_sizes=sizes, known_by=keys)

        parts = {part: images(table) for part, table in tables.items()}
        return assembled(path.stem, "datasets", parts, _titles(tables["train"], label, names), path)


HUB = Hub()


def _is_saved(folder: Path) -> bool:
    return any((folder / name).is_file() for name in SAVED) or bool(packed_parts(folder, ".parquet"))


def _tables(path: Path) -> dict[str, Table]:
    """The parts of the data set; ValueError where it cannot be read."""
    try:
        import datasets
        from datasets.exceptions import DatasetsError
    except ImportError:
        raise ValueError(f"{path} takes the extra `datasets`: pip install 'oneshot-nas[datasets]'") from None
    try:
        if path.is_file():
            found: Any = datasets.load_dataset("parquet", data_files={"train": str(path)})
        elif any((path / name).is_file() for name in SAVED):
            found = datasets.load_from_disk(str(path))
        else:
            files = {part: list(map(str, each)) for part, each in packed_parts(path, ".parquet").items()}
            found = datasets.load_dataset("parquet", data_files=files)
    except (ValueError, OSError, DatasetsError) as error:
        raise ValueError(f"{path} is no data set that `datasets` can read: {str(error).splitlines()[0]}") from error
    tables = found if isinstance(found, Mapping) else {"train": found}
    parts = {PARTS[name]: table for name, table in tables.items() if name in PARTS}
    if "train" not in parts:
        raise ValueError(f"{path} has the parts {', '.join(tables)}: expected train, and perhaps validation and test")
    return parts


def _columns(path: Path, table: Table, named: str) -> tuple[str, str]:
    """The column of images and that of labels."""
    import datasets

    kinds = table.features
    images = [name for name, kind in kinds.items() if isinstance(kind, datasets.Image) or _holds_bytes(kind)]
    if len(images) != 1:
        raise ValueError(f"{path}: expected one column of images, got {images or list(kinds)}")
    others = [name for name in kinds if name not in images]
    if named:
        if named not in others:
            raise ValueError(f"{path}: no column {named!r}; there are {', '.join(others)}")
        return images[0], named
    labels = [name for name in others if isinstance(kinds[name], datasets.ClassLabel)]
    labels = labels or [name for name in others if name in LABELS]
    if "label" in labels:
        return images[0], "label"
    if len(labels) != 1:
        raise ValueError(f"{path}: expected one column of labels, got {labels or others}: name it, {path}::COLUMN")
    return images[0], labels[0]


def _holds_bytes(kind: Any) -> bool:
    """Whether a column is one of images whose kind was not recorded."""
    import datasets

    if isinstance(kind, Mapping):
        return set(kind) == {"bytes", "path"}
    return isinstance(kind, datasets.Value) and kind.dtype in ("binary", "large_binary")


def _undecoded(table: Table, image: str) -> Table:
    """The same, whose images come as they are encoded."""
    import datasets

    return table.select_columns([image, *(name for name in table.column_names if name != image)]).cast_column(
        image, datasets.Image(decode=False)
    )


def _read(table: Table, image: str, label: str) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """Keys (of names where every image has one of its own, else of contents) and sizes [N] in bytes, and labels."""
    names: list[str | None] = []
    sizes: list[int] = []
    labels: list[Any] = []
    for structs, values in _slices(table, image, label):
        names += structs.field("path").to_pylist()
        sizes += pc.binary_length(structs.field("bytes")).to_pylist()  # pyright: ignore[reportAttributeAccessIssue]
        labels += values
    if all(names) and len(set(names)) == len(names):
        keys = keys_of_names([str(name).replace("\\", "/") for name in names])
    else:
        keys = keys_of(content for structs, _ in _slices(table, image, label) for content in _contents(structs))
    return keys, np.array([size or 0 for size in sizes]), labels


def _slices(table: Table, image: str, label: str) -> Iterator[tuple[Any, list[Any]]]:
    for part in table.with_format("arrow").iter(TOGETHER):
        yield part[image].combine_chunks(), part[label].to_pylist()  # pyright: ignore


def _contents(structs: Any) -> Iterator[bytes]:
    for value in structs:
        held, path = value["bytes"], value["path"]
        yield held.as_buffer() if held.is_valid else Path(path.as_py()).read_bytes()


def _class_names(table: Table, label: str) -> list[Any]:
    """The values that labels take, in their order."""
    import datasets

    kind = table.features[label]
    return list(range(len(kind.names))) if isinstance(kind, datasets.ClassLabel) else sorted(table.unique(label))


def _titles(table: Table, label: str, values: list[Any]) -> list[str]:
    return list(getattr(table.features[label], "names", None) or map(str, values))


def _label(path: Path, value: Any, classes: Mapping[Any, int]) -> int:
    if value not in classes:
        raise ValueError(f"{path}: the label {value!r} is none of the {len(classes)} classes of train")
    return classes[value]

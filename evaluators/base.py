"""What an evaluator is, and what it returns."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from oneshot.base.files import replacing, write_json
from oneshot.base.html import beside, html_table
from oneshot.base.provenance import environment
from oneshot.base.quantity import Quantity, quantity
from oneshot.space import Arch, Space
from oneshot.spaces.architecture import Architecture

if TYPE_CHECKING:
    import pandas as pd

SHOWN = 10
"""Rows of a notebook's table."""
NAMED = 5
"""Architectures that a message names at most."""
UNBALANCED = 2
"""Classes are, if one has more than so many times the images of another."""


@dataclass(frozen=True)
class Prediction:
    """The predicted accuracy of one architecture, in percent, and how sure it is; or a score; or an error instead.

    Accuracy and loss are NaN exactly where there is an error, or a score that is no accuracy. `balanced` is the mean of
    the accuracies on each class, in percent, where classes are unbalanced. ValueError for an accuracy that is no
    percentage, and for a score that is not finite.
    """

    accuracy: float
    loss: float
    images: int
    balanced: float | None = None
    error: str | None = None
    score: float | None = None

    def __post_init__(self) -> None:
        if self.score is not None and not math.isfinite(self.score):
            raise ValueError(f"a score must be finite, got {self.score}")
        if self.error is None and self.score is None and not 0 <= self.accuracy <= 100:
            raise ValueError(f"an accuracy must be a percentage from 0 to 100, got {self.accuracy}")

    @classmethod
    def failed(cls, error: str, images: int) -> Prediction:
        """What stands in the place of an architecture that nothing can be predicted of."""
        return cls(math.nan, math.nan, images, error=error)

    @classmethod
    def scored(cls, score: float, images: int) -> Prediction:
        """Of what ranks architectures and is no accuracy."""
        return cls(math.nan, math.nan, images, score=score)

    @property
    def value(self) -> float:
        """What ranks: the accuracy, or the score; NaN where there is an error."""
        return self.accuracy if self.score is None else self.score

    @property
    def standard_error(self) -> float:
        """Of the accuracy, in percentage points, from the finite number of images (binomial)."""
        share = self.accuracy / 100
        return 100 * float(np.sqrt(share * (1 - share) / self.images))


def _number(value: float) -> float | None:
    return None if math.isnan(value) else value


_OF_COLUMN: dict[str, Callable[[Prediction], float | None]] = {
    "accuracy": lambda value: _number(value.accuracy),
    "balanced_accuracy": lambda value: value.balanced,
    "loss": lambda value: _number(value.loss),
    "images": lambda value: value.images,
    "standard_error": lambda value: _number(value.standard_error),
    "score": lambda value: value.score,
}


@dataclass(frozen=True)
class Predictions:
    """One prediction an architecture, in the order asked for, and the protocol by which they were made."""

    space: Space
    archs: tuple[Arch, ...]
    values: tuple[Prediction, ...]
    protocol: dict[str, Any]

    def __post_init__(self) -> None:
        if len(self.archs) != len(self.values):
            raise ValueError(f"{len(self.archs)} architectures need as many predictions, got {len(self.values)}")

    def __len__(self) -> int:
        return len(self.archs)

    def __iter__(self) -> Iterator[tuple[Arch, Prediction]]:
        return zip(self.archs, self.values, strict=True)

    @property
    def quantity(self) -> Quantity:
        """What they are of: the protocol says it."""
        return quantity(self.protocol)

    @property
    def predicted(self) -> np.ndarray:
        """What ranks the architectures, more is better [N]; NaN for what failed."""
        return np.array([value.value for value in self.values], float)

    @property
    def accuracy(self) -> np.ndarray:
        """Percent [N]; ValueError where they are scores, which are `predicted`."""
        if not self.quantity.is_accuracy:
            raise ValueError(f"these predictions are {self.quantity.title}s, which are no accuracies: see `predicted`")
        return self.predicted

    @property
    def loss(self) -> np.ndarray:
        """[N]"""
        return np.array([value.loss for value in self.values])

    @property
    def failures(self) -> dict[Arch, str]:
        """The architectures of which nothing could be predicted, and why."""
        return {arch: value.error for arch, value in self if value.error is not None}

    def check(self) -> None:
        """FloatingPointError says how many architectures have no prediction, which, and why."""
        if failures := self.failures:
            named = "; ".join(f"{self.space.format(arch)}: {failures[arch]}" for arch in list(failures)[:NAMED])
            more = f"; and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
            count = len(set(self.archs))
            raise FloatingPointError(f"{len(failures)} of {count} architectures have no prediction: {named}{more}")

    def __repr__(self) -> str:
        ranked = self._ranked()
        best = f", the best {self._line(ranked[0])}" if ranked else ""
        return f"<Predictions of {len(self):,} architectures of {self.space.name}{best}>"

    def _repr_html_(self) -> str:
        best = self._ranked()[:SHOWN]
        rows = [[self.space.format(self.archs[i]), self._shown(self.values[i])] for i in best]
        caption = f"the best {len(best)} of {len(self):,} architectures of {self.space.name}"
        if failures := self.failures:
            caption += f"; {len(failures):,} without a prediction: {next(iter(failures.values()))}"
        if "batch_norm" in self.protocol:
            caption += f"; BatchNorm {self.protocol['batch_norm']}"
        if images := sorted({value.images for value in self.values}):
            caption += "; " + " to ".join(f"{count:,}" for count in dict.fromkeys((images[0], images[-1]))) + " images"
        table = html_table(["architecture", self.quantity.title], rows, caption)
        return beside(table, f"<p>the best</p>{self.best.drawing()}") if best else table

    @property
    def best(self) -> Architecture:
        """The architecture of which most is predicted, of equal ones the first; ValueError where nothing is."""
        ranked = self._ranked()
        if not ranked:
            raise ValueError(f"none of {len(self)} architectures has a prediction")
        return Architecture(self.space, self.archs[ranked[0]])

    def _ranked(self) -> list[int]:
        """The places of the predictions, the best first, without what failed."""
        order = np.argsort(-self.predicted, kind="stable")
        return [place for place in order.tolist() if self.values[place].error is None]

    def _line(self, place: int) -> str:
        unit = "%" if self.quantity.is_accuracy else f" ({self.quantity.title})"
        return f"{self.space.format(self.archs[place])} with {self._shown(self.values[place])}{unit}"

    def _shown(self, value: Prediction) -> str:
        error = f" ± {value.standard_error:.2f}" if self.quantity.is_accuracy else ""
        return self.quantity.text(value.value) + error

    @property
    def columns(self) -> list[str]:
        """What is said of each: balanced_accuracy where classes are unbalanced; of scores nothing of accuracies."""
        if not self.quantity.is_accuracy:
            return ["arch", self.quantity.column, "images"]
        balanced = ["balanced_accuracy"] if any(value.balanced is not None for value in self.values) else []
        return ["arch", "accuracy", *balanced, "loss", "images", "standard_error"]

    def records(self) -> list[dict[str, Any]]:
        """One a row, by `columns`; of what failed the numbers are None, and `error`, which others lack, says why."""
        numbers = self.columns[1:]
        return [
            {"arch": self.space.format(arch), **{name: _OF_COLUMN[name](value) for name in numbers}}
            | ({} if value.error is None else {"error": value.error})
            for arch, value in self
        ]

    def frame(self) -> pd.DataFrame:
        """The columns, and error where something failed."""
        import pandas as pd

        columns = [*self.columns, *(["error"] if self.failures else [])]
        found = pd.DataFrame(self.records(), columns=columns)
        return found.astype({name: "float64" for name in self.columns[1:] if name != "images"})

    def heading(self) -> dict[str, Any]:
        """What a file of predictions says of itself."""
        return {"space": self.space.name, "protocol": self.protocol, "environment": environment()}

    def document(self) -> dict[str, Any]:
        return {**self.heading(), "predictions": self.records()}

    def save(self, path: str | Path) -> None:
        """Write .parquet (protocol in the metadata), .json, or .csv (no protocol), whole or not at all."""
        path = Path(path)
        if path.suffix not in (".parquet", ".json", ".csv"):
            raise ValueError(f"predictions are written as .parquet, .json or .csv, got {path.name!r}")
        if not path.parent.is_dir():
            raise FileNotFoundError(f"{path.parent} is no folder")
        if path.suffix == ".json":
            write_json(path, self.document())
            return
        with replacing(path) as temporary:
            if path.suffix == ".csv":
                self.frame().to_csv(temporary, index=False)
            else:
                import pyarrow as pa
                from pyarrow import parquet

                table = pa.Table.from_pandas(self.frame(), preserve_index=False)
                parquet.write_table(table.replace_schema_metadata({"oneshot": json.dumps(self.heading())}), temporary)


@dataclass(frozen=True)
class Seen:
    """What some images say of some architectures: `right` [A, N] bool, `losses` [A, B] float64, a batch's sum each.

    `undefined` [A] counts the images whose logits were not finite, which are never right.
    """

    right: np.ndarray
    losses: np.ndarray
    undefined: np.ndarray

    def predictions(self, labels: np.ndarray | None = None) -> list[Prediction]:
        """In order; with the images' labels [N] the balanced accuracy too, where it may differ.

        An error for an architecture with logits that are not finite.
        """
        losses = [sum(row) for row in self.losses.tolist()]  # in order: what was seen in parts is the same
        right = self.right.sum(1).tolist()
        balanced = [None] * len(right) if labels is None or is_balanced(labels) else self._balanced(labels)
        numbers = zip(right, losses, self.undefined.tolist(), balanced, strict=True)
        count = self.right.shape[1]
        return [judged(hits, loss, undefined, count, mean) for hits, loss, undefined, mean in numbers]

    def _balanced(self, labels: np.ndarray) -> list[float]:
        """The mean over the classes that occur of the accuracy on each, in percent."""
        classes, places = np.unique(labels, return_inverse=True)
        each = np.eye(len(classes), dtype=np.float32)[places]
        return (100 * (self.right.astype(np.float32) @ each / each.sum(0)).mean(1, dtype=np.float64)).tolist()

    def rows(self, index: np.ndarray) -> Seen:
        return Seen(self.right[index], self.losses[index], self.undefined[index])

    def then(self, other: Seen) -> Seen:
        """The same architectures on these images and then on others."""
        both = [np.hstack(each) for each in ((self.right, other.right), (self.losses, other.losses))]
        return Seen(both[0], both[1], self.undefined + other.undefined)

    @classmethod
    def stacked(cls, parts: Sequence[Seen]) -> Seen:
        """Different architectures on the same images."""
        return cls(
            np.vstack([part.right for part in parts]),
            np.vstack([part.losses for part in parts]),
            np.concatenate([part.undefined for part in parts]),
        )


def judged(right: float, loss: float, undefined: float, images: int, balanced: float | None = None) -> Prediction:
    """From counts over so many images: how many were right, the summed loss, how many had logits not finite."""
    if undefined:
        return Prediction.failed(f"its logits are not finite on {undefined:,.0f} of {images:,} images", images)
    return Prediction(100 * right / images, loss / images, images, balanced=balanced)


def is_balanced(labels: np.ndarray) -> bool:
    """Whether no class has more than twice the images of another one that occurs, and more than by chance."""
    counts = np.unique(labels, return_counts=True)[1]
    most, least = (int(counts.max()), int(counts.min())) if len(counts) else (0, 0)
    return most <= UNBALANCED * least or most - least <= 4 * most**0.5


class Evaluator(Protocol):
    """Predicts accuracies, or scores: one row an architecture, in order, each independent of its company."""

    @property
    def space(self) -> Space: ...

    @property
    def protocol(self) -> dict[str, Any]:
        """Everything that the predictions depend on, as a JSON document."""
        ...

    def __call__(self, archs: Sequence[Arch]) -> Predictions: ...

"""What a data set is, without its images: enough to say that it is the same, or what differs. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, Self

import numpy as np

from oneshot.base.provenance import fingerprint
from oneshot.data.keys import digest
from oneshot.data.split import Divisible, Keyed, resolved, rows, validated_on

NAMED = 5
"""Differences that a sentence names at most."""


class Labelled(Keyed, Protocol):
    """Images with labels, a tensor [N], and their sizes in bytes where they lie [N]."""

    @property
    def labels(self) -> Any: ...
    def sizes(self) -> np.ndarray: ...


class Described(Divisible[Labelled], Protocol):
    """A data set, as far as its fingerprint goes."""

    @property
    def format(self) -> str: ...
    @property
    def classes(self) -> int: ...
    @property
    def class_names(self) -> tuple[str, ...]: ...
    def parts(self) -> Mapping[str, Labelled]: ...


@dataclass(frozen=True)
class Part:
    """Some images: how many, of each class too, and digests, in their order, of keys, sizes in bytes, and labels."""

    images: int
    of_classes: tuple[int, ...]
    keys: str
    sizes: str
    labels: str

    @classmethod
    def of(cls, images: Labelled, classes: int) -> Self:
        labels = images.labels.cpu().numpy()
        counts = np.bincount(labels, minlength=classes).tolist()
        return cls(len(images), tuple(counts), digest(images.keys()), digest(images.sizes()), digest(labels))


@dataclass(frozen=True)
class Sides:
    """How a data set is divided: the numbers of images, and digests of their keys."""

    name: str
    by: str
    train: int
    valid: int
    keys: str


@dataclass(frozen=True)
class Fingerprint:
    """A data set and its split: classes in order, images by part, mean and standard deviation of the pixels."""

    format: str
    classes: tuple[str, ...]
    parts: Mapping[str, Part]
    split: Sides
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @classmethod
    def of(cls, dataset: Described, split: str, by: str) -> Self:
        """Of a data set and the split that is asked of it."""
        train, valid = rows(dataset, split, by)
        held_out = validated_on(dataset, split)
        sides = digest(np.concatenate([dataset.pool.keys()[train], held_out.keys()[valid]]))
        mean, std = (_numbers(getattr(dataset.pool, name, ())) for name in ("mean", "std"))
        return cls(
            dataset.format,
            dataset.class_names,
            {name: Part.of(images, dataset.classes) for name, images in dataset.parts().items()},
            Sides(resolved(dataset, split), by, len(train), len(valid), sides),
            mean,
            std,
        )

    @property
    def digest(self) -> str:
        return fingerprint(self.document())

    def document(self) -> dict[str, Any]:
        """As JSON has it."""
        whole = asdict(self)
        parts = {name: {**part, "of_classes": list(part["of_classes"])} for name, part in whole["parts"].items()}
        lists = {name: list(whole[name]) for name in ("classes", "mean", "std")}
        return {**whole, **lists, "parts": parts}

    @classmethod
    def read(cls, document: Any) -> Self:
        """What `document` wrote; ValueError where it is none."""
        try:
            parts = {name: Part(**{**part, "of_classes": tuple(part["of_classes"])})
                     for name, part in document["parts"].items()}  # fmt: skip
            lists = {name: tuple(document[name]) for name in ("classes", "mean", "std")}
            return cls(**{**document, **lists, "parts": parts, "split": Sides(**document["split"])})
        except (TypeError, KeyError, AttributeError) as error:
            raise ValueError(f"expected the fingerprint of a data set, got {str(document)[:60]}") from error

    def summary(self) -> dict[str, Any]:
        """What a protocol says of the data."""
        return {
            "fingerprint": self.digest,
            "format": self.format,
            "classes": len(self.classes),
            "images": {name: part.images for name, part in self.parts.items()},
            "split": f"{self.split.name} by {self.split.by}",
        }


def differences(there: Fingerprint, now: Fingerprint) -> list[str]:
    """What differs between the data of a run and what is there now, in words; the coarsest first."""
    return list(_differences(there, now))


def in_words(found: list[str]) -> str:
    """The first few of them in one clause."""
    more = f"; and {len(found) - NAMED} more" if len(found) > NAMED else ""
    return "; ".join(found[:NAMED]) + more


def _differences(there: Fingerprint, now: Fingerprint) -> Iterator[str]:
    if there.format != now.format:
        yield f"its format was {there.format}, is {now.format}"
    if there.classes != now.classes:
        yield _classes(there.classes, now.classes)
    for name in dict.fromkeys((*there.parts, *now.parts)):
        before, after = there.parts.get(name), now.parts.get(name)
        if before is None or after is None:
            yield f"it had no {name} images" if before is None else f"its {name} images are gone"
        elif before != after:
            yield f"{name}: {', '.join(_of_part(before, after, now.classes))}"
    if there.split != now.split:
        yield f"its split was {_side(there.split)}, is {_side(now.split)}"
    for name in ("mean", "std"):
        if not np.allclose(getattr(there, name), getattr(now, name), rtol=1e-4, atol=1e-3):
            yield f"the {name} of its pixels was {list(getattr(there, name))}, is {list(getattr(now, name))}"


def _classes(before: tuple[str, ...], after: tuple[str, ...]) -> str:
    if len(before) != len(after):
        odd = [*(f"without {name}" for name in before if name not in after),
               *(f"with {name}" for name in after if name not in before)]  # fmt: skip
        return f"it had {len(before)} classes, has {len(after)} ({', '.join(odd[:NAMED])})"
    place = next(i for i, pair in enumerate(zip(before, after, strict=True)) if pair[0] != pair[1])
    return f"class {place} was {before[place]!r}, is {after[place]!r}"


def _of_part(before: Part, after: Part, classes: tuple[str, ...]) -> Iterator[str]:
    if before.images != after.images:
        yield f"{before.images:,} images were there, {after.images:,} are"
    if before.of_classes != after.of_classes and len(before.of_classes) == len(after.of_classes):
        pairs = zip(before.of_classes, after.of_classes, classes, strict=True)
        odd = [f"{name} {old:,}, now {new:,}" for old, new, name in pairs if old != new]
        yield "of " + ", ".join(odd[:NAMED]) + (", ..." if len(odd) > NAMED else "")
    elif before.images == after.images:
        told = {"keys": "other images", "sizes": "other sizes of the files", "labels": "other labels"}
        yield ", ".join(words for name, words in told.items() if getattr(before, name) != getattr(after, name))


def _side(split: Sides) -> str:
    return f"{split.name} by {split.by} ({split.train:,} train, {split.valid:,} validate: {split.keys[:6]})"


def _numbers(values: Any) -> tuple[float, ...]:
    """Of a tensor, as many digits as every machine agrees on."""
    return tuple(round(float(value), 3) for value in values)

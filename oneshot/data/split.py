"""Which images train and which validate. Imports no torch.

By image, a hash of each image's own name or content against the share decides, so that the number on each side is the
share give or take a little, and an image that comes or goes moves no other. By position is what earlier versions did.
"""

from __future__ import annotations

from typing import Protocol, TypeVar

import numpy as np

from oneshot.data.keys import SHARES, below, by_key, by_position

OWN_SPLITS = ("given", "valid-is-test")
"""All training images train, and the data set's own others validate; `valid-is-test` says that these also test."""
RULES = ("image", "position")


class Keyed(Protocol):
    """Images that are told apart by their own names or content: uint64 [N]."""

    def __len__(self) -> int: ...
    def keys(self) -> np.ndarray: ...


Source = TypeVar("Source", bound=Keyed, covariant=True)


class Divisible(Protocol[Source]):
    """A data set, as far as it is divided: its pool, and images of its own that test and perhaps validate."""

    @property
    def name(self) -> str: ...
    @property
    def pool(self) -> Source: ...
    @property
    def test(self) -> Source: ...
    @property
    def valid(self) -> Source | None: ...


def resolved(dataset: Divisible, name: str) -> str:
    """The split that `auto` stands for: the data set's own validation images where it has them, else `standard`."""
    if name not in ("auto", *SHARES, *OWN_SPLITS):
        raise ValueError(f"no split {name!r}; there are {', '.join(('auto', *SHARES, *OWN_SPLITS))}")
    if name == "auto":
        own = "valid-is-test" if dataset.valid is dataset.test else "given"
        return "standard" if dataset.valid is None else own
    if name in OWN_SPLITS:
        _check_own(dataset, name)
    return name


def rows(dataset: Divisible, name: str, by: str) -> tuple[np.ndarray, np.ndarray]:
    """The rows that train, of the pool, and those that validate: of the pool, or of the data set's own images.

    ValueError for a split that there is not, or that leaves no image to train or to validate on.
    """
    if by not in RULES:
        raise ValueError(f"split_by must be {' or '.join(RULES)}, got {by!r}")
    name, count = resolved(dataset, name), len(dataset.pool)
    if name in OWN_SPLITS:
        held_out = validated_on(dataset, name)
        if by == "position":
            return by_position(count), by_position(len(held_out))
        keys, own = dataset.pool.keys(), held_out.keys()
        return by_key(keys, np.arange(count)), by_key(own, np.arange(len(own)))
    if by == "position":
        order, first = by_position(count), round(SHARES[name] * count)
        return order[:first], order[first:]
    keys = dataset.pool.keys()
    trains = below(keys, SHARES[name])
    sides = by_key(keys, np.flatnonzero(trains)), by_key(keys, np.flatnonzero(~trains))
    if not all(map(len, sides)):
        raise ValueError(
            f"the split {name} of {dataset.name} leaves {len(sides[0])} images to train and {len(sides[1])} to "
            f"validate on: {count} images are too few to divide, bring validation images of its own"
        )
    return sides


def validated_on(dataset: Divisible[Source], name: str) -> Source:
    """The images among which the rows that validate are: the data set's own ones, or those of the pool."""
    own = dataset.valid if resolved(dataset, name) in OWN_SPLITS else None
    return dataset.pool if own is None else own


def _check_own(dataset: Divisible, name: str) -> None:
    if dataset.valid is None:
        raise ValueError(f"split {name!r} needs validation images of the data set's own, {dataset.name} has none")
    if dataset.valid is dataset.test and name != "valid-is-test":
        raise ValueError(
            f"{dataset.name} has no test images beside its validation images: use the split standard or half, or "
            f"valid-is-test, which says that predictions see the images of the ground truth"
        )
    if dataset.valid is not dataset.test and name == "valid-is-test":
        raise ValueError(f"{dataset.name} has test images beside its validation images: use the split given")

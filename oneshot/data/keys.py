"""What an image is known by wherever it lies, and how images are divided by that. Imports no torch.

A key is a mixed CRC-32 of a file's name or of an array's content. It decides nothing but a side and an order, so that
two images with one key (copies, above all) only share their side.
"""

from __future__ import annotations

import hashlib
import os
import zlib
from collections.abc import Iterable
from typing import Any

import numpy as np

SHARES = {"standard": 0.9, "half": 0.5}
"""The share of the training images that trains; the rest validates."""
TEST_SHARE = 0.1
"""The share that tests, of a folder that has nothing but training images."""


def keys_of(contents: Iterable[Any]) -> np.ndarray:
    """The key of each name (bytes) or image (a contiguous array): uint64 [N], uniform over its range."""
    return mixed(np.fromiter(map(zlib.crc32, contents), np.uint64))


def keys_of_names(names: Iterable[str]) -> np.ndarray:
    """The key of each name, with / between its parts, without its extension: uint64 [N]."""
    return keys_of([os.path.splitext(name)[0].encode("utf-8", "surrogateescape") for name in names])


def mixed(values: np.ndarray, salt: int = 0) -> np.ndarray:
    """Other numbers, one for each: the finaliser of SplitMix64 (Steele et al., OOPSLA 2014), after a salt."""
    z = values.astype(np.uint64) + np.uint64((0x9E3779B97F4A7C15 * (salt + 1)) % 2**64)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def below(keys: np.ndarray, share: float, salt: int = 0) -> np.ndarray:
    """Which of them lie within a share of the range, bool [N]: each by itself, whatever the others are."""
    return mixed(keys, salt) < np.uint64(round(share * 2**64))


def by_key(keys: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """The rows in the order of their keys, which is random, and the same without or with further ones."""
    return rows[np.argsort(mixed(keys[rows], salt=1), kind="stable")]


def by_position(count: int) -> np.ndarray:
    """All rows in the fixed permutation by which earlier versions divided and ordered them."""
    return np.random.default_rng(0).permutation(count)


def digest(values: np.ndarray) -> str:
    """Of numbers in their order."""
    return hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:16]

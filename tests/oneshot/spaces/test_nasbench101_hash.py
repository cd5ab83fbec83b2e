"""The vectorised hash against the official one, cell by cell, and MD5 against the standard library."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from nasbench_pytorch.model.graph_util import hash_module

from oneshot.spaces import nasbench101_hash
from oneshot.spaces.nasbench101_cell import Cell
from oneshot.spaces.nasbench101_hash import hash_cells, md5


@pytest.mark.parametrize("length", [0, 1, 33, 54, 55, 56, 63, 64, 65, 119, 120, 252, 300])
def test_md5_is_the_standard_one(length: int) -> None:
    """Around the ends of blocks, where the padding needs one more."""
    text_ML = np.random.default_rng(length).integers(256, size=(50, length)).astype(np.uint8)
    expected = [hashlib.md5(row.tobytes()).hexdigest().encode() for row in text_ML]
    assert md5(text_ML).tolist() == expected


def test_md5_in_several_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    text_ML = np.random.default_rng(0).integers(256, size=(50, 100)).astype(np.uint8)
    whole = md5(text_ML).tolist()
    monkeypatch.setattr(nasbench101_hash, "LANES", 7)
    assert md5(text_ML).tolist() == whole


@pytest.mark.parametrize("vertices", range(2, 8))
def test_hashes_are_the_official_ones(vertices: int) -> None:
    """The hash of any graph, pruned or not, with any number of edges."""
    rng = np.random.default_rng(vertices)
    bits_N = rng.integers(2 ** (vertices * (vertices - 1) // 2), size=300)
    labels_NK = rng.integers(3, size=(300, vertices - 2)).astype(np.int8)
    hashes = [text.decode() for text in hash_cells(bits_N, labels_NK).tolist()]
    for bits, labels, found in zip(bits_N.tolist(), labels_NK.tolist(), hashes, strict=True):
        cell = Cell(bits, tuple(labels))
        assert found == hash_module(np.array(cell.graph()[0]), [-1, *labels, -2]) == cell.hash()

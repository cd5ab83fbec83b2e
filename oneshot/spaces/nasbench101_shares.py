"""How often a random NAS-Bench-101 cell is which model: exact, by counting graphs.

Shapes: N graphs, M models, K inner vertices.
"""

from __future__ import annotations

from collections import Counter
from itertools import product

import numpy as np

from oneshot.spaces.nasbench101 import EDGES
from oneshot.spaces.nasbench101_batch import are_cells, edge_count, live_parts, lowest_labels, models
from oneshot.spaces.nasbench101_cell import MAX_VERTICES, OPERATIONS, orderings


def graphs_of(edges: int | None = None) -> np.ndarray:
    """The bits of all graphs of seven vertices, or of those with so many edges; not all of them are cells."""
    bits_N = np.arange(1 << len(EDGES))
    return bits_N if edges is None else bits_N[edge_count(bits_N) == edges]


def model_shares(graphs_N: np.ndarray) -> np.ndarray:
    """The chance of each of `models()`, [M], if a graph is drawn among these and an operation for each inner vertex.

    What is no cell is drawn again. ValueError where none is one.
    """
    live_VN, pruned_N = live_parts(graphs_N)
    good_N = are_cells(live_VN, pruned_N)
    if not good_N.any():
        raise ValueError(f"expected graphs that connect input and output, got {len(graphs_N)} that do not")
    keys, counts = np.unique((pruned_N * (MAX_VERTICES + 1) + live_VN.sum(axis=0))[good_N], return_counts=True)
    drawn: Counter[tuple[int, int]] = Counter()
    for key, count in zip(keys.tolist(), counts.tolist(), strict=True):
        bits, vertices = divmod(key, MAX_VERTICES + 1)
        drawn[orderings(bits, vertices)[0], vertices] += count
    every = models()
    shares_M = np.zeros(len(every))
    for rows, bits, v in every.graphs:
        if (bits, v) in drawn:
            shares_M[rows] = drawn[bits, v] * _label_shares(every.labels_N5[rows, : v - 2], bits, v)
    return shares_M / good_N.sum()


def _label_shares(labels_NK: np.ndarray, bits: int, vertices: int) -> np.ndarray:
    """How likely random operations of a graph make each of its models, which have these labels, [N]."""
    digits_K = len(OPERATIONS) ** np.arange(vertices - 2)
    every = np.array(list(product(range(len(OPERATIONS)), repeat=vertices - 2)), np.int64)
    lowest = lowest_labels(every, orderings(bits, vertices)[1]) @ digits_K
    return np.bincount(lowest, minlength=len(every))[labels_NK @ digits_K] / len(every)

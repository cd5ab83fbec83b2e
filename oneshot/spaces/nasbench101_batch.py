"""Many NAS-Bench-101 cells at once, as arrays: pruned, hashed, counted, enumerated.

Shapes: N cells, V vertices, K inner vertices, D decisions, O options or orders, G different graphs without labels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from itertools import product

import numpy as np

from oneshot.space import Arch
from oneshot.spaces.nasbench101 import ALL, EDGES, OUTPUT_BITS, NasBench101, depth, terms
from oneshot.spaces.nasbench101_cell import (
    INNER,
    INPUT,
    MAX_EDGES,
    MAX_VERTICES,
    OPERATIONS,
    OUTPUT,
    Cell,
    orderings,
    read_graph,
)
from oneshot.spaces.nasbench101_hash import hash_cells

CHUNK = 1 << 15
"""Cells hashed together: enough to vectorise over, in some 100 MB."""

FEW = 1000
"""Below this many of one size, hashing one by one is faster."""

COLUMN = np.arange(MAX_VERTICES) * (np.arange(MAX_VERTICES) - 1) // 2
"""The lowest bit of the edges to a vertex."""


@dataclass(frozen=True, eq=False)
class Cells:
    """Pruned cells: the bits of each, and the labels of its operations padded with -1. Rows in errors start at 1."""

    bits_N: np.ndarray
    labels_N5: np.ndarray

    @classmethod
    def of(cls, archs: Sequence[Arch], space: NasBench101 = ALL) -> Cells:
        """The cells of architectures; ValueError names the first row that is none."""
        counts_D = np.array([len(decision.options) for decision in space.decisions])
        indices_ND = _array(archs, (len(archs), len(counts_D)))
        bad_N = np.any((indices_ND < 0) | (indices_ND >= counts_D), axis=1)
        _refuse(bad_N, lambda row: space.check(archs[row]))
        codes_DO = np.zeros((len(counts_D), counts_D.max()), np.int64)
        for decision, codes in enumerate(space.codes):
            codes_DO[decision, : len(codes)] = codes
        codes_ND = codes_DO[np.arange(len(counts_D)), indices_ND]
        bits_N = (codes_ND[:, : len(EDGES)] << np.arange(len(EDGES))).sum(axis=1)
        return cls._pruned(bits_N, codes_ND[:, len(EDGES) :])

    @classmethod
    def from_graphs(cls, matrices: Sequence, operations: Sequence[Sequence[str]]) -> Cells:
        """The cells of upper-triangular matrices of one size and their operations, as the official API takes them.

        ValueError names the first row that is none. At most seven vertices, before pruning.
        """
        try:
            matrices_NVV, names_NV = np.asarray(matrices), np.asarray(operations)
        except ValueError:
            raise ValueError("expected matrices of one size and as many operations, got different sizes") from None
        n, v = len(matrices_NVV), matrices_NVV.shape[-1]
        if matrices_NVV.shape != (n, v, v) or names_NV.shape != (n, v) or not 2 <= v <= MAX_VERTICES:
            raise ValueError(
                f"expected matrices of one size from 2x2 to 7x7 and as many operations, "
                f"got shapes {matrices_NVV.shape} and {names_NV.shape}"
            )
        upper_VV = np.triu(np.ones((v, v), bool), 1)
        good_N = ((matrices_NVV == 0) | (matrices_NVV == 1) & upper_VV).all(axis=(1, 2))
        good_N &= (names_NV[:, 0] == INPUT) & (names_NV[:, -1] == OUTPUT)
        good_N &= np.isin(names_NV[:, 1:-1], OPERATIONS).all(axis=1)
        _refuse(~good_N, lambda row: read_graph(matrices_NVV[row].tolist(), names_NV[row].tolist()))
        weights_VV = np.where(upper_VV, 1 << (COLUMN[:v] + np.arange(v)[:, None]), 0)
        labels_NV = sum(label * (names_NV[:, 1:-1] == name) for label, name in enumerate(OPERATIONS))
        bits_N = (matrices_NVV * weights_VV).sum(axis=(1, 2)).astype(np.int64)
        return cls._pruned(*_embedded(bits_N, np.asarray(labels_NV), np.full(n, v)))

    @classmethod
    def from_table(cls, vertices: Sequence[int], bits: Sequence[int], operations: Sequence[str]) -> Cells:
        """The cells of numbers of vertices, of `Cell.bits`, and of labels as digits such as "02001"."""
        bits_N, vertices_N = np.asarray(bits, np.int64), np.asarray(vertices, np.int64)
        lengths_N = np.array([len(o) if isinstance(o, str) else -1 for o in operations], np.int64)
        if not len(bits_N) == len(vertices_N) == len(lengths_N):
            raise ValueError(
                f"got {len(vertices_N)} numbers of vertices, {len(bits_N)} bits, {len(lengths_N)} operations"
            )
        letters_N5 = np.array(list(operations), f"U{INNER}").view(np.uint32).reshape(len(operations), INNER)
        given_N5 = np.arange(INNER) < lengths_N[:, None]
        labels_N5 = np.where(given_N5, letters_N5.astype(np.int64) - ord("0"), 0)
        good_N = (lengths_N == vertices_N - 2) & (vertices_N <= MAX_VERTICES) & (bits_N >= 0)
        good_N &= (bits_N >> vertices_N * (vertices_N - 1) // 2) == 0
        good_N &= ((labels_N5 >= 0) & (labels_N5 < len(OPERATIONS))).all(axis=1)

        def explain(row: int) -> None:
            raise ValueError(
                f"expected 2 to {MAX_VERTICES} vertices, a bit for each edge and a digit from 0 to 2 for each inner "
                f"vertex, got {vertices[row]} vertices, bits {bits[row]} and operations {operations[row]!r}"
            )

        _refuse(~good_N, explain)
        return cls._pruned(*_embedded(bits_N, labels_N5, vertices_N))

    @classmethod
    def _pruned(cls, bits_N: np.ndarray, labels_N5: np.ndarray) -> Cells:
        """The vectorised `Cell.pruned` of cells with seven vertices; ValueError where `Cell.trouble` says so."""
        live, pruned_N = live_parts(bits_N)

        def explain(row: int) -> None:
            cell = Cell(int(bits_N[row]), tuple(labels_N5[row].tolist()))
            raise ValueError(f"{cell} is no cell of NAS-Bench-101: {cell.trouble()}")

        _refuse(~are_cells(live, pruned_N), explain)
        place = np.cumsum(live, axis=0) - live
        kept_N5 = np.full(labels_N5.shape, -1, np.int8)
        for v in range(1, INNER + 1):
            rows = np.flatnonzero(live[v])
            kept_N5[rows, place[v][rows] - 1] = labels_N5[rows, v - 1]
        return cls(pruned_N, kept_N5)

    def __len__(self) -> int:
        return len(self.bits_N)

    def __getitem__(self, row: int) -> Cell:
        return Cell(int(self.bits_N[row]), tuple(label for label in self.labels_N5[row].tolist() if label >= 0))

    def __iter__(self) -> Iterator[Cell]:
        return (self[row] for row in range(len(self)))

    def take(self, rows: np.ndarray) -> Cells:
        return Cells(self.bits_N[rows], self.labels_N5[rows])

    @cached_property
    def vertices_N(self) -> np.ndarray:
        return 2 + (self.labels_N5 >= 0).sum(axis=1)

    def strings(self) -> list[str]:
        """The strings of the architectures of the cells."""
        return [str(cell) for cell in self]

    def archs(self, space: NasBench101 = ALL) -> list[Arch]:
        """The architectures of the cells."""
        return [space.from_cell(cell) for cell in self]

    def hashes(self) -> list[str]:
        """The official hash of each cell; equal cells are hashed once."""
        keys_N = (self.bits_N << 2 * INNER) + ((self.labels_N5 & 3) << 2 * np.arange(INNER)).sum(axis=1)
        _, first, inverse_N = np.unique(keys_N, return_index=True, return_inverse=True)
        different = self.take(first)
        hashes = np.empty(len(different), "S32")
        for v in range(2, MAX_VERTICES + 1):
            rows = np.flatnonzero(different.vertices_N == v)
            for some in np.array_split(rows, range(CHUNK, len(rows), CHUNK)):
                part = different.take(some)
                if len(some) < FEW:
                    hashes[some] = [cell.hash() for cell in part]
                else:
                    hashes[some] = hash_cells(part.bits_N, part.labels_N5[:, : v - 2])
        return hashes.astype("U32")[inverse_N].tolist()

    def canonical(self) -> Cells:
        """The canonical form of each cell."""
        bits_N, labels_N5 = np.empty_like(self.bits_N), np.full_like(self.labels_N5, -1)
        for rows, bits, v in self.graphs:
            bits_N[rows], orders = orderings(bits, v)
            labels_N5[rows, : v - 2] = lowest_labels(self.labels_N5[rows, : v - 2], orders)
        return Cells(bits_N, labels_N5)

    def costs(
        self, channels: int = 128, modules: int = 3, classes: int = 10, image_size: int = 32
    ) -> tuple[np.ndarray, np.ndarray]:
        """The parameters, and the multiply-adds in millions, of each stand-alone network: `cost` of every cell."""
        sizes, totals_2N = (channels, modules, classes, image_size), np.empty((2, len(self)), np.int64)
        for rows, bits, v in self.graphs:
            chosen = np.arange(v - 2), self.labels_N5[rows, : v - 2]
            for total_N, (always, added) in zip(totals_2N, terms(bits, v, *sizes), strict=True):
                added_KO = np.array(added, np.int64).reshape(v - 2, len(OPERATIONS))
                total_N[rows] = always + added_KO[chosen].sum(axis=1)
        return totals_2N[0], totals_2N[1] / 1e6

    def facts(self) -> dict[str, np.ndarray]:
        """`NasBench101.facts` of every cell."""
        params_N, mflops_N = self.costs()
        depth_N = np.empty(len(self))
        for rows, bits, v in self.graphs:
            depth_N[rows] = depth(bits, v)
        found = {"parameters": params_N.astype(float), "multiply_adds": mflops_N}
        return {
            **found,
            **{f"live_{name}": values for name, values in found.items()},
            "convolutions": ((self.labels_N5 == 0) | (self.labels_N5 == 1)).sum(axis=1).astype(float),
            "convolutions_3x3": (self.labels_N5 == 0).sum(axis=1).astype(float),
            "live_depth": depth_N,
        }

    @cached_property
    def graphs(self) -> list[tuple[np.ndarray, int, int]]:
        """For each different graph without labels: the rows that have it, its bits, its number of vertices."""
        keys_N = self.bits_N * (MAX_VERTICES + 1) + self.vertices_N
        order_N = np.argsort(keys_N, kind="stable")
        keys_G, starts_G = np.unique(keys_N[order_N], return_index=True)
        parts = np.split(order_N, starts_G)[1:]
        return [(rows, *divmod(int(key), MAX_VERTICES + 1)) for key, rows in zip(keys_G, parts, strict=True)]


def live_parts(bits_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which of the seven vertices lie between input and output, [V, N] of 0 and 1, and the bits without the others."""
    into = [bits_N >> COLUMN[b] & (1 << b) - 1 for b in range(MAX_VERTICES)]
    reached, needed = np.ones_like(bits_N), np.full_like(bits_N, 1 << MAX_VERTICES - 1)
    for b in range(1, MAX_VERTICES):
        reached |= (into[b] & reached != 0).astype(np.int64) << b
    for b in reversed(range(MAX_VERTICES)):
        needed |= np.where(needed >> b & 1, into[b], 0)
    live_VN = np.array([(reached & needed) >> v & 1 for v in range(MAX_VERTICES)])
    place_VN = np.cumsum(live_VN, axis=0) - live_VN
    pruned_N = np.zeros_like(bits_N)
    for k, (a, b) in enumerate(EDGES):
        pruned_N |= (bits_N >> k & live_VN[a] & live_VN[b]) << COLUMN[place_VN[b]] + place_VN[a]
    return live_VN, pruned_N


def edge_count(bits_N: np.ndarray) -> np.ndarray:
    return sum((bits_N >> k & 1 for k in range(len(EDGES))), np.zeros_like(bits_N))


def are_cells(live_VN: np.ndarray, pruned_N: np.ndarray) -> np.ndarray:
    """Whether input and output are connected, by at most nine edges."""
    return (live_VN[-1] == 1) & (edge_count(pruned_N) <= MAX_EDGES)


@lru_cache(maxsize=1)
def models() -> Cells:
    """All 423,624 different models, each as its canonical cell, in the order of the official generator."""
    bits, labels = [np.empty(0, np.int64)], [np.empty((0, INNER), np.int8)]
    for v in range(2, MAX_VERTICES + 1):
        every_K = np.array(list(product(range(len(OPERATIONS)), repeat=v - 2)), np.int8)
        for graph in _whole_graphs(v):
            lowest, orders = orderings(graph, v)
            if lowest == graph:
                own = every_K[(lowest_labels(every_K, orders) == every_K).all(axis=1)]
                bits.append(np.full(len(own), graph))
                labels.append(np.pad(own, ((0, 0), (0, INNER - v + 2)), constant_values=-1))
    return Cells(np.concatenate(bits), np.concatenate(labels))


def draw_models(n: int, rng: np.random.Generator) -> list[Arch]:
    """Architectures drawn uniformly over the different models; `samplers.uniform` draws over labelled graphs."""
    return models().take(rng.integers(len(models()), size=n)).archs()


def _whole_graphs(v: int) -> list[int]:
    """The bits of all graphs of V vertices within the limit on edges in which pruning removes nothing."""
    bits_N = np.arange(1 << v * (v - 1) // 2)
    edges = {(a, b): bits_N >> COLUMN[b] + a & 1 for b in range(v) for a in range(b)}
    good_N = sum(edges.values()) <= MAX_EDGES
    for v1 in range(v):
        good_N &= (v1 == 0) | (sum(edge for (_, b), edge in edges.items() if b == v1) > 0)
        good_N &= (v1 == v - 1) | (sum(edge for (a, _), edge in edges.items() if a == v1) > 0)
    return np.flatnonzero(good_N).tolist()


def lowest_labels(labels_NK: np.ndarray, orders: Sequence[Sequence[int]]) -> np.ndarray:
    """The lowest of each row of labels under the given orders of the inner vertices."""
    choices_NOK = labels_NK[:, np.array(orders, np.intp) - 1]
    weights_K = len(OPERATIONS) ** np.arange(labels_NK.shape[1])[::-1]
    return choices_NOK[np.arange(len(labels_NK)), (choices_NOK * weights_K).sum(axis=2).argmin(axis=1)]


def _embedded(bits_N: np.ndarray, labels_NK: np.ndarray, vertices_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The same cells with seven vertices: the edges to the output move, missing vertices get no edges."""
    inner_N = COLUMN[vertices_N - 1]
    labels_N5 = np.zeros((len(bits_N), INNER), np.int64)
    labels_N5[:, : labels_NK.shape[1]] = labels_NK
    return bits_N & (1 << inner_N) - 1 | bits_N >> inner_N << OUTPUT_BITS, labels_N5


def _array(rows: Sequence[Sequence[int]], shape: tuple[int, int]) -> np.ndarray:
    """Rows of integers as an array; every entry -1 where they are no integers, or too many or few."""
    try:
        array = np.array(rows)
    except ValueError:  # of different lengths
        array = np.empty(0)
    return array if array.shape == shape and array.dtype.kind in "iu" else np.full(shape, -1)


def _refuse(bad_N: np.ndarray, explain: Callable[[int], object]) -> None:
    """Raises the error of the first bad row, with its number."""
    for row in np.flatnonzero(bad_N).tolist():
        try:
            explain(row)
        except ValueError as error:
            raise ValueError(f"row {row + 1}: {error}") from None

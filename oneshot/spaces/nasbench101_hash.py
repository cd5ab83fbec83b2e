"""The official hash of many NAS-Bench-101 cells at once; its slow twin is `Cell.hash`.

Shapes: N cells of V vertices, S = N V vertices of all cells, M of them with the same degrees, L letters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from math import sin

import numpy as np

DIGITS = 32
LANES = 1 << 14
"""Messages digested together: their words stay in the processor's cache."""

INITIAL = np.array([0x67452301, 0xEFCDAB89, 0x98BADCFE, 0x10325476], np.uint32)
SINES = np.array([int(abs(sin(i)) * 2**32) for i in range(1, 65)], np.uint32)
SHIFTS = np.array([(7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21)], np.uint32)
ORDERS = ((1, 0), (5, 1), (3, 5), (7, 0))
"""The word that step i of each turn takes is `factor * i + offset` modulo 16."""

HEXADECIMAL = np.frombuffer(bytes(range(256)).hex().encode(), "<u2")


def hash_cells(bits_N: np.ndarray, labels_NK: np.ndarray) -> np.ndarray:
    """The hashes, 32 hexadecimal digits each, of pruned cells with K inner vertices."""
    n, v = len(bits_N), labels_NK.shape[1] + 2
    edges_NVV = np.zeros((n, v, v), bool)
    for b in range(v):
        for a in range(b):
            edges_NVV[:, a, b] = bits_N >> b * (b - 1) // 2 + a & 1
    labels_NV = np.pad(labels_NK.astype(np.int64), ((0, 0), (1, 1)), constant_values=((0, 0), (-1, -2)))
    kinds = list(_kinds(edges_NVV))
    hashes_S = _first(edges_NVV, labels_NV)
    for _ in range(v):
        new_S = np.empty_like(hashes_S)
        for rows_M, into, out in kinds:
            near = (np.sort(hashes_S[into], axis=1), "|", np.sort(hashes_S[out], axis=1), "|", hashes_S[rows_M, None])
            new_S[rows_M] = md5(_text(*near))
        hashes_S = new_S
    columns = np.sort(hashes_S.reshape(n, v), axis=1)
    listed = [part for i in range(v) for part in (", '" if i else "['", columns[:, i : i + 1], "'")]
    return md5(_text(*listed, "]"))


def _kinds(edges_NVV: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Vertices (M,) of the same degrees, the sources (M, in) and targets (M, out) of each, all as indices to S."""
    v = edges_NVV.shape[-1]
    cell, target, source = np.nonzero(edges_NVV.transpose(0, 2, 1))
    sources = cell * v + source
    cell, source, target = np.nonzero(edges_NVV)
    targets = cell * v + target
    into_S, out_S = edges_NVV.sum(axis=1).ravel(), edges_NVV.sum(axis=2).ravel()
    into_start, out_start = np.cumsum(into_S) - into_S, np.cumsum(out_S) - out_S
    kind_S = into_S * v + out_S
    for kind in np.unique(kind_S).tolist():
        rows = np.flatnonzero(kind_S == kind)
        into, out = divmod(kind, v)
        yield rows, sources[into_start[rows, None] + np.arange(into)], targets[out_start[rows, None] + np.arange(out)]


def _first(edges_NVV: np.ndarray, labels_NV: np.ndarray) -> np.ndarray:
    """The hash of each vertex's degrees and label, before it has heard of its neighbours."""
    triples = np.stack([edges_NVV.sum(axis=2), edges_NVV.sum(axis=1), labels_NV], axis=-1).reshape(-1, 3)
    code_S = triples @ (100, 10, 1)
    _, first, inverse_S = np.unique(code_S, return_index=True, return_inverse=True)
    texts = [str(tuple(triples[row].tolist())).encode() for row in first]
    return np.array([hashlib.md5(t, usedforsecurity=False).hexdigest().encode() for t in texts], "S32")[inverse_S]


def _text(*parts: np.ndarray | str) -> np.ndarray:
    """The letters (M, L) of hashes (M, D) and of texts that are the same in each row, one after the other."""
    m = next(len(part) for part in parts if not isinstance(part, str))
    letters = [
        np.broadcast_to(np.frombuffer(part.encode(), np.uint8), (m, len(part)))
        if isinstance(part, str)
        else np.ascontiguousarray(part).view(np.uint8).reshape(m, DIGITS * part.shape[1])
        for part in parts
    ]
    return np.concatenate(letters, axis=1)


def md5(text_ML: np.ndarray) -> np.ndarray:
    """The MD5 digest (RFC 1321) of each row of letters, as 32 hexadecimal digits."""
    m, length = text_ML.shape
    padded = np.zeros((m, (length + 72) // 64 * 64), np.uint8)
    padded[:, :length] = text_ML
    padded[:, length] = 0x80
    padded[:, -8:] = np.frombuffer((8 * length).to_bytes(8, "little"), np.uint8)
    words = padded.view("<u4")
    digests = np.empty((m, 4), "<u4")
    for start in range(0, m, LANES):
        part = slice(start, start + LANES)
        digests[part] = _digests(np.ascontiguousarray(words[part].T)).T
    return HEXADECIMAL[digests.view(np.uint8)].view(f"S{DIGITS}").ravel()


def _digests(words_WM: np.ndarray) -> np.ndarray:
    """The four words of the digests (4, M) of padded messages of W words."""
    state = np.repeat(INITIAL, words_WM.shape[1]).reshape(4, -1)
    spare = np.empty_like(state[0])
    for start in range(0, len(words_WM), 16):
        a, b, c, d = state.copy()
        mixed = np.empty_like(a)
        for step in range(64):
            turn, of_turn = divmod(step, 16)
            if turn == 0:  # (b & c) | (~b & d)
                np.bitwise_xor(c, d, out=mixed)
                mixed &= b
                mixed ^= d
            elif turn == 1:  # (b & d) | (c & ~d)
                np.bitwise_xor(b, c, out=mixed)
                mixed &= d
                mixed ^= c
            elif turn == 2:
                np.bitwise_xor(b, c, out=mixed)
                mixed ^= d
            else:
                np.bitwise_not(d, out=mixed)
                mixed |= b
                mixed ^= c
            factor, offset = ORDERS[turn]
            mixed += a
            mixed += SINES[step]
            mixed += words_WM[start + (factor * of_turn + offset) % 16]
            shift = SHIFTS[turn][step % 4]
            np.right_shift(mixed, 32 - shift, out=spare)
            mixed <<= shift
            mixed |= spare
            mixed += b
            a, b, c, d, mixed = d, mixed, b, c, a
        state += (a, b, c, d)
    return state

"""Rows by string and by key, against the dictionary and the sorting that one would write first."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oneshot.benchmarks import index
from oneshot.benchmarks.index import Keyed, Keys, ordered, packed
from oneshot.benchmarks.table import Benchmark, write, write_strings

from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL, CONV, NasBench201

EDGE_KEYS = [
    b"\0" * 16,
    b"\0" * 15 + b"\1",
    b"\1" + b"\0" * 15,
    b"a" + b"\0" * 15,
    b"\x7f" * 16,
    b"\x80" * 16,
    b"\xff" * 16,
]


@dataclass(frozen=True)
class Classes(NasBench201):
    """Cells that compute the same function share a hash."""

    def graph_hash(self, arch: Arch) -> str:
        return hashlib.md5(self.format(self.canonical(arch)).encode()).hexdigest()


KEYED = Classes("nasbench201", ALL.decisions)


def shuffled() -> list[Arch]:
    every = list(KEYED)
    return [every[i] for i in np.random.default_rng(2).permutation(len(every))]


def keys(n: int) -> list[bytes]:
    rng = np.random.default_rng(0)
    return [*EDGE_KEYS, *(rng.bytes(16) for _ in range(n - len(EDGE_KEYS)))]


def column(values: list[bytes], chunk: int = 1000) -> pa.ChunkedArray:
    """In several chunks, the first of which does not begin at its buffer's beginning."""
    whole = pa.array([b"?" * 16, *values], pa.binary(16))[1:]
    return pa.chunked_array([whole[i : i + chunk] for i in range(0, len(whole), chunk)])


@pytest.fixture
def classes(tmp_path: Path) -> Benchmark:
    """A row for each of 200 functions, some of convolutions alone; the value is the place in which it was written."""
    of: dict[Arch, Arch] = {}
    for arch in [*(KEYED.parse(CONV.format(arch)) for arch in list(CONV)[::6]), *shuffled()]:
        of.setdefault(KEYED.canonical(arch), arch)
    archs = list(of.values())[:200]
    digests = [bytes.fromhex(KEYED.graph_hash(arch)) for arch in archs]
    strings = [KEYED.format(arch) for arch in archs]
    return write_strings(tmp_path / "classes.parquet", strings, {"place": np.arange(200)}, KEYED, {}, digests)


@pytest.mark.parametrize("order", ["ascending", "shuffled"])
def test_keys_find_what_a_dictionary_finds(order: str) -> None:
    values = sorted(keys(5000))
    if order == "shuffled":
        values = [values[i] for i in np.random.default_rng(1).permutation(len(values))]
    kept = [value for i, value in enumerate(values) if i % 3]
    slow = {value: row for row, value in enumerate(kept)}
    np.testing.assert_array_equal(Keys(column(kept)).rows(values), [slow.get(value, -1) for value in values])
    assert Keys(column(kept)).rows([]).tolist() == []


def test_keys_of_another_length_and_gaps() -> None:
    with pytest.raises(ValueError, match=r"expected a key of 16 bytes, got 3: b'abc'"):
        packed([b"a" * 16, b"abc"])
    with pytest.raises(ValueError, match="expected a key in every row, 1 of 2 have none"):
        Keys(pa.chunked_array([pa.array([b"a" * 16, None], pa.binary(16))]))


def test_order_is_that_of_bytes() -> None:
    values = keys(300)
    order, stored = ordered(values, ["x"] * 300)
    assert order is not None
    assert [values[row] for row in order] == stored.to_pylist() == sorted(values)
    again, same = ordered(sorted(values), ["x"] * 300)
    assert again is None
    assert same.to_pylist() == sorted(values)
    with pytest.raises(ValueError, match=r"rows 1 and 3 have the same key 6161.*: 'x' and 'z'"):
        ordered([b"a" * 16, b"b" * 16, b"a" * 16], ["x", "y", "z"])
    with pytest.raises(ValueError, match="expected a key for each of 2 architectures, got 1"):
        ordered([b"a" * 16], ["x", "y"])


@pytest.mark.parametrize("few", [1000, 1], ids=["by key", "strings first"])
def test_a_keyed_table_finds_every_member_of_a_class(
    classes: Benchmark, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "FEW", few)
    assert isinstance(KEYED, Keyed)
    slow = {KEYED.canonical(arch): row for row, arch in enumerate(classes.archs)}
    asked = [arch for arch in list(KEYED)[::7] if KEYED.canonical(arch) in slow]
    expected = [slow[KEYED.canonical(arch)] for arch in asked]
    assert len(set(expected)) > 50
    np.testing.assert_array_equal(classes.rows_of(asked), expected)
    mixed = [text if row % 2 else KEYED.parse(text) for row, text in enumerate(classes.strings)]
    np.testing.assert_array_equal(classes.rows_of(mixed), np.arange(200))
    np.testing.assert_array_equal(classes.rows_of([KEYED.graph_hash(arch) for arch in asked]), expected)
    assert classes.query(asked[:3])["arch"].tolist() == [classes.strings[row] for row in expected[:3]]
    missing = next(arch for arch in KEYED if KEYED.canonical(arch) not in slow)
    with pytest.raises(ValueError, match="1 of 2 architectures are not among the 200 of classes"):
        classes.rows_of([asked[0], missing])


def test_rows_are_in_the_order_of_the_keys(classes: Benchmark) -> None:
    stored = pq.read_table(classes.path).column("hash").to_pylist()
    assert stored == sorted(stored)
    assert [bytes.fromhex(KEYED.graph_hash(arch)) for arch in classes.archs] == stored
    assert sorted(classes.values("place")) == list(range(200))
    assert classes.columns == ("place",)


def test_a_view_of_a_keyed_table(classes: Benchmark) -> None:
    conv = Classes("nasbench201-conv", CONV.decisions)
    view = classes.within(conv)
    assert 1 < len(view) < 20
    assert all("none" not in text and "skip" not in text and "pool" not in text for text in view.strings)
    in_whole = [KEYED.graph_hash(KEYED.parse(text)) for text in view.strings]
    np.testing.assert_array_equal(view.rows_of(in_whole), np.arange(len(view)))
    np.testing.assert_array_equal(view.values("place"), classes.values("place")[classes.rows_of(in_whole)])
    assert view.query(in_whole[1:])["arch"].tolist() == view.strings[1:]
    outside = next(text for text in classes.strings if text not in view.strings)
    with pytest.raises(ValueError, match=f"1 of 1 architectures are not among the {len(view)} of classes"):
        view.rows_of([KEYED.graph_hash(KEYED.parse(outside))])


def test_strings_are_used_where_a_space_has_no_keys(classes: Benchmark, tmp_path: Path) -> None:
    plain = Benchmark.open(classes.path, ALL)
    assert not isinstance(ALL, Keyed)
    np.testing.assert_array_equal(plain.rows_of(plain.strings), np.arange(200))
    known = set(plain.archs)
    other = next(arch for arch in map(ALL.canonical, plain.archs) if arch not in known)
    assert other not in plain
    assert other in classes
    table = write(tmp_path / "text.parquet", plain.archs[:2], {"a": [1, 2]}, KEYED, {})
    assert table.rows_of(plain.strings[:2]).tolist() == [0, 1]
    assert other not in table


def test_a_few_rows_are_spelled_from_their_row_groups(
    classes: Benchmark, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pq.read_table(classes.path), tmp_path / "groups.parquet", row_group_size=64)
    asked = [5, 199, 0, 63, 64, 128, 5]
    fresh = Benchmark.open(tmp_path / "groups.parquet", KEYED)
    expected = [classes.strings[row] for row in asked]
    monkeypatch.setattr(index.Index, "strings", property(lambda self: pytest.fail("read all strings")))
    assert fresh.query(expected)["arch"].tolist() == expected

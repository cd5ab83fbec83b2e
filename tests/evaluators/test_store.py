"""Predictions in SQLite: asked once, kept by protocol, safe from damage."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from oneshot.evaluators.base import Prediction, Predictions
from oneshot.evaluators.store import Stored

from oneshot.space import Arch
from oneshot.spaces.nasbench201 import CONV

ARCHS = list(CONV)


class Counting:
    """Predicts the index, and remembers what it was asked."""

    space = CONV

    def __init__(self, protocol: str = "a", fail_at: int = 10**9) -> None:
        self.protocol: dict[str, Any] = {"evaluator": protocol}
        self.asked: list[Arch] = []
        self.fail_at = fail_at

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        self.asked += archs
        if len(self.asked) > self.fail_at:
            raise KeyboardInterrupt
        values = tuple(Prediction(float(ARCHS.index(arch)), 0.5, 100) for arch in archs)
        return Predictions(CONV, tuple(archs), values, self.protocol)


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    inner = Counting()
    stored = Stored(inner, tmp_path / "p.sqlite", chunk=3)
    first = stored([*ARCHS[:5], ARCHS[0]])
    assert first.accuracy.tolist() == [0, 1, 2, 3, 4, 0]
    again = Counting()
    second = Stored(again, tmp_path / "p.sqlite")(ARCHS[3:7][::-1])
    assert second.accuracy.tolist() == [6, 5, 4, 3]
    assert sorted(again.asked) == sorted(ARCHS[5:7])
    assert len(inner.asked) == 5


def test_another_protocol_is_another_prediction(tmp_path: Path) -> None:
    Stored(Counting("a"), tmp_path / "p.sqlite")(ARCHS[:3])
    other = Counting("b")
    Stored(other, tmp_path / "p.sqlite")(ARCHS[:3])
    assert len(other.asked) == 3


def test_what_was_reported_survives_a_stop(tmp_path: Path) -> None:
    reported: list[Arch] = []
    stored = Stored(Counting(fail_at=4), tmp_path / "p.sqlite", chunk=2)
    with pytest.raises(KeyboardInterrupt):
        stored(ARCHS[:10], on_chunk=lambda archs, values: reported.extend(archs))
    assert reported == ARCHS[:4]
    after, again = Counting(), list[Arch]()
    Stored(after, tmp_path / "p.sqlite")(ARCHS[:10], on_chunk=lambda archs, values: again.extend(archs))
    assert after.asked == ARCHS[4:10]
    assert again == ARCHS[:10]


def test_a_held_file_keeps_its_log_until_it_is_let_go(tmp_path: Path) -> None:
    stored, log = Stored(Counting(), tmp_path / "p.sqlite"), tmp_path / "p.sqlite-wal"
    with stored.held():
        stored(ARCHS[:3])
        assert log.stat().st_size > 0
        assert Stored(Counting(), tmp_path / "p.sqlite").count() == 3
    assert not log.exists()
    assert stored.count() == 3


def test_damage_is_named(tmp_path: Path) -> None:
    path = tmp_path / "p.sqlite"
    path.write_bytes(b"no database at all" * 100)
    with pytest.raises(ValueError, match="is no intact database of predictions"):
        Stored(Counting(), path)
    with pytest.raises(OSError, match="cannot be used"):
        Stored(Counting(), tmp_path / "missing" / "p.sqlite")


def test_a_full_disk_is_an_error_and_keeps_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "p.sqlite"
    stored = Stored(Counting(), path)
    stored(ARCHS[:8])
    real = sqlite3.connect

    def small(*args: Any, **named: Any) -> sqlite3.Connection:
        connection = real(*args, **named)
        connection.execute(f"PRAGMA max_page_count={connection.execute('PRAGMA page_count').fetchone()[0]}")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)
    with pytest.raises(OSError, match=r"cannot be used: database or disk is full"):
        Stored(Counting("another protocol" * 9000), path)
    monkeypatch.undo()
    fresh = Counting()
    assert Stored(fresh, path)(ARCHS[:8]).accuracy.tolist() == list(range(8))
    assert not fresh.asked


def test_a_file_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    """It has no column of balanced accuracies."""
    path = tmp_path / "p.sqlite"
    Stored(Counting(), path)(ARCHS[:2])
    with sqlite3.connect(path) as connection:
        connection.execute("ALTER TABLE predictions DROP COLUMN balanced_accuracy")
    inner = Counting()
    found = Stored(inner, path)(ARCHS[:3])
    assert inner.asked == ARCHS[2:3]
    assert [value.balanced for value in found.values] == [None] * 3
    stored = Stored(inner, path)
    stored.keep(ARCHS[5:6], [Prediction(90.0, 0.5, 100, 50.0)])
    assert stored.known(ARCHS[5:6]) == {ARCHS[5]: Prediction(90.0, 0.5, 100, 50.0)}

"""Predictions in SQLite: asked once, kept by protocol, safe from damage."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sqlite3
import warnings
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from oneshot.evaluators.base import Prediction, Predictions
from oneshot.evaluators.store import Stored

from oneshot.space import Arch
from oneshot.spaces.nasbench201 import CONV

if TYPE_CHECKING:
    from tests.conftest import SmallDisk

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


@pytest.fixture
def full(monkeypatch: pytest.MonkeyPatch) -> None:
    """No database grows by a page."""
    real = sqlite3.connect

    def small(*args: Any, **named: Any) -> sqlite3.Connection:
        connection = real(*args, **named)
        with suppress(sqlite3.OperationalError):
            connection.execute(f"PRAGMA max_page_count={connection.execute('PRAGMA page_count').fetchone()[0]}")
        return connection

    monkeypatch.setattr(sqlite3, "connect", small)


def test_a_full_disk_keeps_nothing_from_being_read(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    path = tmp_path / "p.sqlite"
    Stored(Counting(), path)(ARCHS[:8])
    request.getfixturevalue("full")
    again, reported = Counting(), list[Arch]()
    with pytest.warns(UserWarning, match=r"p\.sqlite cannot be written, so predictions are not kept: .*full"):
        stored = Stored(Counting("another protocol" * 9000), path)
    with warnings.catch_warnings(action="error"):  # it is told once
        found = stored(ARCHS[:4], on_chunk=lambda archs, values: reported.extend(archs))
    assert found.accuracy.tolist() == [0, 1, 2, 3]
    assert reported == ARCHS[:4]
    assert stored.count() == 0
    assert Stored(again, path)(ARCHS[:8]).accuracy.tolist() == list(range(8))
    assert not again.asked


@pytest.mark.parametrize("killed", [False, True])
def test_a_disk_without_a_free_byte(small_disk: SmallDisk, killed: bool) -> None:
    """Also where a killed process left SQLite's log, in which the predictions still are."""
    path = small_disk.path / "p.sqlite"
    if killed:
        process = multiprocessing.get_context("fork").Process(target=_killed_while_held, args=(path,))
        process.start()
        process.join()
        assert (small_disk.path / "p.sqlite-wal").stat().st_size > 0
        (small_disk.path / "p.sqlite-shm").unlink()
    else:
        Stored(Counting(), path)(ARCHS[:8])
    small_disk.fill()
    evaluator = Counting()
    with pytest.warns(UserWarning, match=r"p\.sqlite cannot be written, so predictions are not kept"):
        assert Stored(evaluator, path)(ARCHS[:9]).accuracy.tolist() == list(range(9))
    assert evaluator.asked == ARCHS[8:9]
    small_disk.free()
    evaluator = Counting()
    assert Stored(evaluator, path)(ARCHS[:9]).accuracy.tolist() == list(range(9))
    assert evaluator.asked == ARCHS[8:9]
    assert Stored(evaluator, path).count() == 9


def _killed_while_held(path: Path) -> None:
    stored = Stored(Counting(), path)
    with stored.held():
        stored(ARCHS[:8])
        os.kill(os.getpid(), signal.SIGKILL)


def test_without_a_file_predictions_go_on(small_disk: SmallDisk) -> None:
    small_disk.fill()
    with pytest.warns(UserWarning, match="are not kept"):
        stored = Stored(Counting(), small_disk.path / "p.sqlite")
    assert stored(ARCHS[:3]).accuracy.tolist() == [0, 1, 2]
    small_disk.free()
    assert stored(ARCHS[:3]).accuracy.tolist() == [0, 1, 2]
    assert stored.count() == 3


def test_a_busy_file_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "p.sqlite"
    stored = Stored(Counting(), path, timeout=0.05)
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match="cannot be used: database is locked"):
            stored(ARCHS[:2])


@pytest.mark.parametrize(
    ("column", "value"),
    [("accuracy", "'high'"), ("accuracy", "1e9"), ("loss", "x'00'"), ("images", "'many'"), ("images", "0")],
)
def test_what_is_no_prediction_is_named(tmp_path: Path, column: str, value: str) -> None:
    path = tmp_path / "p.sqlite"
    Stored(Counting(), path)(ARCHS[:2])
    with sqlite3.connect(path) as connection:
        connection.execute(f"UPDATE predictions SET {column} = {value} WHERE arch = ?", (CONV.format(ARCHS[1]),))
    connection.close()
    with pytest.raises(ValueError, match=rf"p\.sqlite holds what is no prediction: .*{column} "):
        Stored(Counting(), path)(ARCHS[:2])


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

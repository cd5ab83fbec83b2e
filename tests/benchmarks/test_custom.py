"""Tables of one's own: columns, journal, and continuing."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from pathlib import Path

import pytest
from oneshot.benchmarks.custom import Journal, create

from oneshot.space import Arch
from oneshot.spaces.nasbench201 import CONV

ARCHS = list(CONV)[:4]
PROTOCOL = {"epochs": 3, "recipe": {"rate": 0.1}}


def measure(arch: Arch, seed: int) -> Mapping[str, float]:
    value = 50.0 + ARCHS.index(arch) + 10 * seed
    return {"test_accuracy": value, "valid_accuracy": value - 1, "valid_loss": 0.5, "seconds": 2.0}


class Counting:
    def __init__(self, fail_at: int) -> None:
        self.left = fail_at

    def __call__(self, arch: Arch, seed: int) -> Mapping[str, float]:
        if self.left == 0:
            raise KeyboardInterrupt
        self.left -= 1
        return measure(arch, seed)


@pytest.mark.parametrize("workers", [1, 2])
def test_columns_are_means_and_seeds(tmp_path: Path, workers: int) -> None:
    table = create(tmp_path / "t.parquet", CONV, ARCHS, [0, 1], measure, "digits", PROTOCOL, {"command": "c"}, workers)
    assert table.values("digits_test").tolist() == [55, 56, 57, 58]
    assert table.values("digits_valid_seed1").tolist() == [59, 60, 61, 62]
    assert (table.truth, table.default_ceiling("digits_test")) == ("digits_test", "digits_valid")
    assert table.metadata["protocol"] == PROTOCOL
    assert table.metadata["command"] == "c"
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]


def test_one_set_of_images_is_no_ceiling(tmp_path: Path) -> None:
    def same(arch: Arch, seed: int) -> Mapping[str, float]:
        return {**measure(arch, seed), "valid_accuracy": measure(arch, seed)["test_accuracy"]}

    table = create(tmp_path / "t.parquet", CONV, ARCHS, [0, 1], same, "d", PROTOCOL, {})
    assert list(table.columns) == ["d_test", "d_test_seed0", "d_test_seed1", "seconds"]
    assert (table.truth, table.default_ceiling("d_test")) == ("d_test", None)


def test_a_stopped_table_continues(tmp_path: Path) -> None:
    target = tmp_path / "t.parquet"
    with pytest.raises(KeyboardInterrupt):
        create(target, CONV, ARCHS, [0, 1], Counting(5), "d", PROTOCOL, {})
    assert not target.exists()
    with (tmp_path / "t.parquet.journal").open("a") as file:
        file.write('{"arch": "|nor')  # cut short
    started, steps = [], []
    rest = Counting(3)
    create(target, CONV, ARCHS, [0, 1], rest, "d", PROTOCOL, {}, 1, started.append, lambda: steps.append(1))
    assert (started, len(steps), rest.left) == ([5], 3, 0)
    whole = create(tmp_path / "w.parquet", CONV, ARCHS, [0, 1], measure, "d", PROTOCOL, {})
    assert whole.values("d_test").tolist() == [55, 56, 57, 58]


def test_a_training_is_on_disk_before_it_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a loss of power takes away is never a training that was told as done."""
    journal, safe, told = tmp_path / "t.parquet.journal", [0], list[int]()
    fsync = os.fsync

    def observed(descriptor: int) -> None:
        fsync(descriptor)
        if journal.exists() and os.path.samestat(os.fstat(descriptor), journal.stat()):
            safe.append(journal.stat().st_size)

    monkeypatch.setattr("os.fsync", observed)

    def done() -> None:
        assert safe[-1] == journal.stat().st_size  # nothing is left in the memory of the machine
        told.append(journal.read_bytes().count(b"\n") - 1)

    create(tmp_path / "t.parquet", CONV, ARCHS, [0, 1], measure, "d", PROTOCOL, {}, 1, told.append, done)
    assert told == list(range(9))
    assert len(safe) == 1 + 9  # the header, too


def test_another_tables_journal_is_refused(tmp_path: Path) -> None:
    target = tmp_path / "t.parquet"
    with pytest.raises(KeyboardInterrupt):
        create(target, CONV, ARCHS, [0], Counting(2), "d", PROTOCOL, {})
    before = (tmp_path / "t.parquet.journal").read_bytes()
    with pytest.raises(ValueError, match=r"recipe.rate 0.1 there, 0.2 now; remove it or choose another"):
        create(target, CONV, ARCHS, [0], measure, "d", {**PROTOCOL, "recipe": {"rate": 0.2}}, {})
    assert (tmp_path / "t.parquet.journal").read_bytes() == before


def test_nothing_to_measure_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs architectures and seeds, got 0 and 1"):
        create(tmp_path / "t.parquet", CONV, [], [0], measure, "d", PROTOCOL, {})
    assert not list(tmp_path.iterdir())


def test_a_damaged_journal_is_refused(tmp_path: Path) -> None:
    journal = tmp_path / "j"
    journal.write_text("not json\n{}\n")
    with pytest.raises(ValueError, match=r"line 1 of .*j is no journal entry"):
        Journal(journal, {})
    journal.write_text(json.dumps({"header": {}}) + "\n{}\n")
    with pytest.raises(ValueError, match=r"line 2 of .*j is no journal entry"):
        Journal(journal, {})


@pytest.mark.parametrize("content", [b"notes of somebody", b"notes\nof somebody\n", b'{"arch": "|nor_conv_3x3~0|"'])
def test_a_foreign_journal_is_left_alone(tmp_path: Path, content: bytes) -> None:
    """Also one whose header was lost, with results that are somebody's."""
    journal = tmp_path / "t.parquet.journal"
    journal.write_bytes(content)
    with pytest.raises(ValueError, match=r"is no journal of a table; it is left as it is: move it away"):
        create(tmp_path / "t.parquet", CONV, ARCHS, [0], measure, "d", PROTOCOL, {})
    assert journal.read_bytes() == content
    assert [path.name for path in tmp_path.iterdir()] == [journal.name]


@pytest.mark.parametrize("length", [0, 1, 40])
def test_a_header_that_was_cut_short_is_begun_again(tmp_path: Path, length: int) -> None:
    journal = tmp_path / "t.parquet.journal"
    Journal(journal, {"space": CONV.name, **PROTOCOL})
    journal.write_bytes(journal.read_bytes()[:length])
    create(tmp_path / "t.parquet", CONV, ARCHS, [0], measure, "d", PROTOCOL, {})
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_a_finished_table_is_kept(tmp_path: Path) -> None:
    """The same call trains nothing again, another one is refused, and a stranger's journal stays."""
    target, journal = tmp_path / "t.parquet", tmp_path / "t.parquet.journal"
    create(target, CONV, ARCHS, [0, 1], measure, "d", PROTOCOL, {})
    before, started = target.read_bytes(), list[int]()
    journal.write_text("notes")
    nothing = Counting(0)
    assert create(target, CONV, ARCHS, [0, 1], nothing, "d", PROTOCOL, {}, 1, started.append).values("d_test").size == 4
    assert started == [8]
    assert journal.read_text() == "notes"
    for archs, seeds, protocol, told in (
        (ARCHS, [0], PROTOCOL, r"seeds \[0, 1\] there, \[0\] now"),
        (ARCHS[:2], [0, 1], PROTOCOL, "architectures 4 there, 2 now"),
        (list(CONV)[1:5], [0, 1], PROTOCOL, "other architectures"),
        (ARCHS, [0, 1], {**PROTOCOL, "epochs": 4}, "protocol.epochs 3 there, 4 now"),
    ):
        with pytest.raises(ValueError, match=f"is a table made otherwise: {told}; move it away"):
            create(target, CONV, archs, seeds, nothing, "d", protocol, {})
    assert target.read_bytes() == before


def test_a_kill_between_the_table_and_the_end_leaves_no_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, journal = tmp_path / "t.parquet", tmp_path / "t.parquet.journal"
    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", lambda *_, **__: None)
        create(target, CONV, ARCHS, [0], measure, "d", PROTOCOL, {})
    assert journal.exists()
    create(target, CONV, ARCHS, [0], Counting(0), "d", PROTOCOL, {})
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]


def test_a_full_disk_names_the_journal_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target, fsync = tmp_path / "t.parquet", os.fsync

    def full(descriptor: int) -> None:
        if (tmp_path / "t.parquet.journal").stat().st_size > 500:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", full)
        with pytest.raises(OSError, match=r"No space left on device: '.*t\.parquet\.journal'"):
            create(target, CONV, ARCHS, [0, 1], measure, "d", PROTOCOL, {})
    assert not target.exists()
    create(target, CONV, ARCHS, [0, 1], measure, "d", PROTOCOL, {})
    assert [path.name for path in tmp_path.iterdir()] == ["t.parquet"]

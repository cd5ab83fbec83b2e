"""Files are written whole or not at all, and names find them."""

from __future__ import annotations

import errno
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from oneshot.base.files import (
    append_line,
    clear,
    read_json,
    replacing,
    scratch,
    vacant,
    write_json,
    write_text,
    writing,
    writing_in,
)
from oneshot.base.lookup import data_folder, find_file


def test_replacing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail() -> None:
        with replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError("in the middle")

    with pytest.raises(RuntimeError, match="in the middle"):
        fail()
    assert path.read_text() == "old"
    write_text(path, "new")
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]
    assert path.read_text() == "new"


def test_nobody_sees_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed cleans nothing up: until the new content is whole and on disk, the old one is there."""
    path, seen, synced = tmp_path / "a.json", list[str](), list[bytes]()
    write_json(path, "old")
    fsync, replace = os.fsync, Path.replace

    def observed_fsync(descriptor: int) -> None:
        seen.append(f"synced beside {path.read_text().strip()}")
        synced.append(os.pread(descriptor, 100, 0))
        fsync(descriptor)

    def observed_replace(source: Path, target: Path) -> Path:
        seen.append(f"{source.read_text().strip()} takes the place of {Path(target).read_text().strip()}")
        return replace(source, target)

    monkeypatch.setattr("oneshot.base.files.os.fsync", observed_fsync)
    monkeypatch.setattr(Path, "replace", observed_replace)
    with replacing(path) as temporary:
        assert temporary != path
        assert temporary.parent == path.parent  # within one file system, where a rename is atomic
        temporary.write_text('"half')
        assert path.read_text() == '"old"\n'
        temporary.write_text('"new"\n')
    assert seen == ['synced beside "old"', '"new" takes the place of "old"']
    assert synced == [b'"new"\n']
    assert path.read_text() == '"new"\n'
    write_json(path, "newer")
    assert seen[2:] == ['synced beside "new"', '"newer" takes the place of "new"']


def test_json_round_trips_and_refuses_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_json(path, {"a": [1, None]})
    assert read_json(path) == {"a": [1, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(path, float("nan"))
    assert read_json(path) == {"a": [1, None]}
    path.write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"a\.json is no JSON document"):
        read_json(path)


def test_the_data_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONESHOT_DATA", str(tmp_path / "env"))
    assert data_folder(tmp_path / "argument") == tmp_path / "argument"
    assert data_folder() == tmp_path / "env"
    monkeypatch.delenv("ONESHOT_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_folder() == tmp_path / "cache" / "oneshot"


def test_names_find_files_in_order(tmp_path: Path) -> None:
    folder, shipped = tmp_path / "data", tmp_path / "shipped"
    folder.mkdir()
    shipped.mkdir()
    (shipped / "a.npz").write_text("shipped")
    assert find_file("a", ".npz", folder, shipped) == shipped / "a.npz"
    (folder / "a.npz").write_text("folder")
    assert find_file("a", ".npz", folder, shipped) == folder / "a.npz"
    assert find_file("a.npz", ".npz", folder, shipped) == folder / "a.npz"
    assert find_file(folder / "a.npz", ".npz") == folder / "a.npz"
    with pytest.raises(ValueError, match=r"looked for .*data/b\.npz, .*shipped/b\.npz; make it"):
        find_file("b", ".npz", folder, shipped, "make it")
    with pytest.raises(ValueError, match=r"looked for nowhere/b\.npz$"):
        find_file("nowhere/b.npz", ".npz", folder, shipped)


HOLD = """
import sys
from oneshot.base import files
with getattr(files, sys.argv[1])(sys.argv[2]):
    print("held", flush=True)
    input()
"""


@contextmanager
def elsewhere(how: str, path: Path) -> Iterator[subprocess.Popen]:
    """Another process that is the only writer of `path`."""
    command = [sys.executable, "-c", HOLD, how, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@pytest.mark.parametrize("how", ["writing", "writing_in"])
def test_the_second_writer_is_told_who_works_there(tmp_path: Path, how: str) -> None:
    path, alone = tmp_path / "target", {"writing": writing, "writing_in": writing_in}[how]
    with elsewhere(how, path) as other:
        told = (
            rf"target is being written by process {other.pid} on \S+ since \d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d: -c {how} "
        )
        with pytest.raises(BlockingIOError, match=told), alone(path):
            raise AssertionError("two writers")
        with alone(tmp_path / "another"):
            pass
        other.send_signal(signal.SIGKILL)
        other.wait()
    with alone(path), alone(path):  # a killed process keeps no lock; and one process may ask again
        write_text(path / "file" if how == "writing_in" else path, "ours")
    assert [p.name for p in tmp_path.rglob("*") if p.is_file()] == ["file" if how == "writing_in" else "target"]


def test_a_lock_that_says_nothing_is_a_lock(tmp_path: Path) -> None:
    with elsewhere("writing", tmp_path / "t"):
        (tmp_path / ".t.lock").write_text("[1]")
        with pytest.raises(BlockingIOError, match="is being written by another process; wait"), writing(tmp_path / "t"):
            pass


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def lacking(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr("fcntl.flock", lacking)
    with pytest.warns(UserWarning, match="new: this file system has no locks"), writing_in(tmp_path / "new"):
        write_text(tmp_path / "new" / "file", "x")
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["file"]


def test_a_folder_that_stays_empty_is_taken_away_again(tmp_path: Path) -> None:
    with writing_in(tmp_path / "new"):
        assert (tmp_path / "new").is_dir()
    assert not (tmp_path / "new").exists()
    (tmp_path / "old").mkdir()
    with writing_in(tmp_path / "old"):
        pass
    assert (tmp_path / "old").is_dir()


def test_what_a_killed_writer_left_is_removed_by_the_next(tmp_path: Path) -> None:
    left, others = (
        [".a.json.123.tmp", f".a.json.{os.getpid()}.tmp"],
        [".b.json.123.tmp", ".a.json.x.tmp", ".a.json.tmp"],
    )
    for name in (*left, *others):
        (tmp_path / name).write_text("half")
    with elsewhere("writing", tmp_path / "other"):
        write_json(tmp_path / "a.json", 0)  # it may be another's who is at work: only under the lock is it a leftover
    assert (tmp_path / left[0]).exists()
    with writing(tmp_path / "a.json"):
        write_json(tmp_path / "a.json", 1)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["a.json", ".other.lock", *others])
    with writing_in(tmp_path):
        write_json(tmp_path / "b.json", 1)
    assert not (tmp_path / others[0]).exists()
    (tmp_path / ".b.json.1.tmp").touch()
    clear(tmp_path, "*.json")
    assert sorted(p.name for p in tmp_path.glob(".*")) == [".a.json.tmp", ".a.json.x.tmp", ".other.lock"]


def test_a_folder_of_leftovers_is_vacant(tmp_path: Path) -> None:
    assert vacant(tmp_path)
    assert vacant(tmp_path / "missing")
    for name in (".lock", ".config.json.123.tmp", ".state-1.safetensors.9.tmp"):
        (tmp_path / name).touch()
    assert vacant(tmp_path)
    for name in (".config.json.tmp", "notes", ".123.tmp", ".hidden"):
        (tmp_path / name).touch()
        assert not vacant(tmp_path)
        (tmp_path / name).unlink()


def test_a_scratch_folder_vanishes(tmp_path: Path) -> None:
    (tmp_path / ".out.tmp").mkdir()
    (tmp_path / ".out.tmp" / "left").touch()
    with scratch(tmp_path / "out") as folder:
        assert not list(folder.iterdir())
        (folder / "file").touch()
        folder.rename(tmp_path / "out")
    assert [p.name for p in tmp_path.rglob("*")] == ["out", "file"]


def test_a_full_disk_is_told_by_the_name_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where a library says no errno, or the temporary name."""

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("oneshot.base.files.os.fsync", full)
    for write in (write_text, append_line):
        with pytest.raises(OSError, match=r"No space left on device: '.*/a\.json'"):
            write(tmp_path / "a.json", "x")
    with pytest.raises(OSError, match=r"/b cannot be written: out of bytes"), replacing(tmp_path / "b"):
        raise OSError("out of bytes")
    with pytest.raises(FileNotFoundError, match=re.escape(f"'{tmp_path / 'missing' / 'c'}'")):
        write_text(tmp_path / "missing" / "c", "x")
    with pytest.raises(OSError, match=r"'.*a\.json/c'"), writing(tmp_path / "a.json" / "c"):
        pass
    with pytest.raises(FileNotFoundError, match="'elsewhere'"), replacing(tmp_path / "d"):
        raise FileNotFoundError(errno.ENOENT, "none", "elsewhere")
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]

"""Files are written whole or not at all, and names find them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from oneshot.base.files import read_json, replacing, write_json, write_text
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

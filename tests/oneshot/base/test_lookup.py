"""Names and paths of tables and data sets, and where they are looked for."""

from __future__ import annotations

from pathlib import Path

import pytest

from oneshot.base.lookup import data_folder, find_file


def test_the_folder_is_the_argument_else_the_environment_else_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ONESHOT_DATA", "~/tables")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert data_folder("~/mine") == tmp_path / "mine"
    assert data_folder() == tmp_path / "tables"
    monkeypatch.delenv("ONESHOT_DATA")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    assert data_folder() == tmp_path / "cache" / "oneshot"
    monkeypatch.delenv("XDG_CACHE_HOME")
    assert data_folder() == tmp_path / ".cache" / "oneshot"


def test_a_name_is_found_in_the_data_folder_before_what_is_shipped(tmp_path: Path) -> None:
    data, shipped = tmp_path / "data", tmp_path / "shipped"
    for folder in (data, shipped):
        folder.mkdir()
    (shipped / "small.npz").touch()
    assert find_file("small", ".npz", data, shipped) == shipped / "small.npz"
    (data / "small.npz").touch()
    for name in ("small", "small.npz"):
        assert find_file(name, ".npz", data, shipped) == data / "small.npz"
    assert find_file(shipped / "small.npz", ".npz", data) == shipped / "small.npz"


def test_what_is_not_there_names_the_places_and_what_would_make_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \.npz file for 'absent'; looked for .*absent\.npz; `make` makes it"):
        find_file("absent", ".npz", tmp_path, hint="`make` makes it")
    somewhere = tmp_path / "folder" / "absent.npz"
    with pytest.raises(ValueError, match=f"looked for {somewhere}$"):  # a path is no name
        find_file(somewhere, ".npz", tmp_path)

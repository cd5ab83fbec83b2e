"""Digests of what a table was made of, as other programs compute them."""

from __future__ import annotations

import hashlib
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from oneshot.benchmarks.origin import origin_of, sha256


def test_the_digest_of_a_folder_is_that_of_sha256sum(tmp_path: Path) -> None:
    for name, content in (("b.txt", "two"), ("a.txt", "one")):
        (tmp_path / name).write_text(content)
    (tmp_path / "inner").mkdir()
    said = subprocess.run("sha256sum *.txt | sha256sum", shell=True, cwd=tmp_path, capture_output=True, text=True)
    assert sha256(tmp_path) == said.stdout.split()[0]
    assert sha256(tmp_path / "a.txt") == hashlib.sha256(b"one").hexdigest()


def test_an_import_names_its_source_and_its_readers(tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(b"\0")
    origin = origin_of(tmp_path / "a.bin", "pyarrow", release="v1_1")
    assert origin["file"] == "a.bin"
    assert origin["sha256"] == hashlib.sha256(b"\0").hexdigest()
    assert [word.split()[0] for word in origin["importer"].split(", ")] == ["oneshot-nas", "pyarrow"]
    assert origin["release"] == "v1_1"
    assert origin["date"] == datetime.now(UTC).date().isoformat()

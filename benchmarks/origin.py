"""Where a table comes from: what its metadata says about the file that it was made of."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from oneshot.base.provenance import version


def origin_of(source: Path, *packages: str, **notes: Any) -> dict[str, Any]:
    """Name and digest of the source, the versions of this project and of the packages that read it, and the date."""
    return {
        "file": source.name,
        "sha256": sha256(source),
        "importer": ", ".join(f"{package} {version(package)}" for package in ("oneshot-nas", *packages)),
        "date": datetime.now(UTC).date().isoformat(),
        **notes,
    }


def sha256(path: Path) -> str:
    """Of a file; of a folder that of the lines by which `sha256sum *` describes its files."""
    if path.is_dir():
        files = sorted(each for each in path.iterdir() if each.is_file())
        lines = "".join(f"{sha256(file)}  {file.name}\n" for file in files)
        return hashlib.sha256(lines.encode()).hexdigest()
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

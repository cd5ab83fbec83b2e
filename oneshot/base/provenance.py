"""What a result was made with. Imports no torch."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from collections.abc import Iterator
from functools import lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any


@lru_cache(maxsize=1)
def environment() -> dict[str, Any]:
    """Versions and commit of what runs."""
    return {
        "oneshot": version("oneshot-nas"),
        "python": platform.python_version(),
        "torch": version("torch"),
        "numpy": version("numpy"),
        "machine": platform.machine(),
        "commit": _commit(),
    }


def version(distribution: str) -> str | None:
    try:
        return metadata.version(distribution)
    except metadata.PackageNotFoundError:
        return None


def fingerprint(document: Any) -> str:
    """A short hash of a JSON document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def _commit() -> str | None:
    """The commit of the checkout that the package lies in, with a + where tracked files differ from it."""
    root = Path(__file__).resolve().parent.parent.parent
    if not (root / ".git").exists():
        return None
    try:
        git = ["git", "-C", str(root)]
        head = subprocess.run([*git, "rev-parse", "HEAD"], capture_output=True, text=True, timeout=10, check=True)
        changed = subprocess.run([*git, "diff", "--quiet", "HEAD"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return head.stdout.strip() + ("+" if changed.returncode else "")


def differences(there: Any, asked: Any, where: str = "") -> Iterator[str]:
    """What differs between two JSON documents, in words."""
    if isinstance(there, dict) and isinstance(asked, dict):
        for key in sorted({*there, *asked}):
            yield from differences(there.get(key), asked.get(key), f"{where}.{key}" if where else key)
    elif there != asked:
        yield f"{where} {there!r} there, {asked!r} now"

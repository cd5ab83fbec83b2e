"""Files and texts of others, bounded before they are believed: errors are ValueErrors of one line.

Where something compressed stands for more than `MOST_UNPACKED` times its size, it is refused.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from pathlib import Path
from typing import Any

MOST_UNPACKED = 100
"""Times the size of a compressed file; published tables unpack to three to twenty times theirs."""
ALWAYS_UNPACKED = 1 << 20
"""Bytes that even the smallest file may unpack to."""
LONGEST = 2000
"""Characters of a message: what came may be as long as a file."""

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")


def shortened(message: str, longest: int = LONGEST) -> str:
    """A message without control characters, which could steer a terminal, and not endless."""
    if len(message) > longest:
        message = f"{message[: longest * 2 // 3]} … {message[-longest // 4 :]} ({len(message):,} characters)"
    return CONTROL.sub("\N{REPLACEMENT CHARACTER}", message)


def content_of(path: Path) -> bytes:
    """The bytes of a file, of a `.gz` file those that it stands for."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    if path.suffix.lower() != ".gz":
        return path.read_bytes()
    most = max(ALWAYS_UNPACKED, MOST_UNPACKED * path.stat().st_size)
    try:
        with gzip.open(path) as file:
            content = file.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} is no gzip file, or a damaged one: {error}") from None
    if len(content) > most:
        raise ValueError(f"{path} is refused: it unpacks to more than {MOST_UNPACKED} times its size")
    return content


def json_of(text: str | bytes, what: object) -> Any:
    """A JSON document; ValueError where it is none, nested too deeply, or names a key of an object twice."""

    def distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            seen = set[str]()
            twice = next(key for key, _ in pairs if key in seen or seen.add(key))
            raise ValueError(f"{twice!r:.200} comes twice in one object")
        return found

    try:
        return json.loads(text, object_pairs_hook=distinct)
    except RecursionError:
        raise ValueError(f"{what} is no JSON document of use: it is nested too deeply") from None
    except ValueError as error:  # of JSON, of UTF-8, of a number with too many digits
        raise ValueError(f"{what} is no JSON document: {error}") from None

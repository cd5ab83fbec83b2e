"""Records of a TFRecord file, streamed, both checksums of each verified; needs no TensorFlow.

A record is: its length (uint64), the masked CRC-32C of those 8 bytes (uint32), the data, the masked CRC-32C of the data
(uint32), all little-endian. A checksum is masked by rotating it right by 15 bits and adding a constant.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

from google_crc32c import value as crc32c

MASK = 0xA282EAD8
HEADER = struct.Struct("<QI")
FOOTER = struct.Struct("<I")
BUFFER = 1 << 20


def records(path: str | Path) -> Iterator[tuple[int, bytes]]:
    """The byte offset and the data of each record; ValueError names the offset of the first that is damaged."""
    path = Path(path)
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    size, start = path.stat().st_size, 0
    with path.open("rb", buffering=BUFFER) as file:
        while head := file.read(HEADER.size):
            if len(head) < HEADER.size:
                raise ValueError(_cut_short(path, start, HEADER.size, len(head)))
            length, checksum = HEADER.unpack(head)
            _verify(checksum, crc32c(head[:8]), "length", path, start)
            whole, left = HEADER.size + length + FOOTER.size, size - start
            body = file.read(length + FOOTER.size) if whole <= left else b""  # a huge length asks for no memory
            if len(body) < length + FOOTER.size:
                raise ValueError(_cut_short(path, start, whole, left))
            data = body[:length]
            _verify(FOOTER.unpack_from(body, length)[0], crc32c(data), "data", path, start)
            yield start, data
            start += whole


def masked(checksum: int) -> int:
    """A CRC-32C as TFRecord files store it."""
    return ((checksum >> 15 | checksum << 17) + MASK) & 0xFFFFFFFF


def _verify(stored: int, checksum: int, part: str, path: Path, start: int) -> None:
    if stored != masked(checksum):
        raise ValueError(
            f"{path}: the record at byte {start} is damaged, or this is no TFRecord file: the checksum of its {part} "
            f"is {masked(checksum):#010x}, stored is {stored:#010x}"
        )


def _cut_short(path: Path, start: int, expected: int, got: int) -> str:
    return f"{path} is cut short: the record at byte {start} needs {expected} bytes, the file has {got} more"

"""What a pickle asks of memory, told from its opcodes before it is loaded.

A pickle may remember an object at any place of its memo, and Python's unpickler makes room for every place before it:
34 bytes can ask for 64 GB. Whoever pickles counts the places up, so that there are fewer than bytes. Runs of opcodes of
fixed size are skipped by one regular expression, about 50 MB a second; the sizes are those of `pickletools`.
"""

from __future__ import annotations

import pickletools
import re
from mmap import mmap

RUN = 4096
"""Opcodes that one match skips at most."""

SIZES = {ord(each.code): each.arg.n if each.arg else 0 for each in pickletools.opcodes}
"""Bytes of the argument; below 0 as `pickletools` has it: up to a line's end, or as a count says that comes first."""
COUNTS = {
    pickletools.TAKEN_FROM_ARGUMENT1: (1, False), pickletools.TAKEN_FROM_ARGUMENT4: (4, True),
    pickletools.TAKEN_FROM_ARGUMENT4U: (4, False), pickletools.TAKEN_FROM_ARGUMENT8U: (8, False),
}  # fmt: skip
"""The bytes of such a count, and whether it has a sign."""
TWO_LINES = {ord("c"), ord("i")}
PUT, LONG_BINPUT, STOP = ord("p"), ord("r"), ord(".")


def check_memo(data: bytes | mmap, pickles: int = 1) -> None:
    """ValueError where so many pickles, one after another, use a place of the memo beyond their number of bytes."""
    size, place = len(data), 0
    run = _run_below(size)
    while place < size and pickles:
        if found := run.match(data, place):
            place = found.end()
            continue
        code, place = data[place], place + 1
        argument, place = _argument(data, code, place)
        pickles -= code == STOP
        if code in (PUT, LONG_BINPUT):
            index = int.from_bytes(argument, "little") if code == LONG_BINPUT else _number(argument)
            if index > size:
                raise ValueError(f"a pickle of {size:,} bytes asks for place {index:,} of its memo")


def _argument(data: bytes | mmap, code: int, place: int) -> tuple[bytes, int]:
    """The argument of an opcode that begins here, empty where only its end matters, and where that is."""
    if code not in SIZES:
        raise ValueError(f"byte {place - 1:,} is no opcode of a pickle")
    size = SIZES[code]
    if size >= 0:
        return data[place : place + size], place + size
    if size in COUNTS:
        width, signed = COUNTS[size]
        return b"", place + width + max(0, int.from_bytes(data[place : place + width], "little", signed=signed))
    start, end = place, place
    for _ in range(2 if code in TWO_LINES else 1):
        end = data.find(b"\n", place)
        if end < 0:
            raise ValueError("it is cut short")
        place = end + 1
    return data[start:end], place


def _number(argument: bytes) -> int:
    if not argument.isdigit() or len(argument) > 20:
        raise ValueError(f"{argument[:40]!r} is no place of a memo")
    return int(argument)


def _run_below(size: int) -> re.Pattern[bytes]:
    """Matches opcodes with arguments of fixed size, of memo places only those that are surely below the size."""
    by_size: dict[int, bytes] = {}
    for code, count in SIZES.items():
        if count >= 0 and code not in (LONG_BINPUT, STOP):
            by_size[count] = by_size.get(count, b"") + re.escape(bytes([code]))
    parts = [b"[%b]%b" % (codes, b"." * count) for count, codes in by_size.items()]
    width = (size.bit_length() - 1) // 8
    if width:  # the index, little-endian, has no byte beyond these
        parts.append(b"r" + b"." * min(width, 4) + rb"\x00" * (4 - min(width, 4)))
    return re.compile(rb"(?:%b){1,%d}+" % (b"|".join(parts), RUN), re.DOTALL)

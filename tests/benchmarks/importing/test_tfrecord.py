"""Record framing against a bitwise twin of CRC-32C; every kind of damage is found, at its byte."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest
from oneshot.benchmarks.importing.tfrecord import masked, records

from tests.benchmarks.official101 import framed, slow_crc32c, slow_masked


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Three records of 5, 0 and 300 bytes, at the bytes 0, 21 and 37."""
    path = tmp_path / "three.tfrecord"
    path.write_bytes(framed(b"first", b"", bytes(range(256)) + b"x" * 44))
    return path


def test_the_twin_is_the_published_checksum() -> None:
    assert slow_crc32c(b"\0" * 32) == 0x8A9136AA  # RFC 3720, appendix B.4
    assert slow_crc32c(bytes(range(32))) == 0x46DD794E
    assert slow_crc32c(b"123456789") == 0xE3069283


@pytest.mark.parametrize("checksum", [0, 1, 0x7FFF, 0x8000, 0xFFFFFFFF, 0xDEADBEEF])
def test_the_mask_can_be_taken_off(checksum: int) -> None:
    turned = (masked(checksum) - 0xA282EAD8) % 2**32
    assert ((turned >> 17) | (turned << 15)) % 2**32 == checksum


def test_records_come_in_order_with_their_offsets(file: Path) -> None:
    assert list(records(file)) == [(0, b"first"), (21, b""), (37, bytes(range(256)) + b"x" * 44)]
    file.write_bytes(b"")
    assert list(records(file)) == []


def test_records_larger_than_the_buffer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oneshot.benchmarks.importing.tfrecord.BUFFER", 16)
    contents = [bytes([i]) * (7 * i) for i in range(20)]
    (tmp_path / "many.tfrecord").write_bytes(framed(*contents))
    assert [data for _, data in records(tmp_path / "many.tfrecord")] == contents


def test_every_cut_is_found(file: Path) -> None:
    whole = file.read_bytes()
    borders = {0: 0, 21: 1, 37: 2, len(whole): 3}
    for cut in range(len(whole)):
        file.write_bytes(whole[:cut])
        if cut in borders:
            assert len(list(records(file))) == borders[cut]
            continue
        start = max(border for border in borders if border < cut)
        with pytest.raises(ValueError, match=rf"is cut short: the record at byte {start} needs \d+ bytes"):
            list(records(file))


def test_every_flipped_bit_is_found(file: Path) -> None:
    whole = file.read_bytes()
    for at in range(len(whole)):
        file.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        start = max(border for border in (0, 21, 37) if border <= at)
        part = "length" if at - start < 12 else "data"
        with pytest.raises(ValueError, match=f"the record at byte {start} is damaged.* checksum of its {part} is 0x"):
            list(records(file))


def test_records_before_the_damage_are_read(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])
    read = records(file)
    assert [next(read)[1], next(read)[1]] == [b"first", b""]
    with pytest.raises(ValueError, match="at byte 37 needs 316 bytes, the file has 315 more"):
        next(read)


@pytest.mark.parametrize("length", [2**40, 2**63, 2**64 - 1])
def test_a_huge_length_takes_no_memory(tmp_path: Path, length: int) -> None:
    head = struct.pack("<Q", length)
    (tmp_path / "huge.tfrecord").write_bytes(head + slow_masked(head) + b"little")
    with pytest.raises(ValueError, match=rf"at byte 0 needs {length + 16} bytes, the file has 18 more"):
        list(records(tmp_path / "huge.tfrecord"))


def test_other_files(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("This is no TFRecord file at all.")
    with pytest.raises(ValueError, match="this is no TFRecord file"):
        list(records(tmp_path / "text"))
    with pytest.raises(ValueError, match=r"there is no file .*gone"):
        list(records(tmp_path / "gone"))

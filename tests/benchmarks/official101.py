"""Writes NAS-Bench-101 files of the official structure: framing, checksums and wire format by hand, byte by byte."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Callable, Sequence

POINT = ("current_epoch", "training_time", "train_accuracy", "validation_accuracy", "test_accuracy")
"""The fields 1 to 5 of `EvaluationData`."""

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")

MODELS = {
    "00005c142e6f48ac74fdcf73e3439874": ("0100110001000000010010000010000001000000010000000", "02001", 8555530),
    "043721b9c7fe8c5fad811d47d83132ec": ("0100", "", 882570),
    "6f6257bc3b12d87b8736e81cd4b7ed8b": ("011001000", "2", 1756298),
}
"""Three models of the benchmark by their official hashes: matrix, inner operations, trainable parameters."""

PATH = b"/models/model.ckpt-1"
Point = dict[str, float]


def slow_crc32c(data: bytes) -> int:
    """Bit by bit, polynomial 0x1EDC6F41 reflected (RFC 3720, appendix B.4)."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def slow_masked(data: bytes, crc32c: Callable[[bytes], int] = slow_crc32c) -> bytes:
    bits = f"{crc32c(data):032b}"
    return ((int(bits[-15:] + bits[:-15], 2) + 0xA282EAD8) % 2**32).to_bytes(4, "little")


def framed(*contents: bytes, crc32c: Callable[[bytes], int] = slow_crc32c) -> bytes:
    """The bytes of a TFRecord file."""
    heads = [struct.pack("<Q", len(data)) for data in contents]
    parts = zip(heads, contents, strict=True)
    return b"".join(h + slow_masked(h, crc32c) + data + slow_masked(data, crc32c) for h, data in parts)


def record(name: str, epochs: int, points: Sequence[Point], **changed: str | int) -> bytes:
    """The data of one record of a model of MODELS; `changed` replaces its matrix, operations or parameters."""
    matrix, inner, parameters = MODELS[name]
    operations = ",".join(["input", *(OPERATIONS[int(digit)] for digit in inner), "output"])
    message = b"".join(b"\x0a" + varint(len(data)) + data for data in map(encoded, points))
    message += b"\x10" + varint(int(changed.get("parameters", parameters))) + double(3, 1234.5)
    metrics = b64encode(message).decode()
    row = [name, epochs, changed.get("matrix", matrix), changed.get("operations", operations), metrics]
    return json.dumps(row).encode()


def encoded(point: Point) -> bytes:
    """One `EvaluationData`, without the fields that the point lacks."""
    fields = [double(number, point[name]) for number, name in enumerate(POINT, 1) if name in point]
    return b"".join(fields) + b"\x32" + varint(len(PATH)) + PATH


def double(number: int, value: float) -> bytes:
    return bytes([number << 3 | 1]) + struct.pack("<d", value)


def varint(value: int) -> bytes:
    low, rest = value & 127, value >> 7
    return bytes([low | 128]) + varint(rest) if rest else bytes([low])

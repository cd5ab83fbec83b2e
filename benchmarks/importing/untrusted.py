"""Pickles of foreign origin, read as plain data: of what a file names, nothing is imported and nothing is run.

A pickle is a program that may call whatever it names. Here it may name what `STAND_INS` lists and nothing else, and of
that it gets a stand-in of this module, never numpy's own: numpy trusts the bytes that a pickle hands to its types. A
file can still be wrong in every other way; who reads the data checks its structure. What a file can waste is bounded:
one that would unpack to more than `MOST_UNPACKED` times its size, or remember more than it has bytes, is
refused. torch is not asked: its container takes ten lines to read, and its own restricted reader twenty times as long.
"""

from __future__ import annotations

import bz2
import io
import mmap
import pickle
import struct
import zipfile
from pathlib import Path
from typing import Any, NoReturn

from oneshot.benchmarks.importing.opcodes import check_memo

from oneshot.base.foreign import ALWAYS_UNPACKED, MOST_UNPACKED

TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""With which the old form of torch's files begins."""


class Dtype:
    """Stands for numpy's data types: the plain numbers alone, made as `dtype('f8', False, True)`."""

    __slots__ = ("format",)

    def __init__(self, code: str, *_: Any) -> None:
        formats = {"f4": "f", "f8": "d", "i4": "i", "i8": "q", "u4": "I", "u8": "Q", "b1": "?"}
        if code not in formats:
            raise ValueError(f"expected a numpy number of {', '.join(formats)}, got {code!r}")
        self.format = "<" + formats[code]

    def __setstate__(self, state: tuple) -> None:
        """`(version, byte order, ...)`, of which only the byte order says anything about a plain number."""
        if state[1] not in ("<", ">", "|", "="):
            raise ValueError(f"expected a byte order, got {state[1]!r}")
        self.format = (">" if state[1] == ">" else "<") + self.format[1:]


class Scalar:
    """Stands for the function by which numpy's scalars are unpickled; gives Python's own number."""

    __slots__ = ()

    def __call__(self, dtype: Dtype, raw: bytes) -> float:
        if not isinstance(dtype, Dtype) or not isinstance(raw, bytes):
            raise TypeError(f"expected a data type and bytes, got {type(dtype).__name__} and {type(raw).__name__}")
        return struct.unpack(dtype.format, raw)[0]


class Encode:
    """Stands for `codecs.encode`, by which old protocols write bytes; knows one encoding."""

    __slots__ = ()

    def __call__(self, text: str, encoding: str) -> bytes:
        if not isinstance(text, str) or encoding != "latin1":
            raise ValueError(f"expected text and 'latin1', got {type(text).__name__} and {encoding!r}")
        return text.encode("latin1")


STAND_INS: dict[str, Any] = {
    "collections.OrderedDict": dict,
    "builtins.set": set,
    "__builtin__.set": set,
    "_codecs.encode": Encode(),
    "numpy.dtype": Dtype,
    "numpy.core.multiarray.scalar": Scalar(),
    "numpy._core.multiarray.scalar": Scalar(),
}
"""Every name that a file may mention, and what stands for it; none of these can be changed by a pickle."""


class PlainUnpickler(pickle.Unpickler):
    """Knows the stand-ins and no other name, however it is asked for."""

    def find_class(self, module: str, name: str) -> Any:
        if f"{module}.{name}" not in STAND_INS:
            raise _Refused(f"{module}.{name}")
        return STAND_INS[f"{module}.{name}"]

    def persistent_load(self, pid: Any) -> NoReturn:
        raise _Refused("an object outside of the pickle")


class _Refused(Exception):
    """Carries the name of what a file may not ask for."""


def load_bz2_pickle(path: Path) -> Any:
    """The plain data of a bz2-compressed pickle; ValueError names the file and what is wrong or was refused."""
    try:
        most = max(ALWAYS_UNPACKED, MOST_UNPACKED * path.stat().st_size)
        with bz2.open(path, "rb") as file:
            content = file.read(most + 1)  # reading to the end is also what finds a file cut short, by its checksum
        if len(content) > most:
            raise ValueError(f"it unpacks to more than {MOST_UNPACKED} times its size")
        check_memo(content)
        stream = io.BytesIO(content)
        data = PlainUnpickler(stream).load()
        if stream.read(1):
            raise ValueError("something follows the pickle")
        return data
    except FileNotFoundError:
        raise ValueError(f"there is no file {path}") from None
    except _Refused as refused:
        raise ValueError(_refusal(path, str(refused))) from None
    except Exception as error:  # damaged pickles raise anything
        raise ValueError(f"{path} is no bz2-compressed pickle, or a damaged one: {_said(error)}") from None


def load_torch(path: Path) -> Any:
    """The plain data of a file by `torch.save`, in its old or its zip form; ValueError as `load_bz2_pickle`."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    try:
        _check_zip(path)
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                (name,) = [name for name in archive.namelist() if name.count("/") == 1 and name.endswith("/data.pkl")]
                content = archive.read(name)  # its size was checked
            check_memo(content)
            return PlainUnpickler(io.BytesIO(content)).load()
        with path.open("rb") as file:  # three small pickles, the data, the keys of its tensors: none here
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
                check_memo(content, 5)
            magic, _, _, data, keys = (PlainUnpickler(file).load() for _ in range(5))
        if magic != TORCH_MAGIC or keys:
            raise ValueError("it is not torch's own form without tensors")
        return data
    except _Refused as refused:
        raise ValueError(_refusal(path, str(refused))) from None
    except Exception as error:  # damaged pickles raise anything
        raise ValueError(f"{path} is no file of plain data by torch.save, or a damaged one: {_said(error)}") from None


def _check_zip(path: Path) -> None:
    """What torch itself does not ask for before it unpacks; it saves without compression."""
    if zipfile.is_zipfile(path):
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(entry.file_size for entry in archive.infolist())
        if unpacked > MOST_UNPACKED * path.stat().st_size:
            raise ValueError(f"it unpacks to more than {MOST_UNPACKED} times its size")


def _refusal(path: Path, name: str) -> str:
    return f"{path} is refused and nothing of it was run: it asks for {name}, which is no plain data"


def _said(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__

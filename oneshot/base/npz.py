"""Arrays in files of others: what a header promises is compared with what is there before memory is asked for."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np


def arrays_of(path: Path, keys: Sequence[str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """Those of the arrays in an .npz file that it has, and the names of all.

    ValueError where it cannot be read; the size that each header promises is compared with what is there first.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            entries = {entry.filename: entry for entry in archive.infolist()}
            for key in keys:
                if entry := entries.get(f"{key}.npy"):
                    _check_promise(archive, entry, key)
        with np.load(path, allow_pickle=False) as file:
            return {key: file[key] for key in keys if key in file.files}, list(file.files)
    except (OSError, EOFError, ValueError, MemoryError, NotImplementedError, RuntimeError) as error:
        raise ValueError(f"{path} is no readable .npz file: {error or type(error).__name__}") from None
    except (zipfile.BadZipFile, zlib.error, SyntaxError, TypeError) as error:
        raise ValueError(f"{path} is no readable .npz file: {error}") from None


def _check_promise(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, key: str) -> None:
    """ValueError unless the header of an array asks for just the bytes that follow it."""
    with archive.open(entry) as file:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(file)
        count = 1
        for side in shape:
            count *= int(side)
        promised, there = count * dtype.itemsize, entry.file_size - file.tell()
    if promised != there:
        raise ValueError(f"{key} of shape {shape} and type {dtype} needs {promised:,} bytes, it has {there:,}")

"""Files that are written whole or not at all, by one writer at a time; whoever reads needs no lock."""

from __future__ import annotations

import errno
import json
import os
import re
import shlex
import shutil
import socket
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from glob import escape
from pathlib import Path
from typing import Any

LOCK = ".lock"
"""What a folder's writer locks, in it."""
TEMPORARY = re.compile(r"\..+\.\d+\.tmp")
"""How `replacing` names what is not yet whole."""
LOCKLESS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP}
"""What file systems say that have no locks."""
PATIENCE = 0.5
"""Seconds to wait for a writer who is just leaving."""

_held: set[Path] = set()


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """The only writer of a file, and of what is written beside it under its name.

    A lock of the operating system, which a killed process does not keep; within one process it may be taken again.
    BlockingIOError says who writes there.
    """
    path = Path(path)
    with _alone(path.with_name(f".{path.name}{LOCK}"), path):
        yield


@contextmanager
def writing_in(folder: str | Path) -> Iterator[None]:
    """The same for a folder, which is made if need be, and removed again if it stays empty."""
    folder = Path(folder)
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with _alone(folder / LOCK, folder):
            yield
    finally:
        if made:
            with suppress(OSError):  # there is something in it
                folder.rmdir()


@contextmanager
def _alone(lock: Path, target: Path) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = lock.parent.resolve() / lock.name
    if lock in _held:
        yield
        return
    held = FileLock(lock, timeout=PATIENCE, fallback_to_soft=False)
    try:
        held.acquire()
    except Timeout:
        raise BlockingIOError(f"{target} is being written by {_holder(lock)}; wait for it or choose another") from None
    except OSError as error:
        if error.errno not in LOCKLESS:
            raise OSError(error.errno, error.strerror, str(target)) from error
        warnings.warn(f"{target}: this file system has no locks; let nobody else write there", stacklevel=4)
    _held.add(lock)
    try:
        _sign(lock)
        yield
    finally:
        _held.discard(lock)
        with suppress(OSError):
            lock.unlink(missing_ok=True)
        held.release()


def _sign(lock: Path) -> None:
    """Who we are, into a lock that we hold; on a full disk it holds without."""
    program = Path(sys.argv[0])
    name = program.parent.name if program.name == "__main__.py" else program.name
    since, command = time.strftime("%Y-%m-%d %H:%M:%S"), [name, *sys.argv[1:]]
    who = {"pid": os.getpid(), "host": socket.gethostname(), "since": since, "command": command}
    with suppress(OSError):
        lock.write_text(json.dumps(who), encoding="utf-8")


def _holder(lock: Path) -> str:
    """Who holds a lock, as it says itself."""
    try:
        who = json.loads(lock.read_text(encoding="utf-8"))
        command = " ".join(shlex.join(who["command"]).split())
        command = command if len(command) <= 200 else f"{command[:200]} ..."
        return f"process {who['pid']} on {who['host']} since {who['since']}: {command}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


@contextmanager
def scratch(path: str | Path) -> Iterator[Path]:
    """The only writer of `path` gets a folder beside it, for what is not yet whole; it vanishes when the block ends."""
    path = Path(path)
    folder = path.with_name(f".{path.name}.tmp")
    with writing(path):
        shutil.rmtree(folder, ignore_errors=True)  # of a writer who was killed
        try:
            folder.mkdir()
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def vacant(folder: Path) -> bool:
    """Whether a folder is missing, empty, or holds only what a writer left who was killed before its first file."""
    return not folder.exists() or all(path.name == LOCK or TEMPORARY.fullmatch(path.name) for path in folder.iterdir())


def clear(folder: Path, *names: str) -> None:
    """Remove what writers of these files (patterns) left who were killed: the caller is the only writer."""
    for name in names:
        for left in folder.glob(f".{name}.*.tmp"):
            if TEMPORARY.fullmatch(left.name):
                left.unlink(missing_ok=True)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside `path`; it takes the place of `path` when the block ends, and vanishes if it fails.

    OSError names `path`. The only writer of the file or its folder also removes what killed ones left of it.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    parent = path.parent.resolve()
    if _held & {parent / LOCK, parent / f".{path.name}{LOCK}"}:
        clear(path.parent, escape(path.name))
    try:
        with naming(path, temporary):
            yield temporary
            with temporary.open("rb") as file:
                os.fsync(file.fileno())
            temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def naming(path: Path, alias: Path | None = None) -> Iterator[None]:
    """An OSError of the block that names no file, or the alias, names this one."""
    try:
        yield
    except OSError as error:
        if error.filename not in (None, str(alias)):
            raise
        if error.errno is None:
            raise OSError(f"{path} cannot be written: {error}") from error
        raise OSError(error.errno, os.strerror(error.errno), str(path)) from error


def append_line(path: Path, line: str) -> None:
    """Add a line to a file, on disk when this returns; OSError names the file."""
    with naming(path), path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


def write_text(path: Path, text: str) -> None:
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, document: Any) -> None:
    write_text(path, json.dumps(document, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """The document in a file; ValueError where it is no JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # of JSON, of UTF-8, of a number's digits, of nesting
        raise ValueError(f"{path} is no JSON document: {error}") from error

"""Commands in children of a process that has imported everything, so that a start takes milliseconds."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import pkgutil
import re
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any


def warm() -> None:
    """Import whatever a command imports, and start no thread."""
    libraries = "tensorboard.summary.writer.record_writer pandas pyarrow.parquet pyarrow.csv scipy.stats"
    libraries += " sklearn.datasets PIL.Image uvicorn pymoo.algorithms.moo.nsga2"
    for name in libraries.split():
        importlib.import_module(name)
    for package in ("oneshot", "oneshot.benchmarks", "oneshot.evaluators"):
        for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + "."):
            if not found.name.endswith("__main__"):
                with suppress(ImportError):  # Ray may be missing
                    importlib.import_module(found.name)
    import torch

    from oneshot.base.provenance import environment

    torch.set_num_threads(1)
    environment()


def start(command: str, folder: Path) -> int:
    """The process of a command in a folder; what it says is kept there."""
    pid = os.fork()
    if pid:
        return pid
    code = 70
    try:
        os.setsid()
        os.chdir(folder)
        for number, flags in ((0, os.O_RDONLY), (1, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)):
            os.dup2(os.open(("/dev/null", "command.out")[number], flags, 0o644), number)
        os.dup2(1, 2)
        sys.argv = ["oneshot", *command.split()]
        from oneshot.cli import main as oneshot

        code = oneshot()
    except SystemExit as stop:
        code = int(stop.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def stopped(pid: int, delay: float) -> bool:
    """Whether it still worked after so many seconds, and was killed."""
    time.sleep(delay)
    if os.waitpid(pid, os.WNOHANG)[0]:
        return False
    os.killpg(pid, signal.SIGKILL) if os.getpgid(pid) == pid else os.kill(pid, signal.SIGKILL)
    return os.WIFSIGNALED(os.waitpid(pid, 0)[1])


def wait(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def said(folder: Path) -> str:
    return re.sub(r"\s+", " ", (folder / "command.out").read_text(errors="replace"))[-400:]


def apart(work: Callable[..., Any], *arguments: Any) -> Any:
    """What a function returns in a child, so that this process starts no thread of any library."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)

    def child() -> None:
        there.send(work(*arguments))

    process = context.Process(target=child)
    process.start()
    there.close()
    try:
        return here.recv()
    finally:
        process.join()

"""Python processes forked from one that has imported everything, so that a start takes milliseconds."""

from __future__ import annotations

import atexit
import functools
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
NUMBER = struct.Struct("q")


class Process:
    """As `subprocess.Popen([sys.executable, *words], text=True)`, in a session of its own and without input.

    Both streams are piped, unless a file is given that takes them.
    """

    def __init__(
        self, words: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None, out: Path | None = None
    ) -> None:
        self.args, self.returncode = [sys.executable, *map(str, words)], None
        request = {"words": self.args[1:], "cwd": str(cwd), "env": dict(os.environ if env is None else env)}
        self._answers, answers = os.pipe()
        if out is None:
            pipes = os.pipe(), os.pipe()
            self.stdout, self.stderr = (open(pipe[0]) for pipe in pipes)  # noqa: SIM115
            streams = [pipe[1] for pipe in pipes]
        else:
            self.stdout = self.stderr = None
            streams = [os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND, 0o644)] * 2
        socket.send_fds(_warm()[0], [json.dumps(request).encode()], [*streams, answers])
        for number in {*streams, answers}:
            os.close(number)
        (self.pid,) = NUMBER.unpack(os.read(self._answers, NUMBER.size))

    def __del__(self) -> None:
        os.close(self._answers)

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._answers], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            (self.returncode,) = NUMBER.unpack(os.read(self._answers, NUMBER.size))
        return self.returncode

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def send_signal(self, sign: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, sign)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """What it said; who is late is killed."""
        assert self.stdout is not None
        assert self.stderr is not None
        with ThreadPoolExecutor(2) as threads:
            said = [threads.submit(stream.read) for stream in (self.stdout, self.stderr)]
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                os.killpg(self.pid, signal.SIGKILL)
                raise
            return said[0].result(), said[1].result()


def run(
    words: Sequence[str | Path], cwd: Path, env: Mapping[str, str] | None = None, timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """As `subprocess.run([sys.executable, *words], capture_output=True, text=True)`."""
    process = Process(words, cwd, env)
    out, error = process.communicate(timeout)
    return subprocess.CompletedProcess(process.args, process.wait(), out, error)


@functools.cache
def _warm() -> tuple[socket.socket, subprocess.Popen[bytes]]:
    """Where to ask the one that has imported everything; it ends with this process."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "perf.forked", str(theirs.fileno())], cwd=ROOT, pass_fds=[theirs.fileno()],
            env={**os.environ, "OMP_NUM_THREADS": "1"}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    return ours, process


def import_everything() -> None:
    """Whatever a command imports; this starts no thread."""
    libraries = "tensorboard.summary.writer.record_writer pandas pyarrow.parquet pyarrow.csv scipy.stats"
    libraries += " matplotlib.figure matplotlib.backends.backend_agg sklearn.datasets PIL.Image uvicorn"
    libraries += " torchvision.transforms.v2 pymoo.algorithms.moo.nsga2 torch.distributed"
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


def serve(control: socket.socket) -> list[str]:
    """Fork for whoever asks, until nobody can any more; returns in each child, with the words that it is to run."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # of its children, which wait for one process each
    while True:
        message, numbers, *_ = socket.recv_fds(control, 1 << 20, 3)
        if not message:
            os._exit(0)
        if not os.fork():
            break
        for number in numbers:
            os.close(number)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    control.close()
    *streams, answers = numbers
    if pid := os.fork():
        for number in streams:
            os.close(number)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        with suppress(BrokenPipeError):
            os.write(answers, NUMBER.pack(status))
        os._exit(0)
    os.setsid()
    os.write(answers, NUMBER.pack(os.getpid()))
    os.close(answers)
    for number, stream in zip((1, 2), streams, strict=True):
        os.dup2(stream, number)
        os.close(stream)
    request = json.loads(message)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    return request["words"]


def run_like_python(words: Sequence[str]) -> None:
    """`-m MODULE ...` or `SCRIPT ...`; unless by an exception, the end comes without taking the interpreter down."""
    module, (name, *_) = words[0] == "-m", words[words[0] == "-m" :]
    sys.argv = [name, *words[1 + module :]]
    paths = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    sys.path[:1] = [os.getcwd() if module else str(Path(name).resolve().parent), *filter(None, paths)]
    code = 0
    try:
        if module:
            runpy.run_module(name, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(name, run_name="__main__")
    except SystemExit as stop:
        if not isinstance(stop.code, int | None):
            raise
        code = stop.code or 0
    threading._shutdown()  # pyright: ignore[reportAttributeAccessIssue]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(code)


if __name__ == "__main__":
    import_everything()
    gc.collect()
    gc.freeze()  # what children do not collect they share
    run_like_python(serve(socket.socket(fileno=int(sys.argv[1]))))

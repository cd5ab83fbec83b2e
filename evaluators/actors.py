"""Work on a Ray cluster: one actor a device, small pieces of work to whoever is free, lost ones done again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from oneshot.registry import PLUGINS, load_plugins

TRIES = 3
"""Actors that may be lost with the same piece of work."""
PATIENCE = 300.0
"""Seconds to wait for an actor while there is none."""
ANSWER = 30.0
"""Seconds that a running cluster has to take us in."""
STORE = 256 << 20
"""Bytes of Ray's object store where we start it: it holds the work, once, and no results."""


class Cluster:
    """Calls functions on the actors of a Ray cluster; a context manager, which leaves none behind.

    `address` is "local", where Ray is started here and stopped at the end, or the HOST:PORT of a running one; a process
    that has joined one uses that. One actor a GPU if there are any and `device` is not cpu, otherwise one for every
    `threads` CPUs; or `actors`. They have the working directory and the data folder of this process, if they can.
    ValueError where Ray is not installed or lacks the device, OSError where no cluster answers.
    """

    def __init__(
        self,
        address: str = "local",
        actors: int = 0,
        threads: int = 1,
        device: str = "auto",
        tries: int = TRIES,
        patience: float = PATIENCE,
    ) -> None:
        if actors < 0 or threads < 1 or tries < 1:
            raise ValueError(f"expected actors >= 0, threads and tries >= 1, got {actors}, {threads} and {tries}")
        if device not in ("auto", "cpu", "cuda"):
            raise ValueError(f"the device of a cluster is auto, cpu or cuda, got {device!r}")
        self._ray = _ray()
        self.threads, self.tries, self.patience = threads, tries, patience
        self._work: tuple[Callable[..., Any], Any] | None = None
        self._actors: list[Any] = []
        self._free: list[Any] = []
        self._starting: dict[Any, Any] = {}
        self._failed_starts = 0
        self._sigterm = signal.getsignal(signal.SIGTERM)
        self._joined = False
        try:
            self._join(address, actors * threads)
            self.device, self.size = self._devices(actors, device)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Cluster:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the actors, and Ray if it was started here."""
        if self._ray.is_initialized():
            self._dismiss()
            if self._joined:
                self._ray.shutdown()
        if self._joined and _in_main_thread() and self._sigterm is not None:
            signal.signal(signal.SIGTERM, self._sigterm)

    def __call__(self, work: Callable[..., Any], tasks: Sequence[tuple[Any, ...]]) -> Iterator[tuple[int, Any]]:
        """Call picklable `work` with each of the tuples; number and result of each, as they come.

        The actors keep `work`, and what it has loaded, until they are given another one. What was lost with its actor
        is done again by another; OSError after `tries` such losses. Whatever `work` raises is raised here.
        """
        self._hire(work)
        waiting, losses = deque(range(len(tasks))), Counter[int]()
        doing: dict[Any, tuple[Any, int]] = {}
        try:
            while waiting or doing:
                self._assign(tasks, waiting, doing)
                reference = self._next(doing)
                if reference in self._starting:
                    self._started(reference)
                    continue
                actor, number = doing.pop(reference)
                result, loss = self._result(reference)
                if loss is None:
                    self._free.append(actor)
                    self._assign(tasks, waiting, doing)  # first, so that nobody waits for what the caller does
                    yield number, result
                    continue
                losses[number] += 1
                if losses[number] == self.tries:
                    raise OSError(f"gave up on work that {self.tries} actors were lost with, the last one: {loss}")
                waiting.appendleft(number)
                self._replace(actor)
        except BaseException:
            self._dismiss()  # they would go on with what nobody waits for
            raise

    def _assign(self, tasks: Sequence[tuple[Any, ...]], waiting: deque[int], doing: dict[Any, tuple[Any, int]]) -> None:
        while waiting and self._free:
            actor, number = self._free.pop(), waiting.popleft()
            doing[actor.do.remote(*tasks[number])] = actor, number

    def _next(self, doing: dict[Any, Any]) -> Any:
        """The next reference that is ready, of a result or of an actor; OSError where there is nobody to wait for."""
        timeout = None if doing else self.patience
        ready, _ = self._ray.wait([*doing, *self._starting], num_returns=1, timeout=timeout)
        if not ready:
            has, free = self._ray.cluster_resources(), self._ray.available_resources()
            what = ", ".join(f"{free.get(name, 0):g} of {has.get(name, 0):g} {name}s free" for name in ("CPU", "GPU"))
            raise OSError(f"no actor of the cluster got ready in {self.patience:g} seconds; it has {what}")
        return ready[0]

    def _result(self, reference: Any) -> tuple[Any, str | None]:
        """A result, or how it was lost; what the work raised is raised."""
        errors = self._ray.exceptions
        try:
            return self._ray.get(reference), None
        except errors.RayTaskError as error:
            raise error.cause from error
        except errors.RayError as error:
            return None, " ".join(str(error).split())

    def _hire(self, work: Callable[..., Any]) -> None:
        """As many actors as there should be, all with this work."""
        if self._work is None or self._work[0] != work:
            self._work = work, self._ray.put(work)
            self._free.clear()
            self._starting.clear()
            for actor in self._actors:
                self._give(actor)
        while len(self._actors) < self.size:
            self._start()

    def _start(self) -> None:
        devices = {"num_gpus": 1, "num_cpus": 0} if self.device == "cuda" else {"num_cpus": self.threads}
        actor = self._ray.remote(_Actor).options(**devices).remote(os.getcwd(), _environment(self.threads))
        self._actors.append(actor)
        self._give(actor)

    def _give(self, actor: Any) -> None:
        assert self._work is not None
        self._starting[actor.take.remote(self._work[1])] = actor

    def _started(self, reference: Any) -> None:
        actor = self._starting.pop(reference)
        _, loss = self._result(reference)
        if loss is None:
            self._failed_starts = 0
            self._free.append(actor)
            return
        self._failed_starts += 1
        if self._failed_starts == self.tries:
            raise OSError(f"{self.tries} actors in a row were lost as they started, the last one: {loss}")
        self._replace(actor)

    def _replace(self, actor: Any) -> None:
        self._ray.kill(actor)
        self._actors.remove(actor)
        self._start()

    def _dismiss(self) -> None:
        for actor in self._actors:
            self._ray.kill(actor)
        self._work, self._actors, self._free, self._starting, self._failed_starts = None, [], [], {}, 0

    def _devices(self, actors: int, device: str) -> tuple[str, int]:
        """What the actors run on, and how many there are."""
        resources = self._ray.cluster_resources()
        gpus, cpus = int(resources.get("GPU", 0)), int(resources.get("CPU", 0))
        if device == "cuda" and not gpus:
            raise ValueError("device cuda cannot be used: the cluster has no GPU")
        found = ("cuda", gpus) if gpus and device != "cpu" else ("cpu", cpus // self.threads)
        if not found[1]:
            raise ValueError(f"the cluster has {cpus} CPUs: too few for one actor of {self.threads} threads")
        return found[0], actors or found[1]

    def _join(self, address: str, cpus: int) -> None:
        """Start Ray here, with so many CPUs or all, or connect to a running one, unless that was done."""
        if address != "local":
            check_address(address)
        if self._ray.is_initialized():
            there = self._ray.get_runtime_context().gcs_address
            if address not in ("local", there):
                raise ValueError(f"this process has joined the Ray cluster at {there}: it cannot also join {address}")
            return
        self._joined = True
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        here = {"num_cpus": cpus or None, "include_dashboard": False, "object_store_memory": STORE}
        try:
            self._ray.init(address, log_to_driver=False, logging_level="ERROR", **(here if address == "local" else {}))
        except Exception as error:  # of many kinds, some of them plain
            raise OSError(f"Ray did not start: {' '.join(str(error).split())}") from error
        if _in_main_thread():  # Ray takes SIGTERM for itself; ours ends the process as an exception does
            default = self._sigterm in (None, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, (lambda *_: sys.exit(143)) if default else self._sigterm)


class _Actor:
    """What a process of the cluster does."""

    def __init__(self, folder: str, environment: dict[str, str]) -> None:
        os.environ.update(environment)  # before the work brings torch along
        with suppress(OSError):
            os.chdir(folder)
        load_plugins()  # before the work comes, whose classes may be theirs

    def take(self, work: Callable[..., Any]) -> None:
        self.work = work

    def do(self, *task: Any) -> Any:
        return self.work(*task)


def _ray() -> Any:
    try:
        import ray
    except ModuleNotFoundError as error:
        if error.name != "ray":
            raise
        raise ValueError('a cluster needs Ray, which is not installed: pip install -e ".[ray]"') from None
    return ray


def check_address(address: str, timeout: float = ANSWER) -> None:
    """OSError where no Ray cluster takes us in; tried in another process, because Ray itself tries without end."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535 or "/" in host:
        raise ValueError(f"expected local or the HOST:PORT of a running Ray cluster, got {address!r}")
    attempt = [sys.executable, "-c", f"import ray; ray.init({address!r}, log_to_driver=False)"]
    try:
        socket.create_connection((host, int(port)), timeout).close()
        subprocess.run(attempt, check=True, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise OSError(f"no Ray cluster at {address}: nothing came of it in {timeout:g} seconds") from None
    except subprocess.CalledProcessError as error:
        said = (error.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise OSError(f"no Ray cluster at {address} that this process can join: {said}") from None
    except OSError as error:
        raise OSError(f"no Ray cluster at {address}: {error}") from error


def _environment(threads: int) -> dict[str, str]:
    """Of an actor: its threads, and where the data is."""
    here = {name: os.environ[name] for name in ("ONESHOT_DATA", PLUGINS) if name in os.environ}
    return {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads), **here}


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()

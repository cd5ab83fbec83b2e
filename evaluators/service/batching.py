"""Concurrent questions become passes of one evaluator."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

from oneshot.evaluators.service.ranking import Row

from oneshot.space import Arch

LONGEST_WAIT = 60
"""Seconds that a refused client is asked to wait at most."""


class Overloaded(Exception):
    """The queue is full, or the service is ending; `retry_after` in seconds."""

    def __init__(self, message: str, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


@dataclass
class Wanted:
    """An architecture that is evaluated or waits for it, and how many requests it matters to."""

    result: asyncio.Future[Row]
    waiting: int = 0


class Batcher:
    """Gathers what several requests ask for into passes of at most `batch` architectures; each is evaluated once.

    `evaluate` runs in a thread of its own, one pass at a time; `learn` is told of its rows before any request is. What
    nobody waits for any more is not begun. Where a pass of several fails for a ValueError, each is tried alone.
    """

    def __init__(
        self,
        evaluate: Callable[[Sequence[Arch]], list[Row]],
        learn: Callable[[Sequence[Row]], None],
        batch: int,
        queue: int,
        gather: float,
    ) -> None:
        self.batch, self.most, self.gather = batch, queue, gather
        self.on_pass: Callable[[int, float], None] = lambda size, seconds: None
        self._evaluate, self._learn = evaluate, learn
        self._wanted: dict[Arch, Wanted] = {}
        self._queue: dict[Arch, None] = {}
        self._closing = True
        self._rate = 1.0
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> int:
        """Architectures in the queue."""
        return len(self._queue)

    @property
    def running(self) -> bool:
        return self._task is not None and not self._task.done() and not self._closing

    def start(self) -> None:
        """Begin, within the running loop; after `stop` it may begin again."""
        self._wake, self._thread = asyncio.Event(), ThreadPoolExecutor(1, "evaluator")
        self._closing = False
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Finish what is in the queue, take nothing new."""
        self._closing = True
        self._wake.set()
        if self._task is not None:
            await self._task
        self._thread.shutdown()

    async def __call__(self, archs: Iterable[Arch]) -> dict[Arch, Row]:
        """The rows of the architectures, once all are there; Overloaded where they do not fit into the queue."""
        mine = self._join(list(dict.fromkeys(archs)))
        try:
            futures = [wanted.result for wanted in mine.values()]
            if futures:
                await asyncio.wait(futures, return_when=asyncio.FIRST_EXCEPTION)
            for future in futures:
                if future.done():
                    future.result()
            return {arch: wanted.result.result() for arch, wanted in mine.items()}
        finally:
            for arch, wanted in mine.items():
                wanted.waiting -= 1
                if not wanted.waiting and arch in self._queue and self._wanted.get(arch) is wanted:
                    del self._queue[arch], self._wanted[arch]

    def _join(self, archs: Sequence[Arch]) -> dict[Arch, Wanted]:
        new = [arch for arch in archs if arch not in self._wanted]
        if self._closing:
            raise Overloaded("the service is ending", 1)
        if len(self._queue) + len(new) > self.most:
            wait = min(max(math.ceil(len(self._queue) / self._rate), 1), LONGEST_WAIT)
            raise Overloaded(f"{len(self._queue)} architectures wait already, of at most {self.most}", wait)
        loop = asyncio.get_running_loop()
        for arch in new:
            self._wanted[arch] = Wanted(loop.create_future())
            self._queue[arch] = None
        mine = {arch: self._wanted[arch] for arch in archs}
        for wanted in mine.values():
            wanted.waiting += 1
        self._wake.set()
        return mine

    async def _run(self) -> None:
        while not (self._closing and not self._queue):
            await self._wake.wait()
            if len(self._queue) < self.batch and not self._closing:
                await asyncio.sleep(self.gather)
            part = list(islice(self._queue, self.batch))
            for arch in part:
                del self._queue[arch]
            if part:
                await self._pass(part)
            elif not self._closing:
                self._wake.clear()

    async def _pass(self, archs: Sequence[Arch]) -> None:
        loop, start = asyncio.get_running_loop(), time.perf_counter()
        try:
            rows = await loop.run_in_executor(self._thread, self._evaluate, archs)
            self._learn(rows)
        except ValueError as error:
            if len(archs) == 1:
                self._fail(archs, error)
            else:
                for arch in archs:
                    await self._pass([arch])
            return
        except Exception as error:
            self._fail(archs, error)
            return
        seconds = time.perf_counter() - start
        self._rate = max(len(archs) / max(seconds, 1e-6), 0.01)
        self.on_pass(len(archs), seconds)
        for row in rows:
            self._wanted.pop(row.arch).result.set_result(row)

    def _fail(self, archs: Sequence[Arch], error: Exception) -> None:
        for arch in archs:
            future = self._wanted.pop(arch).result
            future.set_exception(error)
            future.exception()  # nobody may be left to ask for it

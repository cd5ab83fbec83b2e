"""Questions gathered into passes: joined, bounded, dropped, failing alone, and finished at the end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence

import pytest
from oneshot.evaluators.base import Prediction
from oneshot.evaluators.service.batching import Batcher, Overloaded
from oneshot.evaluators.service.ranking import Row

from oneshot.space import Arch
from tests.evaluators.service.serving import ARCHS, until


class Passes:
    """A batcher that remembers its passes."""

    def __init__(self, batch: int = 4, queue: int = 100) -> None:
        self.passes: list[list[Arch]] = []
        self.learned: list[Arch] = []
        self.free = threading.Event()
        self.free.set()
        self.bad: dict[Arch, Exception] = {}
        self.batcher = Batcher(self.evaluate, self.learn, batch, queue, gather=0.02)

    def evaluate(self, archs: Sequence[Arch]) -> list[Row]:
        self.passes.append(list(archs))
        assert self.free.wait(10)
        for arch in archs:
            if arch in self.bad:
                raise self.bad[arch]
        return [Row(arch, str(arch), Prediction(float(ARCHS.index(arch)) / 4, 0.5, 400)) for arch in archs]

    def learn(self, rows: Sequence[Row]) -> None:
        self.learned += [row.arch for row in rows]

    def run(self, ask: Callable[[Batcher], Awaitable[None]]) -> None:
        async def inside() -> None:
            self.batcher.start()
            try:
                await ask(self.batcher)
            finally:
                self.free.set()
                await self.batcher.stop()

        asyncio.run(asyncio.wait_for(inside(), 30))


def test_concurrent_questions_share_passes() -> None:
    passes = Passes(batch=16)

    async def ask(batcher: Batcher) -> None:
        rows = await asyncio.gather(*(batcher([ARCHS[i], ARCHS[i + 1]]) for i in range(10)))
        assert [list(row) for row in rows] == [[ARCHS[i], ARCHS[i + 1]] for i in range(10)]
        assert all(row.prediction.accuracy == ARCHS.index(arch) / 4 for part in rows for arch, row in part.items())
        assert passes.learned == ARCHS[:11]

    passes.run(ask)
    assert passes.passes == [ARCHS[:11]]


def test_passes_have_a_size_and_each_is_evaluated_once() -> None:
    passes = Passes(batch=4)

    async def ask(batcher: Batcher) -> None:
        passes.free.clear()
        first = asyncio.create_task(batcher(ARCHS[:10]))
        await until(lambda: len(passes.passes) == 1)
        second = asyncio.create_task(batcher(ARCHS[:12]))  # joins what runs and what waits
        await asyncio.sleep(0)
        passes.free.set()
        assert list(await second) == ARCHS[:12]
        await first

    passes.run(ask)
    assert passes.passes == [ARCHS[:4], ARCHS[4:8], ARCHS[8:12]]


def test_a_full_queue_refuses_and_says_when_to_come_back() -> None:
    passes = Passes(batch=2, queue=5)

    async def ask(batcher: Batcher) -> None:
        passes.free.clear()
        running = asyncio.create_task(batcher(ARCHS[:2]))
        await until(lambda: len(passes.passes) == 1)
        waiting = asyncio.create_task(batcher(ARCHS[2:6]))
        await until(lambda: batcher.waiting == 4)
        with pytest.raises(Overloaded, match="4 architectures wait already, of at most 5") as caught:
            await batcher(ARCHS[6:8])
        assert caught.value.retry_after >= 1
        more = asyncio.create_task(batcher([*ARCHS[2:6], ARCHS[6]]))  # one of them is new
        await asyncio.sleep(0)
        assert batcher.waiting == 5
        passes.free.set()
        await asyncio.gather(running, waiting, more)

    passes.run(ask)


def test_what_nobody_waits_for_is_not_begun() -> None:
    passes = Passes(batch=2)

    async def ask(batcher: Batcher) -> None:
        passes.free.clear()
        first = asyncio.create_task(batcher(ARCHS[:2]))
        await until(lambda: len(passes.passes) == 1)
        leaving, staying = asyncio.create_task(batcher(ARCHS[2:8])), asyncio.create_task(batcher(ARCHS[6:9]))
        await until(lambda: batcher.waiting == 7)
        leaving.cancel()
        await until(lambda: batcher.waiting == 3)
        first.cancel()  # what runs already is finished, and learned
        passes.free.set()
        assert list(await staying) == ARCHS[6:9]
        assert list(await batcher(ARCHS[2:3])) == ARCHS[2:3]

    passes.run(ask)
    assert [arch for part in passes.passes for arch in part] == [*ARCHS[:2], *ARCHS[6:9], ARCHS[2]]
    assert set(passes.learned) == {*ARCHS[:3], *ARCHS[6:9]}


def test_one_that_cannot_be_evaluated_fails_alone() -> None:
    passes = Passes(batch=8)
    passes.bad[ARCHS[1]] = ValueError("too deep")

    async def ask(batcher: Batcher) -> None:
        found = await asyncio.gather(*(batcher([arch]) for arch in ARCHS[:3]), return_exceptions=True)
        assert [isinstance(each, dict) for each in found] == [True, False, True]
        assert str(found[1]) == "too deep"
        assert batcher.running

    passes.run(ask)


def test_a_full_disk_fails_the_pass_and_no_other() -> None:
    passes = Passes(batch=8)
    passes.bad[ARCHS[0]] = OSError("disk is full")

    async def ask(batcher: Batcher) -> None:
        with pytest.raises(OSError, match="disk is full"):
            await batcher(ARCHS[:3])
        passes.bad.clear()
        assert list(await batcher(ARCHS[:3])) == ARCHS[:3]

    passes.run(ask)
    assert passes.passes == [ARCHS[:3], ARCHS[:3]]


def test_the_end_finishes_what_waits_and_takes_nothing_new() -> None:
    passes = Passes(batch=2)

    async def ask(batcher: Batcher) -> None:
        passes.free.clear()
        waiting = asyncio.create_task(batcher(ARCHS[:6]))
        await until(lambda: len(passes.passes) == 1)
        stopping = asyncio.create_task(batcher.stop())
        await asyncio.sleep(0.01)
        with pytest.raises(Overloaded, match="is ending"):
            await batcher(ARCHS[6:7])
        passes.free.set()
        await stopping
        assert list(await waiting) == ARCHS[:6]

    passes.run(ask)

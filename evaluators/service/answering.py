"""What the routes share: a store with its evaluator, what is known of it, and the queue of what is not."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any

from fastapi import Request
from oneshot.evaluators.service.batching import Batcher, Overloaded
from oneshot.evaluators.service.comparison import compare
from oneshot.evaluators.service.failures import Refused
from oneshot.evaluators.service.limits import Limits
from oneshot.evaluators.service.metrics import Metrics
from oneshot.evaluators.service.ranking import Advised, Known, Row
from oneshot.evaluators.service.schema import record
from oneshot.evaluators.service.turns import in_turns
from oneshot.evaluators.store import Stored
from oneshot.evaluators.table import TableEvaluator

from oneshot.base.provenance import fingerprint
from oneshot.space import Arch, Space

REFRESH_SECONDS = 2.0
"""How often the file is asked for what other services have put there."""
INDICES = re.compile(r"\d{1,9}(,\d{1,9})*")
LOG = logging.getLogger("oneshot.service")


class Service:
    """What the routes share: a store with its evaluator, what is known, and the queue of what is not."""

    def __init__(
        self, store: Stored, truth: TableEvaluator | None, limits: Limits, network: Mapping[str, Any] | None = None
    ) -> None:
        self.store, self.truth, self.limits, self.space = store, truth, limits, store.space
        self.network = dict(network or {})
        self.known = Known(store.space, truth)
        self.fingerprint = fingerprint({"space": store.space.name, "protocol": store.protocol})
        self.batcher = Batcher(self._evaluate, self.known.add, limits.batch, limits.queue, limits.gather)
        self.metrics = Metrics(lambda: self.batcher.waiting, lambda: len(self.known))
        self.batcher.on_pass = self.metrics.passed
        self.known.add(self.known.unseen(store.everything()))
        self._compared: tuple[int, dict[str, Any]] | None = None
        self._advised: tuple[int, list[Advised]] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        with self.store.held():
            self.batcher.start()
            refreshing = asyncio.create_task(self._refresh())
            try:
                yield
            finally:
                refreshing.cancel()
                await self.batcher.stop()

    async def predict(self, archs: Sequence[Arch | str], request: Request) -> list[dict[str, Any]]:
        """The records of architectures; a string is looked up before it is parsed."""
        found: list[Row | Arch] = []
        async for place, asked in in_turns(enumerate(archs)):
            row = self.known.by_text.get(asked) if isinstance(asked, str) else None
            if row is None:
                arch = self.arch(asked, place)
                row = self.known.find(arch) or arch
            found.append(row)
        missing = list(dict.fromkeys(each for each in found if not isinstance(each, Row)))
        self.metrics.found(len(found) - len(missing), len(missing))
        new = await self._wait(missing, request) if missing else {}
        rows = (each if isinstance(each, Row) else new[each] for each in found)
        return [record(row, self.known) async for row in in_turns(rows)]

    async def compared(self) -> dict[str, Any]:
        if self._compared is None or self._compared[0] != len(self.known):
            self._compared = len(self.known), await asyncio.to_thread(compare, self.known)
        return self._compared[1]

    async def advised(self) -> list[Advised]:
        """All that is known, the recommended first."""
        if self._advised is None or self._advised[0] != len(self.known):
            rows = list(self.known.by_text.values())
            self._advised = len(rows), await asyncio.to_thread(self.known.recommended, rows)
        return self._advised[1]

    def arch(self, asked: Sequence[int] | str, place: int) -> Arch:
        try:
            return self.space.parse(asked) if isinstance(asked, str) else self.space.check(asked)
        except ValueError as error:
            raise Refused(422, f"architecture {place}: {error}") from error

    def named(self, text: str) -> Arch | str:
        """What an address names: option indices, but for a space in which these are a string."""
        return _parsed(text, self.space) if INDICES.fullmatch(text) else text

    def _evaluate(self, archs: Sequence[Arch]) -> list[Row]:
        return self.known.rows(archs, self.store(archs).values)

    async def _wait(self, archs: Sequence[Arch], request: Request) -> dict[Arch, Row]:
        """The rows of what is not known, within the deadline, as long as the client is there."""
        rows = asyncio.ensure_future(self.batcher(archs))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            left = request.scope["deadline"] - asyncio.get_running_loop().time()
            await asyncio.wait({rows, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if rows.done():
                return rows.result()
            if gone.done():
                raise Refused(400, "the client has gone")
            raise Refused(
                504,
                f"not all of {len(archs)} architectures were evaluated within {self.limits.deadline:g} seconds; "
                "those that were are kept: ask again, or for fewer",
            )
        except Overloaded as error:
            raise Refused(503, str(error), {"retry-after": str(error.retry_after)}) from error
        except OSError as error:
            LOG.error("%s", error)
            raise Refused(503, f"predictions cannot be kept now: {error}", {"retry-after": "5"}) from error
        except ValueError as error:
            LOG.error("%s", error)
            raise Refused(500, f"the evaluation failed: {error}") from error
        finally:
            rows.cancel()
            gone.cancel()

    async def _refresh(self) -> None:
        while True:
            with suppress(OSError, ValueError):  # /readyz tells
                if await asyncio.to_thread(self.store.count) > len(self.known):
                    kept = await asyncio.to_thread(self.store.everything)
                    self.known.add(await asyncio.to_thread(self.known.unseen, kept))
            await asyncio.sleep(REFRESH_SECONDS)


def _parsed(text: str, space: Space) -> Arch | str:
    """Option indices, but for a space in which that is a string."""
    try:
        return space.parse(text)
    except ValueError:
        return tuple(map(int, text.split(",")))


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

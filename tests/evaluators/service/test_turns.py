"""A large request lets others run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi import Request
from oneshot.evaluators.base import Prediction
from oneshot.evaluators.service.turns import SLICE, encoded, in_turns

from tests.evaluators.service.serving import STRINGS, Served


async def listed(items: AsyncIterator[int]) -> list[int]:
    return [item async for item in items]


@pytest.mark.parametrize("count", [0, 1, SLICE - 1, SLICE, SLICE + 1, 3 * SLICE])
def test_nothing_is_lost_or_turned_around(count: int) -> None:
    assert asyncio.run(listed(in_turns(range(count)))) == list(range(count))
    assert json.loads(asyncio.run(encoded([{"n": n} for n in range(count)]))) == [{"n": n} for n in range(count)]


def test_others_run_while_thousands_are_answered(tmp_path: Path) -> None:
    served = Served(tmp_path)
    known, archs = served.service.known, STRINGS * 50
    known.add(known.unseen({text: Prediction(50.0, 0.5, 400) for text in STRINGS}))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    async def ask() -> list[dict[str, Any]]:
        running = asyncio.create_task(others())
        records = await served.service.predict(archs, cast(Request, None))
        assert turns >= 2 * len(archs) // SLICE - 2
        assert json.loads(await encoded(records))[0]["arch"] == STRINGS[0]
        running.cancel()
        return records

    assert [row["arch"] for row in asyncio.run(ask())] == archs
    assert turns >= 3 * len(archs) // SLICE - 3


def test_long_answers_are_whole(tmp_path: Path) -> None:
    served = Served(tmp_path)

    async def ask(client: httpx.AsyncClient) -> None:
        answer = await client.post("/v1/predictions", json={"architectures": STRINGS * 3})
        assert [row["arch"] for row in answer.json()["predictions"]] == STRINGS * 3
        best = (await client.get("/v1/ranking?limit=10000")).json()
        assert best["known"] == len(best["predictions"]) == len(STRINGS)
        assert best["model"] == answer.json()["model"]

    served.run(ask)

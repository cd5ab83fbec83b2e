"""Under load: many at once, good and bad, some of which leave; nothing is answered wrongly."""

from __future__ import annotations

import asyncio
import json
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL
from tests.evaluators.service.serving import ARCHS, STRINGS, Counting, Served, accuracy, failed, listening

REQUESTS, CONNECTIONS = 400, 16
BAD: list[tuple[str, str, dict[str, Any], int]] = [
    ("POST", "/v1/predictions", {"json": {"architectures": ["|conv~0|"]}}, 422),
    ("POST", "/v1/predictions", {"json": {"architectures": [STRINGS[0], [0, 0, 0, 0, 0, 7]]}}, 422),
    ("POST", "/v1/predictions", {"content": b"{"}, 422),
    ("POST", "/v1/predictions", {"json": {"architectures": STRINGS[:31]}}, 413),
    ("POST", "/v1/predictions", {"content": b"x" * 10_000}, 413),
    ("GET", "/v1/predictions/nothing", {}, 422),
    ("GET", "/v1/ranking?limit=-1", {}, 422),
    ("GET", "/v1/comparison", {}, 404),
    ("GET", "/v2/space", {}, 404),
    ("DELETE", "/v1/model", {}, 405),
]


async def one(client: httpx.AsyncClient, rng: np.random.Generator) -> int:
    """A request, most often a good one, whose answer is checked; the status."""
    kind = rng.integers(10)
    if kind == 0:
        method, path, content, status = BAD[rng.integers(len(BAD))]
        failed(await client.request(method, path, **content), status)
        return status
    if kind == 1:
        answer = await client.get("/v1/ranking?limit=5&by=accuracy")
        found = [row["accuracy"] for row in answer.json()["predictions"]]
        assert found == sorted(found, reverse=True)
        return answer.status_code
    picked: list[Arch] = [ARCHS[i] for i in rng.integers(len(ARCHS), size=rng.integers(1, 31))]
    if kind == 2:
        answer = await client.get(f"/v1/predictions/{ALL.format(picked[0])}")
        picked, rows = picked[:1], [answer.json()]
    else:
        asked = [ALL.format(arch) if rng.integers(2) else list(arch) for arch in picked]
        answer = await client.post("/v1/predictions", json={"architectures": asked})
        rows = answer.json()["predictions"]
    direct = Counting()(picked)
    assert [tuple(row["indices"]) for row in rows] == picked
    assert [(row["accuracy"], row["loss"], row["images"]) for row in rows] == [
        (value.accuracy, value.loss, value.images) for value in direct.values
    ]
    return answer.status_code


def test_good_and_bad_requests_at_once(tmp_path: Path) -> None:
    served = Served(tmp_path, batch=16, archs=30, body=8192)

    async def ask(url: str) -> Counter[int]:
        statuses = Counter[int]()
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=httpx.Limits(max_connections=32)) as client:

            async def connection(number: int) -> None:
                rng = np.random.default_rng(number)
                for _ in range(REQUESTS // CONNECTIONS):
                    statuses[await one(client, rng)] += 1

            await asyncio.gather(*map(connection, range(CONNECTIONS)))
            text = (await client.get("/metrics")).text
        counted = [line.rpartition(" ") for line in text.splitlines() if line.startswith("oneshot_requests_total")]
        assert sum(float(value) for *_, value in counted) == sum(statuses.values())
        assert not any('status="5' in labels for labels, *_ in counted)
        return statuses

    with listening(served.app) as url:
        statuses = asyncio.run(ask(url))
    assert set(statuses) == {200, 404, 405, 413, 422}
    assert statuses[200] > 0.8 * sum(statuses.values())
    assert sorted(served.evaluator.asked) == sorted(set(served.evaluator.asked))
    assert served.store.count() == len(served.evaluator.asked)


def head(length: int) -> bytes:
    lines = (
        "POST /v1/predictions HTTP/1.1",
        "host: service",
        "content-type: application/json",
        f"content-length: {length}",
    )
    return "\r\n".join([*lines, "", ""]).encode()


def predicted(url: str, texts: list[str]) -> list[float]:
    answer = httpx.post(f"{url}/v1/predictions", json={"architectures": texts}, timeout=30)
    assert answer.status_code == 200, answer.text
    return [row["accuracy"] for row in answer.json()["predictions"]]


def test_clients_that_leave_harm_nobody(tmp_path: Path) -> None:
    """Before the request is whole, while it waits, and while it is evaluated: what ran is kept, the rest not begun."""
    served = Served(tmp_path, batch=2)
    body = json.dumps({"architectures": STRINGS[:6]}).encode()
    with listening(served.app) as url:
        place = ("127.0.0.1", int(url.rpartition(":")[2]))
        for sent in (b"", b"PO", head(len(body)), head(len(body)) + body[:20]):
            with socket.create_connection(place) as connection:
                connection.sendall(sent)
        served.evaluator.free.clear()
        with socket.create_connection(place) as connection:
            connection.sendall(head(len(body)) + body)
            wait(lambda: len(served.evaluator.passes) == 1)
            assert served.service.batcher.waiting == 4
        wait(lambda: served.service.batcher.waiting == 0)
        served.evaluator.free.set()
        assert predicted(url, STRINGS[10:12]) == [accuracy(arch) for arch in ARCHS[10:12]]
        assert predicted(url, STRINGS[:2]) == [accuracy(arch) for arch in ARCHS[:2]]
    assert served.evaluator.asked == [*ARCHS[:2], *ARCHS[10:12]]


def test_a_body_that_does_not_come_ends_at_the_deadline(tmp_path: Path) -> None:
    served = Served(tmp_path, deadline=0.2)
    with listening(served.app) as url:
        with socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=10) as connection:
            connection.sendall(head(100) + b'{"arch')
            came = b""
            while part := connection.recv(65536):
                came += part
        assert came.startswith(b"HTTP/1.1 408 Request Timeout\r\n")
        assert json.loads(came.partition(b"\r\n\r\n")[2])["error"]["code"] == "timeout"
        assert predicted(url, STRINGS[:1]) == [accuracy(ARCHS[0])]


def wait(ready: Any) -> None:
    end = time.monotonic() + 10
    while not ready():
        if time.monotonic() > end:
            pytest.fail("it did not come to this")
        time.sleep(0.005)

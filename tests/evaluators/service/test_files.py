"""The file of predictions shared, locked, damaged, and on a disk that fills up."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from tests.evaluators.service.serving import ARCHS, STRINGS, Counting, Served, accuracy, failed


async def post(client: httpx.AsyncClient, first: int, last: int) -> httpx.Response:
    return await client.post("/v1/predictions", json={"architectures": STRINGS[first:last]})


async def right(client: httpx.AsyncClient, first: int, last: int) -> None:
    answer = await post(client, first, last)
    assert answer.status_code == 200, answer.text
    assert [row["accuracy"] for row in answer.json()["predictions"]] == [accuracy(a) for a in ARCHS[first:last]]


def kept(path: Path) -> dict[str, float]:
    with sqlite3.connect(path) as connection:
        return dict(connection.execute("SELECT arch, accuracy FROM predictions").fetchall())


def test_two_services_write_one_file(tmp_path: Path) -> None:
    """Each is asked for two thirds of the architectures at the same time; a third service knows them all."""
    first, second = Served(tmp_path), Served(tmp_path)

    async def ask() -> None:
        async with first.running() as one, second.running() as other:
            parts = [(one, i, i + 5) for i in range(0, 100, 5)] + [(other, i, i + 5) for i in range(50, 150, 5)]
            await asyncio.gather(*(right(client, start, end) for client, start, end in parts))

    asyncio.run(asyncio.wait_for(ask(), 60))
    assert kept(tmp_path / "p.sqlite") == {text: accuracy(a) for text, a in zip(STRINGS[:150], ARCHS, strict=False)}
    third = Served(tmp_path)
    assert third.post(STRINGS[:150]).status_code == 200
    assert not third.evaluator.passes


def test_a_lock_that_stays_is_told_and_forgotten_once_it_is_gone(tmp_path: Path) -> None:
    served = Served(tmp_path, timeout=0.2, deadline=5)

    async def ask(client: httpx.AsyncClient) -> None:
        await right(client, 0, 3)
        other = sqlite3.connect(tmp_path / "p.sqlite", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        answer = await post(client, 3, 6)
        failed(answer, 503, "predictions cannot be kept now")
        assert "database is locked" in answer.text
        assert int(answer.headers["retry-after"]) >= 1
        await right(client, 0, 3)
        assert (await client.get("/readyz")).status_code == 200  # reading needs no lock
        other.execute("ROLLBACK")
        other.close()
        await right(client, 0, 6)

    served.run(ask)
    assert set(kept(tmp_path / "p.sqlite")) == set(STRINGS[:6])


def test_a_disk_that_fills_up(tmp_path: Path) -> None:
    """No file may grow beyond what it needs now; what was answered before stays, what was not is not in the file."""
    served, path = Served(tmp_path), tmp_path / "p.sqlite"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    async def ask(client: httpx.AsyncClient) -> None:
        await right(client, 0, 8)
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size, hard))
            statuses = [(await post(client, i, i + 8)).status_code for i in range(8, 200, 8)]
            answer = await post(client, 192, 200)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        failed(answer, 503, "predictions cannot be kept now")
        assert set(statuses) <= {200, 503}
        answered = 8 + 8 * statuses.count(200)
        assert len(served.service.known) == answered == len(kept(path))
        await right(client, 0, 200)

    served.run(ask)
    assert len(kept(path)) == 200


def spoil_garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def spoil_truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def spoil_pages(path: Path) -> None:
    """Every page but the first."""
    content = path.read_bytes()
    path.write_bytes(content[:4096] + np.random.default_rng(0).bytes(len(content) - 4096))


def spoil_missing(path: Path) -> None:
    for each in path.parent.glob("p.sqlite*"):
        each.unlink()


SPOILS = (spoil_garbage, spoil_truncated, spoil_pages)


@pytest.mark.parametrize("spoil", [*SPOILS, spoil_missing])
def test_a_file_that_is_damaged_while_it_is_used(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    Served(tmp_path).post(STRINGS[:150])
    served, path = Served(tmp_path), tmp_path / "p.sqlite"
    intact = path.read_bytes()

    async def ask(client: httpx.AsyncClient) -> None:
        await right(client, 0, 150)
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        spoil(path)
        failed(await client.get("/readyz"), 503, "p.sqlite")
        answer = await post(client, 150, 152)
        failed(answer, answer.status_code, "p.sqlite")
        assert answer.status_code in (500, 503)
        await right(client, 0, 150)  # from memory
        assert (await client.get("/healthz")).json() == {"status": "ok"}

    served.run(ask)
    for each in tmp_path.glob("p.sqlite*"):
        each.unlink()
    path.write_bytes(intact)  # not before: what still holds the old file may spoil the new one
    assert Served(tmp_path).get("/v1/model").json()["known"] == 150


@pytest.mark.parametrize("spoil", SPOILS)
def test_no_service_begins_on_a_damaged_file(tmp_path: Path, spoil: Callable[[Path], None]) -> None:
    Served(tmp_path).post(STRINGS[:150])
    spoil(tmp_path / "p.sqlite")
    with pytest.raises(ValueError, match=r"p\.sqlite is no intact database of predictions"):
        Served(tmp_path)


def test_predictions_of_no_architecture(tmp_path: Path) -> None:
    Served(tmp_path).post(STRINGS[:3])
    with sqlite3.connect(tmp_path / "p.sqlite") as connection:
        connection.execute("UPDATE predictions SET arch = 'odd' WHERE arch = ?", (STRINGS[0],))
    with pytest.raises(ValueError, match="'odd' is no NAS-Bench-201 string"):
        Served(tmp_path, Counting())

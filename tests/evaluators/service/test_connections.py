"""Connections that say nothing, half of something, or take no answer, over raw sockets."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI, Request
from oneshot.evaluators.service.connections import HEAD, RESERVE, REST
from oneshot.evaluators.service.guard import Guard
from oneshot.evaluators.service.limits import Limits
from oneshot.evaluators.service.metrics import Metrics
from starlette.responses import PlainTextResponse, Response

from tests.evaluators.service.serving import STRINGS, Served, listening

IDLE = 0.4
GET = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n"
HALVES = [
    b"", b"P", b"POST /v1/predictions HTTP/1.1\r\n", b"POST /v1/predictions HTTP/1.1\r\nhost: localhost\r\nx-a: ",
]  # fmt: skip


class Place:
    """Where a service listens."""

    def __init__(self, url: str) -> None:
        self.address = "127.0.0.1", int(url.rpartition(":")[2])

    def connect(self, sent: bytes = b"") -> socket.socket:
        made = socket.create_connection(self.address, timeout=20)
        made.sendall(sent)
        return made

    def status(self, sent: bytes = GET) -> int:
        with self.connect(sent) as connection:
            return int(connection.recv(4096).split(b" ", 2)[1])


@contextmanager
def served(folder: Path, **limits: Any) -> Iterator[Place]:
    limits = {"idle": IDLE, "deadline": 3.0, **limits}
    with listening(Served(folder, **limits).app, **limits) as url:
        yield Place(url)


def rest(connection: socket.socket) -> tuple[bytes, float]:
    """What comes until the other side closes, and the seconds until then."""
    came, start = b"", time.monotonic()
    with suppress(ConnectionResetError):
        while part := connection.recv(65536):
            came += part
    return came, time.monotonic() - start


def dripping(connection: socket.socket) -> float:
    """Seconds until a byte now and then ends in a closed connection."""
    start = time.monotonic()
    with suppress(ConnectionError):
        while time.monotonic() < start + 10:
            connection.sendall(b"x")
            time.sleep(0.05)
    return time.monotonic() - start


def error(came: bytes) -> dict[str, Any]:
    return json.loads(came.partition(b"\r\n\r\n")[2])["error"]


@pytest.mark.parametrize("sent", HALVES)
def test_half_of_a_request_is_closed(tmp_path: Path, sent: bytes) -> None:
    with served(tmp_path) as place, place.connect(sent) as connection:
        came, seconds = rest(connection)
        assert IDLE * 0.9 < seconds < IDLE + 1.5
        assert error(came)["code"] == "timeout" if sent else came == b""
        assert place.status() == 200


@pytest.mark.parametrize("before", [b"", GET])
def test_a_head_that_drips_is_closed(tmp_path: Path, before: bytes) -> None:
    """A byte now and then does not keep it; an answer before it begins the time anew."""
    with served(tmp_path) as place, place.connect(before) as connection:
        if before:
            assert connection.recv(4096).startswith(b"HTTP/1.1 200")
        connection.sendall(b"GET /")
        assert IDLE * 0.9 < dripping(connection) < IDLE + 1.5


def test_a_body_that_stops_or_drips(tmp_path: Path) -> None:
    head = b"POST /v1/predictions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    with served(tmp_path, deadline=1.2) as place:
        with place.connect(head + b"content-length: 100\r\n\r\n{") as connection:
            came, seconds = rest(connection)
        assert error(came)["message"] == f"the body of the request did not come within {IDLE:g} seconds"
        assert seconds < IDLE + 1
        with place.connect(head + b"content-length: 10000\r\n\r\n{") as connection:
            start, came = time.monotonic(), b""
            connection.settimeout(0.05)
            while not came:
                connection.sendall(b" ")
                try:
                    came = connection.recv(4096)
                except TimeoutError:
                    assert time.monotonic() < start + 5
        assert came.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - start < 2.2


def test_a_body_that_drips_after_its_answer(tmp_path: Path) -> None:
    """The answer ends a request, even if its body has not come; what comes of it then keeps nothing open."""
    sent = b"GET /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 100000\r\n\r\n"
    with served(tmp_path) as place, place.connect(sent) as connection:
        assert dripping(connection) < IDLE + 1.5


@pytest.mark.parametrize(
    "sent", [b"GET /" + b"x" * (HEAD + 1), b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * HEAD, b"x" * (REST + 2 * HEAD)]
)
def test_a_head_without_end(tmp_path: Path, sent: bytes) -> None:
    with served(tmp_path, idle=20.0) as place:
        with place.connect() as connection:
            start = time.monotonic()
            with suppress(ConnectionError):
                connection.sendall(sent)
            came, _ = rest(connection)
            assert time.monotonic() < start + 10
        assert came == b"" or error(came)["code"] == "bad_request"
        assert place.status() == 200


def test_an_answer_that_nobody_takes() -> None:
    """Its connection ends, and with it what is held for it."""
    app, size = FastAPI(), 1 << 23

    @app.get("/large")
    async def large() -> Response:
        return PlainTextResponse(b"x" * size)

    with listening(app, idle=0.2, deadline=1.5) as url:  # on a busy machine, too, time enough for who takes it
        place = Place(url)
        with place.connect() as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            connection.sendall(b"GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n")
            time.sleep(2.5)
            came, _ = rest(connection)
            assert 0 < len(came) < size
        with place.connect(b"GET /large HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n") as connection:
            assert len(rest(connection)[0]) > size


def test_more_connections_than_are_kept(tmp_path: Path) -> None:
    """The one that has waited longest makes room; probes are answered at once, and so is who asks."""
    with served(tmp_path, connections=8, idle=30.0, deadline=30.0) as place, ExitStack() as stack:
        idle = [stack.enter_context(place.connect(HALVES[i % 4])) for i in range(300)]
        start = time.monotonic()
        assert [place.status() for _ in range(3)] == [200] * 3
        assert time.monotonic() - start < 1
        assert rest(idle[0])[1] < 1
        idle[-1].sendall(b"\r\n\r\n")
        kept = 0
        for connection in idle:
            connection.settimeout(0.001)
            try:
                kept += bool(connection.recv(4096) and connection.recv(4096))
            except TimeoutError:
                kept += 1
            except ConnectionError:
                pass
        assert kept <= 8 + RESERVE


def test_when_all_are_busy_probes_are_answered_and_others_refused(tmp_path: Path) -> None:
    service = Served(tmp_path, connections=3)
    body = json.dumps({"architectures": STRINGS[:1]}).encode()
    head = b"POST /v1/predictions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
    ask = head + b"content-length: %d\r\n\r\n" % len(body) + body
    service.evaluator.free.clear()
    with listening(service.app, connections=3) as url, ExitStack() as stack:
        place = Place(url)
        asking = [stack.enter_context(place.connect(ask)) for _ in range(3)]
        while not service.evaluator.passes:
            time.sleep(0.01)
        while place.status(b"GET /v1/space HTTP/1.1\r\nhost: localhost\r\n\r\n") != 503:
            time.sleep(0.01)
        assert place.status() == 200
        service.evaluator.free.set()
        assert [int(each.recv(4096).split(b" ", 2)[1]) for each in asking] == [200] * 3
        assert place.status(b"GET /v1/space HTTP/1.1\r\nhost: localhost\r\n\r\n") == 200


def test_requests_behind_each_other_on_one_connection() -> None:
    """Sent all at once, each is answered; the time to ask counts from the last answer."""
    app = FastAPI()

    @app.post("/echo")
    async def echo(request: Request) -> Response:
        return PlainTextResponse(await request.body())

    limits = Limits(idle=IDLE)
    app.add_middleware(Guard, token=None, limits=limits, metrics=Metrics(lambda: 0, lambda: 0))
    ask = b"POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 5\r\n\r\nhello"
    with listening(app, idle=IDLE) as url, Place(url).connect(ask * 20) as connection:
        came, seconds = rest(connection)
    assert came.count(b"HTTP/1.1 200") == came.count(b"hello") == 20
    assert IDLE * 0.9 < seconds < IDLE + 1.5

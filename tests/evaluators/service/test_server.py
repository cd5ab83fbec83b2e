"""A listening socket, and what is no HTTP."""

from __future__ import annotations

import json
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from fastapi import FastAPI
from oneshot.evaluators.service.server import bound, serve

from tests.evaluators.service.serving import listening


def test_a_free_port_and_no_delay() -> None:
    for host in ("127.0.0.1", "::1"):
        with bound(host, 0) as found:
            assert found.getsockname()[1] > 0
            assert found.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_where_it_cannot_listen() -> None:
    with bound("127.0.0.1", 0) as taken, pytest.raises(OSError, match=r"cannot listen on 127\.0\.0\.1 port"):
        bound("127.0.0.1", taken.getsockname()[1])
    for port in (-1, 65536):
        with pytest.raises(ValueError, match=f"expected a port from 0 to 65535, got {port}"):
            bound("127.0.0.1", port)
    with pytest.raises(OSError, match=r"cannot listen on nowhere\.invalid"):
        bound("nowhere.invalid", 0)


@pytest.mark.parametrize("sent", [b"hello\r\n\r\n", b"GET / HTTP/1.1\r\nno header\r\n\r\n"])
def test_what_is_no_http_is_refused_in_the_one_shape(sent: bytes) -> None:
    with listening(FastAPI()) as url:
        port = int(url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(sent)
            came = b""
            while part := connection.recv(65536):
                came += part
    head, _, body = came.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert b"content-length: %d" % len(body) in head
    assert b"content-type: application/json" in head
    assert json.loads(body) == {
        "error": {"status": 400, "code": "bad_request", "message": "Invalid HTTP request received."}
    }


def test_it_is_ready_once_it_began_and_gives_signals_back() -> None:
    order = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        order.append("begun")
        yield
        order.append("ended")

    def on_ready() -> None:
        order.append("ready")
        signal.raise_signal(signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    with bound("127.0.0.1", 0) as found:
        serve(FastAPI(lifespan=lifespan), found, 1, on_ready)
    assert order == ["begun", "ready", "ended"]
    assert signal.getsignal(signal.SIGTERM) is before

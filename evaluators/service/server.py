"""Runs an application on a socket until it is told to stop; what is in flight then is finished."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable
from types import FrameType

import uvicorn
from fastapi import FastAPI
from oneshot.evaluators.service.failures import failure
from uvicorn.protocols.http.auto import AutoHTTPProtocol


def bound(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one. OSError says where it cannot listen."""
    if not 0 <= port <= 65535:
        raise ValueError(f"expected a port from 0 to 65535, got {port}")
    try:
        made = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        raise OSError(f"cannot listen on {host} port {port}: {error.strerror or error}") from error
    # connections inherit it; asyncio sets it only where it made the socket, and without it each answer takes 40 ms
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def serve(app: FastAPI, listening: socket.socket, grace: float, on_ready: Callable[[], None]) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in flight have `grace` seconds to end."""
    config = uvicorn.Config(
        app, log_level="warning", access_log=False, server_header=False, lifespan="on", http=Http,
        timeout_graceful_shutdown=round(grace) or 1,
    )  # fmt: skip
    before = signal.signal(signal.SIGTERM, _finished)
    try:
        _Server(config, on_ready).run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)


class Http(AutoHTTPProtocol):  # pyright: ignore[reportGeneralTypeIssues, reportUntypedBaseClass]
    """What is no HTTP is refused in the shape of all failures."""

    transport: asyncio.Transport

    def send_400_response(self, msg: str) -> None:
        answer = failure(400, msg, {"connection": "close"})
        head = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        self.transport.write(b"HTTP/1.1 400 Bad Request\r\n" + head + b"\r\n" + answer.body)
        self.transport.close()


class _Server(uvicorn.Server):
    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._on_ready()


def _finished(number: int, frame: FrameType | None) -> None:
    """Uvicorn repeats the signal when all is finished: nothing is left to do then."""

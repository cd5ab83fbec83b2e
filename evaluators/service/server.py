"""Runs an application on a socket until it is told to stop; what is in flight then is finished."""

from __future__ import annotations

import signal
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn
from fastapi import FastAPI
from oneshot.evaluators.service import logs, pauses
from oneshot.evaluators.service.connections import RESERVE, Connections
from oneshot.evaluators.service.limits import Limits

try:
    import resource
except ImportError:  # Windows, which counts sockets apart
    resource = None

AT_ONCE = 32
"""Connections that asyncio takes in one turn, before it makes room for any: more at once could need too many files."""
WAITING = 1024
"""Connections that the system holds until they are taken."""
FILES = 64 + 3 * AT_ONCE
"""Files that are needed beside those of connections."""


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


def affordable(connections: int) -> int:
    """As many of the connections as this process may have files for; it is let have more files where it can be."""
    if resource is None:
        return connections
    needed = connections + RESERVE + FILES
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        return max(connections - (needed - soft), 1)
    return connections


def configured(app: FastAPI, limits: Limits, grace: float, log_config: dict[str, Any] | None = None) -> uvicorn.Config:
    """How uvicorn serves an application here: bounded connections, no web sockets, no line a request."""
    http: Any = Connections(limits)
    return uvicorn.Config(
        app, http=http, ws="none", lifespan="on", backlog=AT_ONCE, timeout_graceful_shutdown=round(grace) or 1,
        log_config=log_config, access_log=False, server_header=False, proxy_headers=False,
    )  # fmt: skip


def serve(
    app: FastAPI, listening: socket.socket, grace: float, on_ready: Callable[[], None], limits: Limits | None = None
) -> None:
    """Serve until SIGTERM or Ctrl-C; requests in flight have `grace` seconds to end. The process is the service's own:
    its logging is configured, and its garbage collector kept from long pauses."""
    config = configured(app, limits or Limits(), grace, logs.configuration())

    def settled() -> None:
        pauses.settle()
        on_ready()

    before = signal.signal(signal.SIGTERM, _finished)
    try:
        with pauses.short():
            Server(config, settled).run(sockets=[listening])
    finally:
        signal.signal(signal.SIGTERM, before)


class Server(uvicorn.Server):
    """Uvicorn's, which says when it is ready; the system holds connections for it that it has not taken yet."""

    def __init__(self, config: uvicorn.Config, on_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._on_ready = on_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            for each in sockets or []:
                each.listen(WAITING)
            self._on_ready()


def _finished(number: int, frame: FrameType | None) -> None:
    """Uvicorn repeats the signal when all is finished: nothing is left to do then."""

"""Connections, bounded in number and in the time that each may take to ask and to take its answer."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from oneshot.evaluators.service.failures import failure
from oneshot.evaluators.service.limits import Limits
from uvicorn.protocols.http.auto import AutoHTTPProtocol

RESERVE = 16
"""Connections beyond the bound: there a probe still is answered when all others are busy."""
HEAD = 16 << 10
"""Bytes of the head of a request; h11 has the same bound, httptools has none."""
REST = 256 << 10
"""Bytes of a body that are still taken when its request is answered already, for its client to come to the answer."""


class Connections:
    """Of one server; calling it makes the protocol of a new one, as uvicorn does.

    Where there are more than `limits.connections` and a reserve, the one that waited longest for a request is closed.
    """

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.kept: set[Http] = set()
        self.waiting: dict[Http, None] = {}
        """Those of them that have not asked, or have their answer, the longest first."""

    def __call__(self, **given: Any) -> asyncio.Protocol:
        return Http(self, **given)

    def make_room(self) -> None:
        if len(self.kept) > self.limits.connections + RESERVE:
            next(iter(self.waiting)).close()  # the new one is the last of them


class Http(AutoHTTPProtocol):  # pyright: ignore[reportGeneralTypeIssues, reportUntypedBaseClass]
    """Uvicorn's protocol with bounds on time, which one timer a connection looks at.

    The head of a request comes within `limits.idle` seconds of the connection or the answer before, whatever else is
    sent meanwhile; an answer is taken within `limits.deadline`. Refusals have the shape of all failures.
    """

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    cycle: Any

    def __init__(self, of: Connections, **given: Any) -> None:
        super().__init__(**given)
        self._of, self._limits = of, of.limits
        self._came = 0
        self._due = self._taken_by = math.inf

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._of.kept.add(self)
        self._wait()
        self._timer = self.loop.call_later(self._limits.idle, self._look)
        self._of.make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._timer.cancel()
        self._leave()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        before = self.cycle
        super().data_received(data)
        if self.cycle is not before:
            self._begun()
        elif self in self._of.waiting and not self.transport.is_closing():
            self._came += len(data)
            rest = REST if before is not None and before.more_body else 0
            if self._came > HEAD + rest:
                self.send_400_response(f"the head of a request may have {HEAD:,} bytes")

    def on_response_complete(self) -> None:
        super().on_response_complete()  # pyright: ignore[reportAttributeAccessIssue]
        if self.cycle.response_complete:
            self._wait()
        else:  # the next request has come already
            self._begun()

    def pause_writing(self) -> None:
        self._taken_by = self.loop.time() + self._limits.deadline
        super().pause_writing()

    def resume_writing(self) -> None:
        self._taken_by = math.inf
        super().resume_writing()

    def send_400_response(self, msg: str) -> None:
        self._end(400, msg)

    def close(self) -> None:
        """To make room: a client that has sent nothing yet is told why."""
        if self.cycle is None and not self._came:
            self._end(503, "all connections are taken", {"retry-after": "1"})
        self._leave()
        self.transport.close()

    def _wait(self) -> None:
        self._came, self._due = 0, self.loop.time() + self._limits.idle
        self._of.waiting[self] = None

    def _begun(self) -> None:
        self._due = math.inf
        self._of.waiting.pop(self, None)

    def _leave(self) -> None:
        """No longer counted, though its last bytes may be on their way."""
        self._begun()
        self._of.kept.discard(self)

    def _look(self) -> None:
        stuck = self.transport.is_closing() or self.transport.get_write_buffer_size() > 0
        left = (self._taken_by if self._taken_by < math.inf else self._due) - self.loop.time()
        self._timer = self.loop.call_later(min(left, self._limits.idle) if left > 0 else self._limits.idle, self._look)
        if left > 0:
            return
        if stuck:
            self._abort()
        elif self._came:
            self._end(408, f"the head of the request did not come within {self._limits.idle:g} seconds")
        else:
            self.transport.close()

    def _abort(self) -> None:
        """Close it and forget what was to be sent; the system would go on trying."""
        self.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    def _end(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        answer = failure(status, message, {**(headers or {}), "connection": "close"})
        head = b"".join(b"%b: %b\r\n" % header for header in answer.raw_headers)
        first = f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n".encode()
        self.transport.write(first + head + b"\r\n" + bytes(answer.body))
        self.transport.close()

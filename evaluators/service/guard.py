"""What every request passes: host and origin, the token, bounds on number, size and time, headers of its answer."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Collection, Mapping
from typing import Any

from oneshot.evaluators.service.failures import Refused, failure
from oneshot.evaluators.service.hosts import Hosts
from oneshot.evaluators.service.limits import Limits
from oneshot.evaluators.service.metrics import Metrics
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

PAGES = ("/", "/docs", "/openapi.json")
"""What is without data, so that anyone may link to it; also all files of the page."""
PROBES = ("/healthz", "/readyz")
"""What is answered also when no more requests are taken."""
OPEN = (*PAGES, *PROBES)
"""What needs no token; also all files of the page."""

HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Guard:
    """ASGI middleware; one of Starlette's own kind would cost more than a known prediction does.

    `scope["deadline"]` is when a request must be answered, by the clock of the loop. `opened` are paths beside OPEN
    that need no token.
    """

    def __init__(
        self,
        app: ASGIApp,
        token: str | None,
        limits: Limits,
        metrics: Metrics,
        hosts: Hosts | None = None,
        opened: Collection[str] = (),
    ) -> None:
        self.app, self.token, self.limits, self.metrics = app, token, limits, metrics
        self.hosts, self.open = hosts or Hosts(), frozenset((*OPEN, *opened))
        self.inside = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        start, status = time.perf_counter(), 500
        scope["deadline"] = asyncio.get_running_loop().time() + self.limits.deadline

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
            await send(message)

        self.inside += 1
        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, sending)
            else:
                await self.app(scope, self._bounded(receive, scope["deadline"]), sending)
        finally:
            self.inside -= 1
            route: Any = getattr(scope.get("route"), "path", "other")
            self.metrics.answered(scope["method"], route, status, time.perf_counter() - start)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        page = path in PAGES or path.startswith("/page/")
        came_to = (scope.get("server") or ("",))[0]
        foreign = self.hosts.refusal(scope["headers"], came_to, scope.get("http_version", "1.1"), page)
        if foreign is not None:
            return failure(403, foreign)
        if self.inside > self.limits.connections and path not in PROBES:
            busy = f"{self.limits.connections} requests are being answered already"
            return failure(503, busy, {"retry-after": "1", "connection": "close"})
        if self.token is not None and not page and path not in self.open:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            same = hmac.compare_digest(given.strip().encode(), self.token.encode())
            if scheme.lower() != "bearer" or not same:
                wanted = {"www-authenticate": "Bearer"}
                return failure(401, "expected the header 'Authorization: Bearer TOKEN' with the right token", wanted)
        length = headers.get("content-length", "")
        if length.isdecimal() and int(length[:20]) > self.limits.body:
            return failure(413, self._too_large(), {"connection": "close"})
        return None

    def _bounded(self, receive: Receive, deadline: float) -> Receive:
        """Counts what comes, for a body that does not say its length, and waits for none of its parts too long."""
        came, whole, time_of = 0, False, asyncio.get_running_loop().time

        async def bounded() -> Message:
            nonlocal came, whole
            if whole:
                return await receive()
            idle = time_of() + self.limits.idle
            try:
                async with asyncio.timeout_at(min(deadline, idle)):
                    message = await receive()
            except TimeoutError:
                seconds = self.limits.idle if idle < deadline else self.limits.deadline
                late = f"the body of the request did not come within {seconds:g} seconds"
                raise Refused(408, late, {"connection": "close"}) from None
            whole = not message.get("more_body", False)
            came += len(message.get("body", b""))
            if came > self.limits.body:
                raise Refused(413, self._too_large(), {"connection": "close"})
            return message

        return bounded

    def _too_large(self) -> str:
        return f"a request's body may have {self.limits.body:,} bytes"

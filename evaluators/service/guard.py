"""What every request passes: the token, the size of its body, its deadline, the headers of its answer, the count."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Mapping
from typing import Any

from oneshot.evaluators.service.failures import Refused, failure
from oneshot.evaluators.service.limits import Limits
from oneshot.evaluators.service.metrics import Metrics
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

OPEN = ("/", "/docs", "/openapi.json", "/healthz", "/readyz")
"""What needs no token: pages without data, and the probes; also all files of the page."""

HEADERS: Mapping[str, str] = {
    "content-security-policy": "default-src 'self'; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
}


class Guard:
    """ASGI middleware; one of Starlette's own kind would cost more than a known prediction does.

    `scope["deadline"]` is when a request must be answered, by the clock of the loop.
    """

    def __init__(self, app: ASGIApp, token: str | None, limits: Limits, metrics: Metrics) -> None:
        self.app, self.token, self.limits, self.metrics = app, token, limits, metrics

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

        try:
            refusal = self._refusal(scope)
            if refusal is not None:
                await refusal(scope, receive, sending)
            else:
                await self.app(scope, self._bounded(receive, scope["deadline"]), sending)
        finally:
            route: Any = getattr(scope.get("route"), "path", "other")
            self.metrics.answered(scope["method"], route, status, time.perf_counter() - start)

    def _refusal(self, scope: Scope) -> Response | None:
        headers, path = Headers(scope=scope), scope["path"]
        if self.token is not None and path not in OPEN and not path.startswith("/page/"):
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
        """Counts what comes, for a body that does not say its length, and waits for it no longer than that."""
        came, whole = 0, False

        async def bounded() -> Message:
            nonlocal came, whole
            if whole:
                return await receive()
            try:
                async with asyncio.timeout_at(deadline):
                    message = await receive()
            except TimeoutError:
                late = f"the body of the request did not come within {self.limits.deadline:g} seconds"
                raise Refused(408, late, {"connection": "close"}) from None
            whole = not message.get("more_body", False)
            came += len(message.get("body", b""))
            if came > self.limits.body:
                raise Refused(413, self._too_large(), {"connection": "close"})
            return message

        return bounded

    def _too_large(self) -> str:
        return f"a request's body may have {self.limits.body:,} bytes"

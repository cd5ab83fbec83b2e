"""What every request passes, before an application that only reads its body."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest
from oneshot.evaluators.service.failures import Refused
from oneshot.evaluators.service.guard import HEADERS, OPEN, Guard
from oneshot.evaluators.service.limits import Limits
from oneshot.evaluators.service.metrics import Metrics


class Reading:
    """An application that answers with the number of bytes that came, or as it is told."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.deadline = 0.0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.deadline, came = scope["deadline"], 0
        if self.error is not None:
            raise self.error
        while (message := await receive())["type"] == "http.request":
            came += len(message["body"])
            if not message["more_body"]:
                break
        scope["route"] = type("Route", (), {"path": "/here"})
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-own", b"1")]})
        await send({"type": "http.response.body", "body": b"%d" % came})


def ask(
    app: Any,
    path: str = "/v1/space",
    parts: Sequence[bytes] = (b"",),
    headers: dict[str, str] | None = None,
    token: str | None = None,
    **limits: Any,
) -> tuple[int, dict[str, str], bytes, str]:
    """The status, headers and body of an answer, and the metrics after it; the last part of a body that ends in None
    never comes."""
    metrics, sent = Metrics(lambda: 0, lambda: 0), list[Any]()
    left = list(parts)

    async def receive() -> Any:
        if left[0] is None:
            await asyncio.sleep(60)
        body = left.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(left)}

    async def send(message: Any) -> None:
        sent.append(message)

    given = {"host": "localhost", **(headers or {})}
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in given.items()]
    scope = {"type": "http", "method": "POST", "path": path, "headers": pairs}
    asyncio.run(Guard(app, token, Limits(**limits), metrics)(scope, receive, send))
    start, *rest = sent
    found = {name.decode(): value.decode() for name, value in start["headers"]}
    return start["status"], found, b"".join(part["body"] for part in rest), metrics.text().decode()


def test_what_passes_is_counted_and_gets_headers() -> None:
    status, headers, body, metrics = ask(Reading(), parts=(b"abc", b"de"))
    assert (status, body) == (200, b"5")
    assert HEADERS.items() <= headers.items()
    assert headers["x-own"] == "1"
    assert 'oneshot_requests_total{method="POST",route="/here",status="200"} 1.0' in metrics


@pytest.mark.parametrize(
    "given", ["", "Bearer", "Bearer tokem", "Bearer token2", "Basic token", "token", "Bearer t\xf6ken"]
)
def test_a_wrong_token(given: str) -> None:
    reading = Reading(AssertionError("nobody may get here"))
    status, headers, body, metrics = ask(reading, headers={"authorization": given}, token="token")
    assert status == 401
    assert headers["www-authenticate"] == "Bearer"
    assert HEADERS.items() <= headers.items()
    assert json.loads(body)["error"]["code"] == "unauthorized"
    assert 'route="other",status="401"' in metrics


def test_the_right_token_and_what_needs_none() -> None:
    for given in ("Bearer token", "bearer  token "):
        assert ask(Reading(), headers={"authorization": given}, token="token")[0] == 200
    for path in (*OPEN, "/page/page.js"):
        assert ask(Reading(), path, token="token")[0] == 200
    for path in ("/page", "/metrics", "/v1/../", "//", "/healthz/"):
        assert ask(Reading(), path, token="token")[0] == 401


def test_a_body_that_says_it_is_too_large_is_not_read() -> None:
    for length in ("11", "9" * 5000):
        status, headers, body, _ = ask(Reading(AssertionError()), headers={"content-length": length}, body=10)
        assert (status, headers["connection"]) == (413, "close")
        assert json.loads(body)["error"]["message"] == "a request's body may have 10 bytes"
    assert ask(Reading(), parts=(b"x" * 10,), headers={"content-length": "10"}, body=10)[:3:2] == (200, b"10")
    assert ask(Reading(), headers={"content-length": "soon"}, body=10)[0] == 200


def test_a_body_that_is_too_large_and_does_not_say_so() -> None:
    with pytest.raises(Refused, match="may have 10 bytes") as caught:
        ask(Reading(), parts=(b"12345", b"67890", b"1"), body=10)
    assert caught.value.status_code == 413


def test_a_body_that_does_not_come() -> None:
    with pytest.raises(Refused, match=r"did not come within 0\.05 seconds") as caught:
        ask(Reading(), parts=(b"1", None), deadline=0.05)  # pyright: ignore[reportArgumentType]
    assert caught.value.status_code == 408
    with pytest.raises(Refused, match=r"did not come within 0\.04 seconds"):
        ask(Reading(), parts=(b"1", None), idle=0.04)  # pyright: ignore[reportArgumentType]


def test_a_foreign_host_is_refused_before_all_else() -> None:
    status, headers, body, metrics = ask(Reading(AssertionError()), headers={"host": "pages.example"}, token="token")
    assert status == 403
    assert HEADERS.items() <= headers.items()
    assert "pages.example" in json.loads(body)["error"]["message"]
    assert 'route="other",status="403"' in metrics


def test_other_protocols_pass() -> None:
    seen = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    guard = Guard(app, "token", Limits(), Metrics(lambda: 0, lambda: 0))
    asyncio.run(guard({"type": "lifespan"}, None, None))  # pyright: ignore[reportArgumentType]
    assert seen == ["lifespan"]

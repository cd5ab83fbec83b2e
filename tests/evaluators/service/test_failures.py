"""The one shape of failures, on an application of a few routes."""

from __future__ import annotations

import asyncio
import json

import httpx
import pytest
from fastapi import FastAPI, Query
from oneshot.evaluators.service.failures import CODES, LONGEST, Refused, failure, install, response


def get(path: str, method: str = "GET") -> httpx.Response:
    app = FastAPI()
    install(app)

    @app.get("/refused")
    async def refused() -> None:
        raise Refused(503, "not now", {"retry-after": "3"})

    @app.get("/broken")
    async def broken() -> None:
        raise RuntimeError("a secret")

    @app.get("/number")
    async def number(x: int = Query(), y: int = Query()) -> None: ...

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            return await client.request(method, path)

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("method", "path", "status", "code", "message"),
    [
        ("GET", "/refused", 503, "unavailable", "not now"),
        ("GET", "/broken", 500, "internal", "the service failed; its log says more"),
        ("GET", "/nowhere", 404, "not_found", "GET /nowhere: Not Found"),
        ("POST", "/refused", 405, "method_not_allowed", "POST /refused: Method Not Allowed"),
        ("GET", "/number?x=1", 422, "invalid", "query.y: Field required"),
        ("GET", "/number", 422, "invalid", "query.x: Field required (and 1 more)"),
    ],
)
def test_every_failure_has_one_shape(method: str, path: str, status: int, code: str, message: str) -> None:
    answer = get(path, method)
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == {"error": {"status": status, "code": code, "message": message}}


def test_headers_go_along() -> None:
    assert get("/refused").headers["retry-after"] == "3"
    assert get("/refused", "PUT").headers["allow"] == "GET"


def test_messages_are_cut_and_anything_can_be_sent() -> None:
    message = json.loads(bytes(failure(422, "\ud800" * 2000).body))["error"]["message"]
    assert message == "\ud800" * LONGEST + " ..."
    assert json.loads(bytes(failure(422, "x" * LONGEST).body))["error"]["message"] == "x" * LONGEST
    assert json.loads(bytes(failure(418, "tea").body))["error"]["code"] == "failed"
    assert len(set(CODES.values())) == len(CODES)
    with pytest.raises(ValueError, match="Out of range float"):
        response({"loss": float("inf")})

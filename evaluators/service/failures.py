"""One shape for every failure: `{"error": {"status": ..., "code": ..., "message": ...}}`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

CODES = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    422: "invalid",
    500: "internal",
    503: "unavailable",
    504: "deadline",
}
ENCODE = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode
"""`json.dumps` would make an encoder for every answer."""
LONGEST = 1000
"""Characters of a message: what came may be as long as a request."""


def response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A JSON response, in ASCII: strings that came may hold what UTF-8 cannot."""
    return Response(ENCODE(content), status, dict(headers or {}), "application/json")


def failure(status: int, message: str, headers: Mapping[str, str] | None = None) -> Response:
    shown = message if len(message) <= LONGEST else message[:LONGEST] + " ..."
    error = {"status": status, "code": CODES.get(status, "failed"), "message": shown}
    return response({"error": error}, status, headers)


class Refused(HTTPException):
    """Ends a request with a failure."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, message, dict(headers or {}))


def install(app: FastAPI) -> None:
    """Every failure of the application takes the one shape."""

    async def refused(request: Request, error: Any) -> Response:
        plain = error.detail == HTTPStatus(error.status_code).phrase
        message = f"{request.method} {request.url.path}: {error.detail}" if plain else str(error.detail)
        return failure(error.status_code, message, error.headers)

    async def invalid(request: Request, error: Any) -> Response:
        return failure(422, _first(error.errors()))

    async def broken(request: Request, error: Exception) -> Response:
        return failure(500, "the service failed; its log says more")

    app.add_exception_handler(HTTPException, refused)
    app.add_exception_handler(RequestValidationError, invalid)
    app.add_exception_handler(Exception, broken)


def _first(errors: Sequence[Any]) -> str:
    error = errors[0]
    place = ".".join(str(part) for part in error["loc"])
    more = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
    return f"{place}: {error['msg']}{more}"

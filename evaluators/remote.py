"""A service as an evaluator: architectures go over HTTP, predictions come back."""

from __future__ import annotations

import http.client
import json
import math
import os
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from oneshot.evaluators.base import Prediction, Predictions
from oneshot.evaluators.service.limits import read_token

from oneshot.registry import SPACES
from oneshot.space import Arch, Space

BATCH = 500
"""Architectures a request, or fewer where the service takes no more."""
LONGEST_WAIT = 60.0
"""Seconds between two tries at most."""
TRY_AGAIN = (429, 502, 503, 504)


class RemoteEvaluator:
    """Asks the service at `url`; its protocol is the service's own, so that it makes no difference who asked.

    What fails for a while is tried again `retries` times, after 0.5, 1, 2, ... seconds or what the service says; a
    batch that misses the service's deadline is asked for in halves. OSError where the service stays away or its model
    changes in between, ValueError for what it refuses. `space` is needed where the catalogue lacks the service's.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        space: Space | None = None,
        batch: int = BATCH,
        retries: int = 6,
        timeout: float = 120.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        if not url.startswith(("http://", "https://")):
            raise ValueError(f"expected the address of a service, such as http://127.0.0.1:8000, got {url!r}")
        for name, value in (("batch", batch), ("timeout", timeout)):
            if value <= 0:
                raise ValueError(f"{name} must be more than 0, got {value}")
        self.url, self.retries, self.timeout = url.rstrip("/"), retries, timeout
        self._token, self._sleep = token, sleep
        model = self._ask("/v1/model")
        if not isinstance(model, dict) or not {"space", "protocol", "fingerprint", "limits"} <= set(model):
            raise ValueError(f"{self.url}/v1/model does not say what predicts: is it this service?")
        self.space = space or SPACES[model["space"]]
        if self.space.name != model["space"]:
            raise ValueError(f"{self.url} predicts {model['space']}, expected {self.space.name}")
        self._protocol: dict[str, Any] = model["protocol"]
        self._fingerprint = model["fingerprint"]
        self.network: dict[str, Any] = model.get("network", {})
        self.batch = min(batch, int(model["limits"]["architectures"]))

    @property
    def protocol(self) -> dict[str, Any]:
        return self._protocol

    def __call__(
        self, archs: Sequence[Arch], on_chunk: Callable[[Sequence[Arch], Sequence[Prediction]], None] | None = None
    ) -> Predictions:
        """`on_chunk` is told of the predictions of each request once they are there."""
        checked = tuple(self.space.check(arch) for arch in archs)
        strings = {arch: self.space.format(arch) for arch in checked}
        named = {text: arch for arch, text in strings.items()}
        wanted = list(named)
        found: dict[str, Prediction] = {}
        size = self.batch
        while len(found) < len(wanted):
            part = wanted[len(found) : len(found) + size]
            try:
                values = self._predict(part, last=len(part) == 1)
            except _DeadlineMissed:
                size = max(len(part) // 2, 1)
                continue
            found.update(zip(part, values, strict=True))
            if on_chunk is not None:
                on_chunk([named[text] for text in part], values)
        return Predictions(self.space, checked, tuple(found[strings[arch]] for arch in checked), self.protocol)

    def _predict(self, strings: Sequence[str], last: bool) -> list[Prediction]:
        answer = self._ask("/v1/predictions", {"architectures": strings}, again_at_deadline=last)
        if not isinstance(answer, dict) or answer.get("model") != self._fingerprint:
            raise OSError(f"{self.url} predicts by another model than before; start again")
        rows = answer.get("predictions")
        if not isinstance(rows, list) or len(rows) != len(strings):
            count = len(rows) if isinstance(rows, list) else "no"
            raise OSError(f"{self.url} gave {count} predictions for {len(strings)} architectures")
        return [self._prediction(row) for row in rows]

    def _prediction(self, row: Any) -> Prediction:
        """A record of the answer; OSError where it is none."""
        try:
            if row.get("error") is not None:
                return Prediction.failed(str(row["error"]), int(row["images"]))
            if row.get("score") is not None:
                return Prediction.scored(float(row["score"]), int(row["images"]))
            numbers = float(row["accuracy"]), _loss(row["loss"]), int(row["images"])
            return Prediction(*numbers, balanced=row.get("balanced_accuracy"))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise OSError(f"{self.url} gave what is no prediction: {row!r:.200}") from None

    def _ask(self, path: str, content: Any = None, again_at_deadline: bool = True) -> Any:
        """The JSON document of an answer, after as many tries as it takes."""
        message = ""
        for tried in range(self.retries + 1):
            wait = min(0.5 * 2**tried, LONGEST_WAIT)
            try:
                return self._once(path, content)
            except urllib.error.HTTPError as error:
                message = _message(error)
                if error.code == 504 and not again_at_deadline:
                    raise _DeadlineMissed from None
                if error.code not in TRY_AGAIN:
                    kind = OSError if error.code >= 500 else ValueError
                    raise kind(f"{self.url} refuses: {message}") from None
                wait = max(wait, min(_seconds(error.headers.get("retry-after", "")), LONGEST_WAIT))
            except (OSError, http.client.HTTPException) as error:
                message = str(getattr(error, "reason", "") or error or type(error).__name__)
            if tried < self.retries:
                self._sleep(wait)
        raise OSError(f"{self.url} did not answer after {self.retries + 1} tries: {message}")

    def _once(self, path: str, content: Any) -> Any:
        headers = {"accept": "application/json"}
        if self._token is not None:
            headers["authorization"] = f"Bearer {self._token}"
        data = None if content is None else json.dumps(content).encode()
        if data is not None:
            headers["content-type"] = "application/json"
        request = urllib.request.Request(self.url + path, data, headers)
        with urllib.request.urlopen(request, timeout=self.timeout) as answer:
            text = answer.read()
        try:
            document = json.loads(text)
        except ValueError:
            raise ValueError(f"{self.url}{path} answered with something else than JSON: is it this service?") from None
        return document


def service_at(url: str, token_file: str | Path | None = None) -> RemoteEvaluator:
    """The service at `url`, with the token in that file, or in the one that ONESHOT_TOKEN_FILE names."""
    path = token_file or os.environ.get("ONESHOT_TOKEN_FILE")
    return RemoteEvaluator(url, read_token(Path(path)) if path else None)


class _DeadlineMissed(Exception):
    """The service could not evaluate all in time; what it could is kept there."""


def _message(error: urllib.error.HTTPError) -> str:
    """What the service says of a failure."""
    try:
        return str(json.loads(error.read())["error"]["message"])
    except (ValueError, KeyError, TypeError, OSError, http.client.HTTPException):
        return f"HTTP {error.code} {error.reason}"


def _loss(value: float | None) -> float:
    """JSON has no infinity."""
    return math.inf if value is None else float(value)


def _seconds(text: str) -> float:
    """What Retry-After says in seconds, 0 where it says nothing of use."""
    try:
        seconds = float(text)
    except ValueError:
        return 0.0
    return seconds if math.isfinite(seconds) and seconds > 0 else 0.0

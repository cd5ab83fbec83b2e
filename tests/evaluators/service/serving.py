"""What the tests of the service share: an evaluator that counts, and an application without sockets."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import numpy as np
from fastapi import FastAPI
from oneshot.benchmarks.table import Benchmark, write
from oneshot.evaluators.base import Prediction, Predictions
from oneshot.evaluators.service.app import create_app
from oneshot.evaluators.service.limits import Limits
from oneshot.evaluators.service.server import Server, bound, configured
from oneshot.evaluators.store import Stored
from oneshot.evaluators.table import TableEvaluator

from oneshot.space import Arch, Space
from oneshot.spaces.nasbench201 import ALL

ARCHS = [arch for arch in ALL if sum(arch) % 97 == 12][:200]
STRINGS = [ALL.format(arch) for arch in ARCHS]
Result = TypeVar("Result")


def accuracy(arch: Arch) -> float:
    """Of 400 images, a multiple of a quarter of a percent that tells architectures apart, mostly."""
    return sum((i + 1) * (place + 1) ** 2 for place, i in enumerate(arch)) % 400 / 4


class Counting:
    """Predicts `accuracy`; remembers its passes, and can be held, slowed or broken."""

    def __init__(self, space: Space = ALL, protocol: str = "counting") -> None:
        self.space = space
        self.protocol: dict[str, Any] = {"evaluator": protocol}
        self.passes: list[tuple[Arch, ...]] = []
        self.free = threading.Event()
        self.free.set()
        self.error: Exception | None = None
        self.bad: Arch | None = None

    @property
    def asked(self) -> list[Arch]:
        return [arch for each in self.passes for arch in each]

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        self.passes.append(tuple(archs))
        assert self.free.wait(30)
        if self.error is not None:
            raise self.error
        if self.bad in archs:
            raise ValueError(f"cannot run {self.bad}")
        values = tuple(Prediction(accuracy(arch), 0.5, 400) for arch in archs)
        return Predictions(self.space, tuple(archs), values, self.protocol)


class Scoring(Counting):
    """Predicts scores, on a scale far from that of accuracies."""

    def __init__(self) -> None:
        super().__init__()
        self.protocol = {"evaluator": "scoring", "quantity": "toy score"}

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        found = super().__call__(archs)
        values = tuple(Prediction.scored(score(arch), 8) for arch in archs)
        return Predictions(self.space, found.archs, values, self.protocol)


def score(arch: Arch) -> float:
    return 10 * accuracy(arch) - 2000


def table(path: Path, archs: Sequence[Arch] = ARCHS) -> Benchmark:
    """The predicted accuracies with noise, as fractions."""
    noise = np.random.default_rng(0).normal(0, 5, len(archs))
    truth = np.clip([accuracy(arch) for arch in archs] + noise, 0, 100) / 100
    return write(path / "truth.parquet", archs, {"digits_test": truth}, ALL, {})


class Served:
    """An application over a file in `folder`; `run` gives a coroutine its client while the service runs."""

    def __init__(self, folder: Path, evaluator: Any = None, truth: Benchmark | None = None, **limits: Any) -> None:
        token, timeout = limits.pop("token", None), limits.pop("timeout", 60.0)
        self.evaluator = evaluator or Counting()
        limits = {"batch": 8, **limits}
        self.store = Stored(self.evaluator, folder / "p.sqlite", limits["batch"], timeout, must_be_kept=True)
        given = {"hosts": limits.pop("hosts", ("service",)), "open_metrics": limits.pop("open_metrics", False)}
        self.app = create_app(self.store, TableEvaluator(truth) if truth else None, Limits(**limits), token, **given)
        self.service = self.app.state.service

    @asynccontextmanager
    async def running(self) -> AsyncIterator[httpx.AsyncClient]:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with (
            self.app.router.lifespan_context(self.app),
            httpx.AsyncClient(transport=transport, base_url="http://service") as client,
        ):
            yield client

    def run(self, ask: Callable[[httpx.AsyncClient], Awaitable[Result]]) -> Result:
        async def inside() -> Result:
            async with self.running() as client:
                return await ask(client)

        return asyncio.run(asyncio.wait_for(inside(), 60))

    def get(self, path: str, **options: Any) -> httpx.Response:
        return self.run(lambda client: client.get(path, **options))

    def post(self, archs: Any, **options: Any) -> httpx.Response:
        return self.run(lambda client: client.post("/v1/predictions", json={"architectures": archs}, **options))


def failed(answer: httpx.Response, status: int, words: str = "") -> None:
    """The one shape."""
    assert answer.status_code == status, answer.text
    document = answer.json()
    assert list(document) == ["error"]
    assert set(document["error"]) == {"status", "code", "message"}
    assert document["error"]["status"] == status
    assert words in document["error"]["message"], document
    assert answer.headers["content-type"] == "application/json"
    assert "Traceback" not in answer.text


@contextmanager
def listening(app: FastAPI, **limits: Any) -> Iterator[str]:
    """The address of an application that answers on a socket, in a thread."""
    with bound("127.0.0.1", 0) as socket:
        server = Server(configured(app, Limits(**limits), grace=5), lambda: None)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
        thread.start()
        try:
            end = time.monotonic() + 20
            while not server.started:
                assert thread.is_alive(), "the service did not start"
                assert time.monotonic() < end, "the service never got ready"
                time.sleep(0.01)
            yield f"http://127.0.0.1:{socket.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(20)


async def until(ready: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not ready():
            await asyncio.sleep(0.002)

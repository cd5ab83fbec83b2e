"""The application: predictions, what is known of them, and the page that shows them."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from oneshot.evaluators.service import failures
from oneshot.evaluators.service.batching import Batcher, Overloaded
from oneshot.evaluators.service.comparison import compare
from oneshot.evaluators.service.failures import ENCODE, Refused, response
from oneshot.evaluators.service.guard import Guard
from oneshot.evaluators.service.hosts import Hosts
from oneshot.evaluators.service.limits import Limits
from oneshot.evaluators.service.metrics import Metrics
from oneshot.evaluators.service.ranking import Advised, Known, Row
from oneshot.evaluators.service.schema import (
    Answer,
    Comparison,
    Failure,
    Model,
    Question,
    Ranking,
    Record,
    SpaceModel,
    State,
    ranked,
    record,
)
from oneshot.evaluators.service.turns import encoded, in_turns
from oneshot.evaluators.store import Stored
from oneshot.evaluators.table import TableEvaluator

from oneshot.base.provenance import environment, fingerprint, version
from oneshot.space import Arch, Space

PAGE = FilePath(__file__).parent / "page"
REFRESH_SECONDS = 2.0
"""How often the file is asked for what other services have put there."""
INDICES = re.compile(r"\d{1,9}(,\d{1,9})*")
LOG = logging.getLogger("oneshot.service")


def _fails(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Failure} for status in statuses}


FAILURES = _fails(400, 401, 403, 413, 422, 500, 503)
BUSY = {**FAILURES, **_fails(408, 504)}


class Service:
    """What the routes share: a store with its evaluator, what is known, and the queue of what is not."""

    def __init__(
        self, store: Stored, truth: TableEvaluator | None, limits: Limits, network: Mapping[str, Any] | None = None
    ) -> None:
        self.store, self.truth, self.limits, self.space = store, truth, limits, store.space
        self.network = dict(network or {})
        self.known = Known(store.space, truth)
        self.fingerprint = fingerprint({"space": store.space.name, "protocol": store.protocol})
        self.batcher = Batcher(self._evaluate, self.known.add, limits.batch, limits.queue, limits.gather)
        self.metrics = Metrics(lambda: self.batcher.waiting, lambda: len(self.known))
        self.batcher.on_pass = self.metrics.passed
        self.known.add(self.known.unseen(store.everything()))
        self._compared: tuple[int, dict[str, Any]] | None = None
        self._advised: tuple[int, list[Advised]] | None = None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        with self.store.held():
            self.batcher.start()
            refreshing = asyncio.create_task(self._refresh())
            try:
                yield
            finally:
                refreshing.cancel()
                await self.batcher.stop()

    async def predict(self, archs: Sequence[Arch | str], request: Request) -> list[dict[str, Any]]:
        """The records of architectures; a string is looked up before it is parsed."""
        found: list[Row | Arch] = []
        async for place, asked in in_turns(enumerate(archs)):
            row = self.known.by_text.get(asked) if isinstance(asked, str) else None
            if row is None:
                arch = self._arch(asked, place)
                row = self.known.find(arch) or arch
            found.append(row)
        missing = list(dict.fromkeys(each for each in found if not isinstance(each, Row)))
        self.metrics.found(len(found) - len(missing), len(missing))
        new = await self._wait(missing, request) if missing else {}
        rows = (each if isinstance(each, Row) else new[each] for each in found)
        return [record(row, self.known) async for row in in_turns(rows)]

    async def compared(self) -> dict[str, Any]:
        if self._compared is None or self._compared[0] != len(self.known):
            self._compared = len(self.known), await asyncio.to_thread(compare, self.known)
        return self._compared[1]

    async def advised(self) -> list[Advised]:
        """All that is known, the recommended first."""
        if self._advised is None or self._advised[0] != len(self.known):
            rows = list(self.known.by_text.values())
            self._advised = len(rows), await asyncio.to_thread(self.known.recommended, rows)
        return self._advised[1]

    def _arch(self, asked: Sequence[int] | str, place: int) -> Arch:
        try:
            return self.space.parse(asked) if isinstance(asked, str) else self.space.check(asked)
        except ValueError as error:
            raise Refused(422, f"architecture {place}: {error}") from error

    def _evaluate(self, archs: Sequence[Arch]) -> list[Row]:
        return self.known.rows(archs, self.store(archs).values)

    async def _wait(self, archs: Sequence[Arch], request: Request) -> dict[Arch, Row]:
        """The rows of what is not known, within the deadline, as long as the client is there."""
        rows = asyncio.ensure_future(self.batcher(archs))
        gone = asyncio.ensure_future(_disconnected(request))
        try:
            left = request.scope["deadline"] - asyncio.get_running_loop().time()
            await asyncio.wait({rows, gone}, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if rows.done():
                return rows.result()
            if gone.done():
                raise Refused(400, "the client has gone")
            raise Refused(
                504,
                f"not all of {len(archs)} architectures were evaluated within {self.limits.deadline:g} seconds; "
                "those that were are kept: ask again, or for fewer",
            )
        except Overloaded as error:
            raise Refused(503, str(error), {"retry-after": str(error.retry_after)}) from error
        except OSError as error:
            LOG.error("%s", error)
            raise Refused(503, f"predictions cannot be kept now: {error}", {"retry-after": "5"}) from error
        except ValueError as error:
            LOG.error("%s", error)
            raise Refused(500, f"the evaluation failed: {error}") from error
        finally:
            rows.cancel()
            gone.cancel()

    async def _refresh(self) -> None:
        while True:
            with suppress(OSError, ValueError):  # /readyz tells
                if await asyncio.to_thread(self.store.count) > len(self.known):
                    kept = await asyncio.to_thread(self.store.everything)
                    self.known.add(await asyncio.to_thread(self.known.unseen, kept))
            await asyncio.sleep(REFRESH_SECONDS)


def create_app(
    store: Stored,
    truth: TableEvaluator | None = None,
    limits: Limits | None = None,
    token: str | None = None,
    network: Mapping[str, Any] | None = None,
    hosts: Collection[str] = (),
    open_metrics: bool = False,
) -> FastAPI:
    """The application over a store; predictions are in its file before they are answered.

    It answers to loopback names, the address that a connection came to, and `hosts`; `/metrics` may be `open_metrics`.
    `network` is the size of the stand-alone networks (channels, cells, classes, image_size), for clients that count.
    """
    service = Service(store, truth, limits or Limits(), network)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with service.running():
            yield

    about = "Predicted accuracies of architectures, read out of a trained supernet."
    app = FastAPI(
        title="oneshot", summary=about, version=version("oneshot-nas") or "0", docs_url=None, redoc_url=None,
        lifespan=lifespan,
    )  # fmt: skip
    app.state.service = service
    failures.install(app)
    opened = ("/metrics",) if open_metrics else ()
    app.add_middleware(
        Guard, token=token, limits=service.limits, metrics=service.metrics, hosts=Hosts(hosts), opened=opened
    )
    _add_predictions(app, service)
    _add_knowledge(app, service)
    _add_probes(app, service)
    _add_pages(app)
    return app


def _add_predictions(app: FastAPI, service: Service) -> None:
    @app.post("/v1/predictions", response_model=Answer, responses=BUSY, tags=["predictions"])
    async def predict_many(question: Question, request: Request) -> Response:
        """Predict architectures; what is not known yet is evaluated together with what others ask for."""
        asked: list[Any] = [a if isinstance(a, str) else tuple(a) for a in question.architectures]
        if len(asked) > service.limits.archs:
            raise Refused(413, f"a request may ask for {service.limits.archs:,} architectures, got {len(asked):,}")
        return await _listed({"model": service.fingerprint}, await service.predict(asked, request))

    @app.get(
        "/v1/predictions/{arch:path}", response_model=Record, responses={**BUSY, 404: {"model": Failure}},
        tags=["predictions"],
    )  # fmt: skip
    async def predict_one(
        arch: Annotated[str, Path(description="a string of the space, or option indices such as 3,1,2,0,3,2")],
        request: Request,
    ) -> Response:
        """Predict one architecture."""
        asked = _parsed(arch, service.space) if INDICES.fullmatch(arch) else arch
        (found,) = await service.predict([asked], request)
        if "error" in found:
            raise Refused(422, f"no prediction of {found['arch']}: {found['error']}")
        return response(found)


def _add_knowledge(app: FastAPI, service: Service) -> None:
    most = service.limits.archs

    @app.get("/v1/space", response_model=SpaceModel, responses=FAILURES, tags=["knowledge"])
    async def space() -> Response:
        """The search space: what is decided, among which options."""
        decisions = [{"name": d.name, "options": d.options} for d in service.space.decisions]
        document = {"name": service.space.name, "size": service.space.size, "decisions": decisions}
        return response({**document, "edges": edges(service.space)})

    @app.get("/v1/model", response_model=Model, responses=FAILURES, tags=["knowledge"])
    async def model() -> Response:
        """What predicts, and by which protocol."""
        limits = {"architectures": most, "body": service.limits.body, "deadline": service.limits.deadline}
        document = {"fingerprint": service.fingerprint, "space": service.space.name, "limits": limits}
        truth = service.truth.protocol if service.truth else None
        known = {"truth": truth, "known": len(service.known), "network": service.network}
        return response({**document, "protocol": service.store.protocol, "environment": environment(), **known})

    @app.get("/v1/ranking", response_model=Ranking, responses=FAILURES, tags=["knowledge"])
    async def ranking(
        limit: int = Query(20, ge=1, le=most), by: Literal["recommended", "accuracy"] = "recommended"
    ) -> Response:
        """The best predictions known: by accuracy's ranks averaged with those of the best count, or by accuracy."""
        plain = [Advised(row, None, {}) for row in service.known.best(limit)]
        best = await service.advised() if by == "recommended" else plain
        rows = [ranked(each, service.known) async for each in in_turns(best[:limit])]
        return await _listed({"model": service.fingerprint, "known": len(service.known), "by": by}, rows)

    @app.get(
        "/v1/comparison", response_model=Comparison, responses={**FAILURES, 404: {"model": Failure}}, tags=["knowledge"]
    )
    async def comparison() -> Response:
        """Known predictions against the ground truth of the benchmark."""
        try:
            return response(await service.compared())
        except ValueError as error:
            raise Refused(404, str(error)) from error


def _add_probes(app: FastAPI, service: Service) -> None:
    @app.get("/healthz", response_model=State, responses=_fails(403), tags=["operation"])
    async def healthy() -> Response:
        """The process answers."""
        return response({"status": "ok"})

    @app.get("/readyz", response_model=State, responses=_fails(403, 503), tags=["operation"])
    async def ready() -> Response:
        """Predictions can be made and kept."""
        if not service.batcher.running:
            raise Refused(503, "the evaluator does not run", {"retry-after": "1"})
        try:
            await asyncio.to_thread(service.store.count)
        except (OSError, ValueError) as error:
            raise Refused(503, str(error), {"retry-after": "5"}) from error
        return response({"status": "ready"})

    @app.get("/metrics", response_class=Response, responses=_fails(401, 403, 503), tags=["operation"])
    async def metrics() -> Response:
        """Counters in the text format of Prometheus."""
        return Response(service.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


def _add_pages(app: FastAPI) -> None:
    for path, name in (("/", "index.html"), ("/docs", "docs.html")):
        app.get(path, include_in_schema=False)(_sender(name))
    app.mount("/page", StaticFiles(directory=PAGE))


def _sender(name: str) -> Any:
    async def send() -> FileResponse:
        return FileResponse(PAGE / name, media_type="text/html; charset=utf-8")

    return send


def edges(space: Space) -> list[list[int]] | None:
    """The source and target node that each decision `edge A->B` names; None where a decision is no edge."""
    found = [re.fullmatch(r"edge (\d+)->(\d+)", decision.name) for decision in space.decisions]
    return [[int(m[1]), int(m[2])] for m in found if m] if all(found) else None


async def _listed(about: Mapping[str, Any], records: Sequence[Any]) -> Response:
    """The answer that says something of all predictions, and then lists them."""
    return Response(f'{ENCODE(about)[:-1]},"predictions":{await encoded(records)}}}', media_type="application/json")


def _parsed(text: str, space: Space) -> Arch | str:
    """Option indices, but for a space in which that is a string."""
    try:
        return space.parse(text)
    except ValueError:
        return tuple(map(int, text.split(",")))


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass

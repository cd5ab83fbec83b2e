"""The application: predictions, what is known of them, and the page that shows them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path as FilePath
from typing import Annotated, Any, Literal

from fastapi import FastAPI, Path, Query, Request, Response
from fastapi.responses import FileResponse
from fastapi.staticfiles import StaticFiles
from oneshot.evaluators.service import failures
from oneshot.evaluators.service.answering import Service
from oneshot.evaluators.service.architectures import add_architectures
from oneshot.evaluators.service.describing import operations
from oneshot.evaluators.service.failures import ENCODE, Refused, response
from oneshot.evaluators.service.guard import Guard
from oneshot.evaluators.service.hosts import Hosts
from oneshot.evaluators.service.limits import Limits
from oneshot.evaluators.service.ranking import Advised
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
)
from oneshot.evaluators.service.turns import encoded, in_turns
from oneshot.evaluators.store import Stored
from oneshot.evaluators.table import TableEvaluator

from oneshot.base.provenance import environment, version
from oneshot.space import Space

PAGE = FilePath(__file__).parent / "page"


def _fails(*statuses: int) -> dict[int | str, dict[str, Any]]:
    return {status: {"model": Failure} for status in statuses}


FAILURES = _fails(400, 401, 403, 413, 422, 500, 503)
BUSY = {**FAILURES, **_fails(408, 504)}


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
    add_architectures(app, service, BUSY)
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
        (found,) = await service.predict([service.named(arch)], request)
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
        drawn = {"operations": operations(service.space), "zero": service.space.zero}
        return response({**document, "edges": edges(service.space), **drawn})

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
        known = {"known": len(service.known), "measured": service.known.with_truth, "by": by}
        return await _listed({"model": service.fingerprint, **known}, rows)

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

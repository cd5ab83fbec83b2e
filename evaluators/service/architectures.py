"""Routes about architectures beside their predictions: what they are, what one change would make of them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from fastapi import FastAPI, Path, Query, Request, Response
from oneshot.evaluators.service.answering import Service
from oneshot.evaluators.service.describing import Costs, description, neighbours, scattered
from oneshot.evaluators.service.failures import Refused, response
from oneshot.evaluators.service.schema import Description, Descriptions, Failure, Improvements, Question, Scatter

from oneshot.space import Arch

DESCRIBED = 200
"""Architectures that one request may have described: their networks may have to be built to be counted."""


def add_architectures(app: FastAPI, service: Service, failures: Mapping[int | str, dict[str, Any]]) -> None:
    """The routes; `failures` are the statuses that every route may answer with."""
    space, costs = service.space, Costs(service.space, service.network, service.truth)
    most, counting = min(DESCRIBED, service.limits.archs), asyncio.Lock()
    rng = np.random.default_rng()
    last: dict[int, dict[str, Any]] = {}
    """The scatter by the number of predictions that it is of: the last one alone."""

    @app.post("/v1/architectures", response_model=Descriptions, responses={**failures}, tags=["knowledge"])
    async def describe(question: Question) -> Response:
        """What architectures are: their cells as graphs, and what their networks cost. Predicts nothing."""
        asked: list[Any] = [a if isinstance(a, str) else tuple(a) for a in question.architectures]
        if len(asked) > most:
            raise Refused(413, f"a request may have {most:,} architectures described, got {len(asked):,}")
        archs = [service.arch(each, place) for place, each in enumerate(asked)]
        async with counting:
            found = await asyncio.to_thread(lambda: [description(space, costs, arch) for arch in archs])
        return response({"architectures": found})

    @app.get("/v1/random", response_model=Description, responses={**failures}, tags=["knowledge"])
    async def random() -> Response:
        """An architecture that was drawn from all of the space, and what it is. Predicts nothing."""
        async with counting:
            found = await asyncio.to_thread(lambda: description(space, costs, drawn()))
        return response(found, headers={"cache-control": "no-store"})

    def drawn() -> Arch:
        while not space.allows(arch := space.propose(rng)):
            pass
        return arch

    @app.get("/v1/costs", response_model=Scatter, responses={**failures}, tags=["knowledge"])
    async def scatter() -> Response:
        """Known predictions against parameters, multiply-adds and measured latencies; the front of each."""
        async with counting:
            known = len(service.known)
            if known not in last:
                found = await asyncio.to_thread(scattered, service.known, costs)
                last.clear()
                last[known] = found
            return response(last[known])

    @app.get(
        "/v1/improvements/{arch:path}", response_model=Improvements,
        responses={**failures, 408: {"model": Failure}, 504: {"model": Failure}}, tags=["predictions"],
    )  # fmt: skip
    async def improve(
        arch: Annotated[str, Path(description="a string of the space, or option indices such as 3,1,2,0,3,2")],
        request: Request,
        limit: int = Query(5, ge=1, le=100),
    ) -> Response:
        """Every change of one decision, predicted; the best of them first."""
        origin = service.arch(service.named(arch), 0)
        changes = neighbours(space, origin)
        if len(changes) >= service.limits.archs:
            much = f"{len(changes):,} architectures differ in one decision, a request may ask for"
            raise Refused(413, f"{much} {service.limits.archs:,}")
        first, *others = await service.predict([origin, *(each for _, _, each in changes)], request)
        if "error" in first:
            raise Refused(422, f"no prediction of {first['arch']}: {first['error']}")
        found = [
            {"decision": space.decisions[d].name, "option": space.decisions[d].options[o],
             "before": space.decisions[d].options[origin[d]], "prediction": record}
            for (d, o, _), record in zip(changes, others, strict=True) if "error" not in record
        ]  # fmt: skip
        found.sort(key=lambda change: -_predicted(change["prediction"]))
        return response({"of": first, "tried": len(changes), "changes": found[:limit]})


def _predicted(record: Mapping[str, Any]) -> float:
    return record["accuracy"] if record["score"] is None else record["score"]

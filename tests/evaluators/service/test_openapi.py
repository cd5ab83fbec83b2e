"""What the service says of itself in its OpenAPI description, asked by schemathesis over a socket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from oneshot.evaluators.service.app import create_app
from oneshot.evaluators.service.limits import Limits
from oneshot.evaluators.store import Stored
from oneshot.evaluators.table import TableEvaluator
from schemathesis.checks import load_all_checks
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.evaluators.service.serving import ARCHS, Counting, listening, table

load_all_checks()
PLAIN = ("/v1/space", "/v1/model", "/v1/comparison", "/v1/costs", "/v1/random", "/healthz", "/readyz", "/metrics")
TAKING = (
    "POST /v1/predictions", "GET /v1/predictions/{arch}", "GET /v1/ranking", "POST /v1/architectures",
    "GET /v1/improvements/{arch}",
)  # fmt: skip

ANY_STRING = (TAKING[1], "negative")
"""There is no path that this does not take."""


@pytest.fixture(scope="module")
def described(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The description of a running service that knows some architectures and their truth."""
    folder = tmp_path_factory.mktemp("service")
    store = Stored(Counting(), folder / "p.sqlite", chunk=8)
    store(ARCHS[:20])
    app = create_app(store, TableEvaluator(table(folder)), Limits(archs=50, body=1 << 16, gather=1e-4))
    with listening(app) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


def check(case: Any) -> None:
    """Status, type and schema are those described; a string that the description allows may be no architecture."""
    answer = case.call_and_validate(excluded_checks=[positive_data_acceptance])
    if answer.status_code >= 400:
        assert list(answer.json()) == ["error"]


def test_all_that_is_described_is_asked(described: Any) -> None:
    found = {operation.ok().label for operation in described.get_all_operations()}
    assert found == {*(f"GET {path}" for path in PLAIN), *TAKING}


@pytest.mark.parametrize("path", PLAIN)
def test_what_takes_nothing_answers_as_described(described: Any, path: str) -> None:
    check(described[path]["GET"].Case())


@pytest.mark.parametrize(
    ("label", "mode"),
    [(label, mode) for label in TAKING for mode in ("positive", "negative") if (label, mode) != ANY_STRING],
)
def test_every_answer_is_as_described(described: Any, label: str, mode: str) -> None:
    """For what the description allows and for what it does not; never a failure of ours."""
    operation = described.find_operation_by_label(label)

    @settings(
        max_examples=40, derandomize=True, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )  # fmt: skip
    @given(case=operation.as_strategy(generation_mode=schemathesis.GenerationMode(mode)))
    def every(case: Any) -> None:
        check(case)

    every()

"""The application without sockets: every route, and one shape for every failure."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from oneshot.benchmarks.scoring.measures import improvement_curve, kendall_tau
from oneshot.evaluators.recommended import advise
from oneshot.evaluators.service.app import edges
from oneshot.evaluators.service.ranking import interval
from oneshot.evaluators.store import Stored

from oneshot.base.provenance import fingerprint
from oneshot.registry import SPACES
from oneshot.spaces.fairnas import ALL as FAIRNAS
from oneshot.spaces.nasbench201 import ALL, EDGES
from tests.evaluators.service.serving import ARCHS, STRINGS, Counting, Served, accuracy, failed, table, until


def test_strings_and_indices_in_their_order(tmp_path: Path) -> None:
    served = Served(tmp_path)
    answer = served.post([STRINGS[3], list(ARCHS[1]), STRINGS[3], STRINGS[0]])
    rows = answer.json()["predictions"]
    assert [row["arch"] for row in rows] == [STRINGS[i] for i in (3, 1, 3, 0)]
    assert [row["accuracy"] for row in rows] == [accuracy(ARCHS[i]) for i in (3, 1, 3, 0)]
    assert [tuple(row["indices"]) for row in rows] == [ARCHS[i] for i in (3, 1, 3, 0)]
    assert sorted(served.evaluator.asked) == sorted({ARCHS[i] for i in (3, 1, 0)})
    assert answer.json()["model"] == fingerprint({"space": ALL.name, "protocol": served.evaluator.protocol})
    assert served.post([]).json()["predictions"] == []


def test_a_record_says_what_the_evaluator_did(tmp_path: Path) -> None:
    served = Served(tmp_path)

    async def ask(client: httpx.AsyncClient) -> list[dict[str, Any]]:
        await client.post("/v1/predictions", json={"architectures": STRINGS[:20]})
        return [
            (await client.get(f"/v1/predictions/{name}")).json()
            for name in (STRINGS[4].replace("|", "%7C").replace("+", "%2B"), STRINGS[4], ",".join(map(str, ARCHS[4])))
        ]

    first, second, third = served.run(ask)
    (value,) = Counting()([ARCHS[4]]).values
    assert first == second == third
    assert first["interval"] == pytest.approx(interval(value))
    assert first["standard_error"] == pytest.approx(value.standard_error)
    assert (first["images"], first["loss"], first["truth"]) == (400, 0.5, None)
    assert first["rank"] == 1 + sum(accuracy(arch) > accuracy(ARCHS[4]) for arch in ARCHS[:20])


def test_predictions_are_in_the_file_before_they_are_answered(tmp_path: Path) -> None:
    served = Served(tmp_path)

    async def ask(client: httpx.AsyncClient) -> None:
        for i in range(0, 30, 3):
            answer = await client.post("/v1/predictions", json={"architectures": STRINGS[i : i + 3]})
            with sqlite3.connect(tmp_path / "p.sqlite") as connection:
                kept = {text for (text,) in connection.execute("SELECT arch FROM predictions")}
            assert {row["arch"] for row in answer.json()["predictions"]} <= kept

    served.run(ask)
    again = Served(tmp_path)
    assert again.get("/v1/model").json()["known"] == 30
    assert again.post(STRINGS[:30]).status_code == 200
    assert not again.evaluator.passes


def test_two_services_share_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("oneshot.evaluators.service.answering.REFRESH_SECONDS", 0.01)
    first, second = Served(tmp_path), Served(tmp_path)

    async def ask(client: httpx.AsyncClient) -> None:
        Stored(second.evaluator, tmp_path / "p.sqlite")(ARCHS[:5])
        await client.post("/v1/predictions", json={"architectures": STRINGS[:3]})
        assert not first.evaluator.passes
        await until(lambda: len(first.service.known) == 5)
        assert (await client.get("/v1/ranking")).json()["known"] == 5

    first.run(ask)


def test_concurrent_requests_become_one_pass(tmp_path: Path) -> None:
    served = Served(tmp_path, batch=64, gather=0.1)

    async def ask(client: httpx.AsyncClient) -> None:
        posts = [client.post("/v1/predictions", json={"architectures": [text]}) for text in STRINGS[:32]]
        answers = await asyncio.gather(*posts, client.get(f"/v1/predictions/{STRINGS[0]}"))
        assert {answer.status_code for answer in answers} == {200}

    served.run(ask)
    assert [len(each) for each in served.evaluator.passes] == [32]


def test_ranking_space_and_model(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.post(STRINGS[:50])
    ranking = served.get("/v1/ranking", params={"limit": 7, "by": "accuracy"}).json()
    best = sorted((accuracy(arch) for arch in ARCHS[:50]), reverse=True)[:7]
    assert [row["accuracy"] for row in ranking["predictions"]] == best
    assert (ranking["known"], ranking["by"]) == (50, "accuracy")
    advised = served.get("/v1/ranking", params={"limit": 7}).json()
    found = advise(ALL, ARCHS[:50], np.array([accuracy(arch) for arch in ARCHS[:50]]))
    assert [row["arch"] for row in advised["predictions"]] == [STRINGS[i] for i in found.order[:7]]
    assert advised["by"] == "recommended"
    first = advised["predictions"][0]
    assert first["recommended"] == pytest.approx(found.value[found.order[0]])
    assert first["parts"] == {n: pytest.approx(part[found.order[0]]) for n, part in found.parts.items()}
    assert [*first["parts"]] == ["accuracy", "live_parameters"]
    space = served.get("/v1/space").json()
    assert (space["name"], space["size"]) == (ALL.name, 15625)
    assert [tuple(edge) for edge in space["edges"]] == list(EDGES)
    assert space["decisions"][2] == {"name": "edge 1->2", "options": list(ALL.decisions[2].options)}
    model = served.get("/v1/model").json()
    assert model["protocol"] == served.evaluator.protocol
    assert model["limits"]["architectures"] == 10_000
    assert model["truth"] is None
    assert "torch" in model["environment"]


def test_edges_are_those_of_decisions_that_are_edges() -> None:
    assert {name for name, space in SPACES.items() if edges(space)} == {
        n for n in SPACES if n.startswith("nasbench201") and n not in ("nasbench201-any", "nasbench201-subsets")
    }


def test_another_space(tmp_path: Path) -> None:
    served = Served(tmp_path, Counting(FAIRNAS))
    arch = (0, 1, 2, 3, 4, 5) * 3 + (0,)
    assert served.post([list(arch)]).json()["predictions"][0]["arch"] == FAIRNAS.format(arch)
    assert served.get("/v1/space").json()["edges"] is None


def test_ground_truth_beside_predictions(tmp_path: Path) -> None:
    truth = table(tmp_path)
    served = Served(tmp_path, truth=truth)
    failed(served.get("/v1/comparison"), 404, "at least 3 predictions")
    rows = served.post(STRINGS).json()["predictions"]
    values = dict(zip(truth.strings, 100 * truth.values("digits_test"), strict=True))
    assert [row["truth"] for row in rows] == pytest.approx([values[text] for text in STRINGS])
    found = served.get("/v1/comparison").json()
    predicted, true = np.array([accuracy(arch) for arch in ARCHS]), np.array([values[text] for text in STRINGS])
    assert found["kendall_tau"] == pytest.approx(kendall_tau(predicted, true))
    curve = improvement_curve(predicted, true, float(true.max()))
    by_left = dict(zip(curve.remaining.tolist(), curve.improvement, strict=True))
    assert found["remaining"][0] == found["count"] == len(ARCHS)
    assert found["remaining"][-1] == 1
    assert found["improvement"] == pytest.approx([by_left[left] for left in found["remaining"]])
    pairs = sorted(zip(predicted.tolist(), true.tolist(), strict=True))
    np.testing.assert_allclose(sorted(found["points"]), pairs, atol=1e-3)
    failed(Served(tmp_path).get("/v1/comparison"), 404, "--benchmark")


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 422, "JSON decode error"),
        (b"", 422, "body: Field required"),
        (b"[]", 422, "body"),
        (b'{"architectures": "x"}', 422, "architectures"),
        (b'{"architectures": [1]}', 422, "architectures.0"),
        (b'{"architectures": [[1.5]]}', 422, "architectures.0"),
        (b'{"architectures": [["1"]]}', 422, "architectures.0"),
        (b'{"architectures": [[true,0,0,0,0,0]]}', 422, "architectures.0"),
        (b'{"architectures": [], "norm": "batch"}', 422, "norm"),
        (b'{"architectures": ["\\ud800"]}', 422, ""),
        (b'{"architectures": [[0,0,0,0,0,9]]}', 422, "architecture 0: (0, 0, 0, 0, 0, 9) is no architecture"),
        (b'{"architectures": [[0,0,0,0,0,0],[]]}', 422, "architecture 1: () is no architecture of nasbench201"),
        (b'{"architectures": [[' + b"9" * 5000 + b"]]}", 400, ""),
        (b"[" * 100_000, 400, ""),
        (b"\xff\xfe", 422, "JSON decode error"),
        (b"\x80", 400, ""),
        (b'{"architectures": [' + b'"",' * 200 + b'""]}', 413, "may ask for 100 architectures, got 201"),
        (b" " * 70_000, 413, "a request's body may have 65,536 bytes"),
    ],
)
def test_bad_bodies(tmp_path: Path, body: bytes, status: int, words: str) -> None:
    served = Served(tmp_path, archs=100, body=1 << (17 if body[:2] == b"[[" else 16))

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        async def pieces():  # no content-length
            for start in range(0, len(body), 1000):
                yield body[start : start + 1000]

        headers = {"content-type": "application/json"}
        whole = await client.post("/v1/predictions", content=body, headers=headers)
        return [whole, await client.post("/v1/predictions", content=pieces(), headers=headers)]

    for answer in served.run(ask):
        failed(answer, status, words)
    assert not served.evaluator.passes


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("GET", "/nowhere", 404, "/nowhere"),
        ("GET", "/page/nowhere.js", 404, "nowhere"),
        ("GET", "/page/../app.py", 404, ""),
        ("DELETE", "/v1/space", 405, "DELETE"),
        ("GET", "/v1/predictions", 405, ""),
        ("GET", "/v1/predictions/no-cell", 422, "'no-cell' is no NAS-Bench-201 string"),
        ("GET", "/v1/predictions/1,2,3", 422, "(1, 2, 3) is no architecture"),
        ("GET", "/v1/predictions/%00%ff", 422, "no NAS-Bench-201 string"),
        ("GET", "/v1/ranking?limit=0", 422, "limit"),
        ("GET", "/v1/ranking?limit=x", 422, "limit"),
    ],
)
def test_bad_addresses(tmp_path: Path, method: str, path: str, status: int, words: str) -> None:
    failed(Served(tmp_path).run(lambda client: client.request(method, path)), status, words)


def test_messages_are_cut(tmp_path: Path) -> None:
    answer = Served(tmp_path).post(["x" * 100_000])
    failed(answer, 422, "...")
    assert len(answer.content) < 2000


def test_a_token(tmp_path: Path) -> None:
    served = Served(tmp_path, token="secret")
    for path in ("/v1/space", "/v1/model", "/v1/ranking", "/v1/predictions/x", "/metrics", "/nowhere"):
        answer = served.get(path)
        failed(answer, 401, "Authorization: Bearer")
        assert answer.headers["www-authenticate"] == "Bearer"
    for wrong in ("Bearer other", "Bearer", "secret", "Basic secret", "Bearer secret2"):
        failed(served.get("/v1/space", headers={"authorization": wrong}), 401)
    assert served.get("/v1/space", headers={"authorization": "Bearer secret"}).status_code == 200
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/readyz", "/page/page.js"):
        assert served.get(path).status_code == 200


def test_a_full_queue_and_a_deadline(tmp_path: Path) -> None:
    served = Served(tmp_path, batch=2, archs=4, queue=4, deadline=0.3)

    async def ask(client: httpx.AsyncClient) -> None:
        def post(some: list[str]) -> asyncio.Task[httpx.Response]:
            return asyncio.create_task(client.post("/v1/predictions", json={"architectures": some}))

        served.evaluator.free.clear()
        running = post(STRINGS[:2])
        await until(lambda: len(served.evaluator.passes) == 1)
        waiting = post(STRINGS[2:5])
        await until(lambda: served.service.batcher.waiting == 3)
        answer = await post(STRINGS[5:8])
        failed(answer, 503, "3 architectures wait already, of at most 4")
        assert int(answer.headers["retry-after"]) >= 1
        failed(await running, 504, "not all of 2 architectures were evaluated within 0.3 seconds")
        failed(await waiting, 504)
        await until(lambda: served.service.batcher.waiting == 0)
        served.evaluator.free.set()
        assert (await post(STRINGS[:2])).status_code == 200
        assert served.evaluator.asked == ARCHS[:2]  # what ran at the deadline was kept

    served.run(ask)


def test_failures_of_the_evaluator(tmp_path: Path) -> None:
    served = Served(tmp_path)
    served.evaluator.bad = ARCHS[1]

    async def ask(client: httpx.AsyncClient) -> None:
        posts = [client.post("/v1/predictions", json={"architectures": [text]}) for text in STRINGS[:3]]
        good, bad, other = await asyncio.gather(*posts)
        assert good.status_code == other.status_code == 200
        failed(bad, 500, "the evaluation failed: cannot run")
        served.evaluator.error = OSError("database or disk is full")
        answer = await client.post("/v1/predictions", json={"architectures": STRINGS[4:5]})
        failed(answer, 503, "database or disk is full")
        assert "retry-after" in answer.headers
        served.evaluator.error = RuntimeError("secret path")
        answer = await client.post("/v1/predictions", json={"architectures": STRINGS[5:6]})
        failed(answer, 500, "its log says more")
        assert "secret" not in answer.text
        served.evaluator.error = None
        assert (await client.post("/v1/predictions", json={"architectures": STRINGS[4:6]})).status_code == 200

    served.run(ask)


def test_a_damaged_file_makes_it_unready(tmp_path: Path) -> None:
    served = Served(tmp_path)

    async def ask(client: httpx.AsyncClient) -> None:
        assert (await client.get("/readyz")).json() == {"status": "ready"}
        for path in tmp_path.glob("p.sqlite*"):
            with path.open("r+b") as file:  # in place: a mapped file that is cut short ends the process
                file.write(b"no database at all" * (500 + path.stat().st_size // 18))
        answer = await client.get("/readyz")
        failed(answer, 503, "p.sqlite")
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        answer = await client.post("/v1/predictions", json={"architectures": STRINGS[:1]})
        assert answer.status_code in (500, 503)

    served.run(ask)


def test_a_client_that_leaves_takes_its_work_along(tmp_path: Path) -> None:
    served = Served(tmp_path, batch=1)

    async def ask(client: httpx.AsyncClient) -> None:
        served.evaluator.free.clear()
        body = json.dumps({"architectures": STRINGS[:5]}).encode()
        messages = [{"type": "http.request", "body": body, "more_body": False}]
        left = asyncio.Event()

        async def receive() -> dict[str, Any]:
            if messages:
                return messages.pop()
            await left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None: ...

        headers = [(b"content-type", b"application/json"), (b"host", b"service")]
        scope = {"type": "http", "method": "POST", "path": "/v1/predictions", "headers": headers, "query_string": b""}
        leaving = asyncio.create_task(served.app({**scope, "scheme": "http", "root_path": ""}, receive, send))
        await until(lambda: served.service.batcher.waiting == 4)
        left.set()
        await leaving
        assert served.service.batcher.waiting == 0
        served.evaluator.free.set()

    served.run(ask)
    assert served.evaluator.asked == ARCHS[:1]


def test_metrics_count(tmp_path: Path) -> None:
    served = Served(tmp_path)

    async def ask(client: httpx.AsyncClient) -> str:
        await client.post("/v1/predictions", json={"architectures": STRINGS[:5]})
        await client.post("/v1/predictions", json={"architectures": STRINGS[:7]})
        await client.get("/nowhere")
        await client.request("BREW", "/v1/space")
        return (await client.get("/metrics")).text

    lines = served.run(ask).splitlines()
    assert 'oneshot_requests_total{method="POST",route="/v1/predictions",status="200"} 2.0' in lines
    assert 'oneshot_requests_total{method="GET",route="other",status="404"} 1.0' in lines
    assert 'oneshot_requests_total{method="other",route="/v1/space",status="405"} 1.0' in lines
    assert 'oneshot_architectures_total{known="yes"} 5.0' in lines
    assert 'oneshot_architectures_total{known="no"} 7.0' in lines
    assert "oneshot_pass_size_sum 7.0" in lines
    assert "oneshot_known 7.0" in lines
    assert "oneshot_queue 0.0" in lines


def test_openapi_describes_what_is_answered(tmp_path: Path) -> None:
    served = Served(tmp_path)
    api = served.get("/openapi.json").json()
    assert {"/v1/predictions", "/v1/predictions/{arch}", "/v1/space", "/v1/model", "/v1/ranking", "/healthz"} <= {
        *api["paths"]
    }
    for path in ("/v1/space", "/v1/model", "/v1/ranking", "/healthz"):
        schema = api["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
        fields = api["components"]["schemas"][schema["$ref"].split("/")[-1]]["properties"]
        assert set(served.get(path).json()) == set(fields)
    rows = served.post(STRINGS[:1]).json()["predictions"]
    assert set(rows[0]) == set(api["components"]["schemas"]["Record"]["properties"])
    for methods in api["paths"].values():
        for what in methods.values():
            for status, answer in what["responses"].items():
                if status != "200":
                    assert answer["content"]["application/json"]["schema"]["$ref"].endswith("/Failure")


def test_pages_ask_nothing_of_other_machines(tmp_path: Path) -> None:
    served = Served(tmp_path)
    for path in ("/", "/docs"):
        answer = served.get(path)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        assert answer.headers["content-security-policy"].startswith("default-src 'self';")
        assert "//" not in answer.text.replace("<!doctype", "")
    assert served.get("/page/page.js").headers["content-type"].startswith("text/javascript")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.one_of(st.text(max_size=90), st.text("|+~0123norcv_x", max_size=90), st.sampled_from(STRINGS)))
def test_fuzzed_strings(served: tuple[httpx.AsyncClient, asyncio.AbstractEventLoop], text: str) -> None:
    client, loop = served
    answer = loop.run_until_complete(client.post("/v1/predictions", json={"architectures": [text]}))
    if text.strip() in STRINGS:
        assert answer.json()["predictions"][0]["arch"] == text.strip()
    elif answer.status_code == 200:
        assert ALL.format(ALL.parse(text)) == answer.json()["predictions"][0]["arch"]
    else:
        failed(answer, 422, "architecture 0")


@pytest.fixture
def served(tmp_path: Path):
    """A client and its loop, for tests that ask many times."""
    service = Served(tmp_path, gather=0.0001)
    loop = asyncio.new_event_loop()
    lifespan = service.app.router.lifespan_context(service.app)
    loop.run_until_complete(lifespan.__aenter__())
    transport = httpx.ASGITransport(service.app, raise_app_exceptions=False)
    client = httpx.AsyncClient(transport=transport, base_url="http://service")
    yield client, loop
    loop.run_until_complete(client.aclose())
    loop.run_until_complete(lifespan.__aexit__(None, None, None))
    loop.close()


def test_a_locked_file_delays_and_loses_nothing(tmp_path: Path) -> None:
    served = Served(tmp_path)

    async def ask(client: httpx.AsyncClient) -> None:
        locking = sqlite3.connect(tmp_path / "p.sqlite", isolation_level=None)
        locking.execute("BEGIN EXCLUSIVE")
        asking = asyncio.create_task(client.post("/v1/predictions", json={"architectures": STRINGS[:2]}))
        await asyncio.sleep(0.3)
        assert not asking.done()
        assert (await client.get("/healthz")).status_code == 200
        locking.execute("COMMIT")
        locking.close()
        assert (await asking).status_code == 200

    served.run(ask)
    assert Stored(Counting(), tmp_path / "p.sqlite").count() == 2

"""A service as an evaluator: the same predictions, whatever happens on the way."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from oneshot.evaluators.remote import RemoteEvaluator, service_at

from oneshot.spaces.nasbench201 import ALL, CONV
from tests.evaluators.service.serving import ARCHS, STRINGS, Counting, Served, accuracy, listening

MODEL = {
    "space": "nasbench201", "protocol": {"evaluator": "scripted"}, "fingerprint": "f", "limits": {"architectures": 8},
}  # fmt: skip
Step = tuple[int, dict[str, str], Any]


@contextmanager
def scripted(*steps: Step | None, model: Any = MODEL) -> Iterator[tuple[str, list[list[str]]]]:
    """A server that answers POSTs by the steps, then rightly; None breaks the connection. Yields what it was asked."""
    asked: list[list[str]] = []
    left = list(steps)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(200, {}, model)

        def do_POST(self) -> None:
            archs = json.loads(self.rfile.read(int(self.headers["content-length"])))["architectures"]
            asked.append(archs)
            rows = [{"accuracy": accuracy(ALL.parse(text)), "loss": 0.5, "images": 400} for text in archs]
            step = left.pop(0) if left else (200, {}, {"model": "f", "predictions": rows})
            if step is not None:
                self.answer(*step)

        def answer(self, status: int, headers: dict[str, str], content: Any) -> None:
            body = content if isinstance(content, bytes) else json.dumps(content).encode()
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        server.server_close()


def error(status: int, message: str = "no", **headers: str) -> Step:
    return status, headers, {"error": {"status": status, "code": "x", "message": message}}


def test_it_predicts_what_the_service_does(tmp_path: Path) -> None:
    served = Served(tmp_path, batch=64)
    with listening(served.app) as url:
        remote = RemoteEvaluator(url + "/", batch=30)
        found = remote([*ARCHS[:70], ARCHS[3]])
        local = Counting()([*ARCHS[:70], ARCHS[3]])
        assert (found.archs, found.values, found.protocol) == (local.archs, local.values, local.protocol)
        assert remote.space is ALL
        found.save(tmp_path / "remote.json")
        local.save(tmp_path / "local.json")
        assert (tmp_path / "remote.json").read_text() == (tmp_path / "local.json").read_text()
    assert sorted(served.evaluator.asked) == sorted(ARCHS[:70])


def test_batches_are_no_larger_than_the_service_takes() -> None:
    with scripted() as (url, asked):
        assert len(RemoteEvaluator(url)(ARCHS[:20])) == 20
        RemoteEvaluator(url, batch=3)(ARCHS[:4])
        assert RemoteEvaluator(url)([]).values == ()
    assert [len(part) for part in asked] == [8, 8, 4, 3, 1]


@pytest.mark.parametrize(
    ("steps", "waits"),
    [
        ([error(503, **{"retry-after": "7"}), error(502)], [7.0, 1.0]),
        ([None, None, error(429)], [0.5, 1.0, 2.0]),
        ([error(503, **{"retry-after": "soon"})], [0.5]),
        ([error(503, **{"retry-after": "1e9"})], [60.0]),
    ],
)
def test_what_fails_for_a_while_is_tried_again(steps: list[Step | None], waits: list[float]) -> None:
    waited: list[float] = []
    with scripted(*steps) as (url, _):
        found = RemoteEvaluator(url, sleep=waited.append)(ARCHS[:3])
    assert found.accuracy.tolist() == [accuracy(arch) for arch in ARCHS[:3]]
    assert waited == waits


def test_a_missed_deadline_halves_the_batch() -> None:
    waited: list[float] = []
    with scripted(error(504), error(504)) as (url, asked):
        assert len(RemoteEvaluator(url, sleep=waited.append)(ARCHS[:8])) == 8
    assert [len(part) for part in asked] == [8, 4, 2, 2, 2, 2]
    assert not waited


def test_a_service_that_stays_away() -> None:
    waited: list[float] = []
    with scripted(*[error(503, "the queue is full")] * 9) as (url, _):
        remote = RemoteEvaluator(url, sleep=waited.append, retries=3)
        with pytest.raises(OSError, match="did not answer after 4 tries: the queue is full"):
            remote(ARCHS[:1])
        assert waited == [0.5, 1.0, 2.0]
    with pytest.raises(OSError, match=r"did not answer after 1 tries: .*refused"):
        RemoteEvaluator(url, retries=0)
    with scripted(*[error(504, "too slow")] * 9) as (url, asked), pytest.raises(OSError, match="too slow"):
        RemoteEvaluator(url, sleep=waited.append, retries=1)(ARCHS[:1])
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("step", "kind", "words"),
    [
        (error(422, "no such cell"), ValueError, "refuses: no such cell"),
        (error(413, "too many"), ValueError, "refuses: too many"),
        (error(500, "broken"), OSError, "refuses: broken"),
        ((404, {}, b"<html>"), ValueError, "HTTP 404"),
        ((200, {}, b"<html>"), ValueError, "something else than JSON"),
        ((200, {}, {"model": "g", "predictions": []}), OSError, "by another model than before"),
        ((200, {}, {"model": "f", "predictions": []}), OSError, "gave 0 predictions for 1 architectures"),
    ],
)
def test_what_is_not_tried_again(step: Step, kind: type[Exception], words: str) -> None:
    with scripted(step) as (url, asked), pytest.raises(kind, match=words):
        RemoteEvaluator(url, sleep=_never)(ARCHS[:1])
    assert asked == [STRINGS[:1]]


def _never(seconds: float) -> None:
    raise AssertionError(f"waited {seconds} seconds")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda url: RemoteEvaluator("runs/x"), "expected the address of a service"),
        (lambda url: RemoteEvaluator(url, batch=0), "batch must be more than 0, got 0"),
        (lambda url: RemoteEvaluator(url, timeout=-1), "timeout must be more than 0"),
        (lambda url: RemoteEvaluator(url, space=CONV), "predicts nasbench201, expected nasbench201-conv"),
    ],
)
def test_bad_settings(make: Callable[[str], RemoteEvaluator], words: str) -> None:
    with scripted() as (url, _), pytest.raises(ValueError, match=words):
        make(url)


def test_another_service() -> None:
    for model in ({"space": "nasbench201"}, [], "hello"):
        with scripted(model=model) as (url, _), pytest.raises(ValueError, match="is it this service"):
            RemoteEvaluator(url)


def test_a_token_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "token").write_text("secret\n")
    with listening(Served(tmp_path, token="secret").app) as url:
        with pytest.raises(ValueError, match="refuses: expected the header 'Authorization"):
            service_at(url)
        monkeypatch.setenv("ONESHOT_TOKEN_FILE", str(tmp_path / "token"))
        assert len(service_at(url)(ARCHS[:2])) == 2

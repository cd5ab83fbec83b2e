"""Foreign hosts and origins are refused, without a socket and over one; who may ask without a token."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from oneshot.evaluators.service.hosts import Hosts, is_loopback

from tests.evaluators.service.serving import STRINGS, Served, listening

OWN = ["localhost", "localhost:8000", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.0.0.1:1", "[::1]", "[::1]:8000"]
FOREIGN = [
    "pages.example", "pages.example:8000", "127.0.0.1.pages.example", "localhost.pages.example", "0.0.0.0", "10.0.0.6",
    "127.0.0.1@pages.example", "pages.example#localhost", "localhost:8000:1", "[::2]", "::1", "", " ", "a b", "[", "é",
    "x" * 5000, "notgpu.example.org", "example.org",
]  # fmt: skip


def refused(*headers: tuple[str, str], page: bool = False, version: str = "1.1", names: tuple[str, ...] = ()) -> Any:
    pairs = [(name.encode(), value.encode()) for name, value in headers]
    return Hosts(names).refusal(pairs, "10.0.0.5", version, page)


@pytest.mark.parametrize(
    "host", [*OWN, "10.0.0.5", "10.0.0.5:8000", "gpu.example.org", "a.lab.example:80", "[fd00::7]"]
)
def test_hosts_of_its_own(host: str) -> None:
    names = ("GPU.example.org", "*.lab.example", "fd00:0::7")
    assert refused(("host", host), names=names) is None
    assert refused(("host", "localhost"), ("origin", f"https://{host}"), names=names) is None


@pytest.mark.parametrize("host", [*FOREIGN, "lab.example"])
def test_foreign_hosts(host: str) -> None:
    names = ("gpu.example.org", "*.lab.example")
    assert "does not answer to the host" in refused(("host", host), names=names)
    found = refused(("host", "localhost"), ("origin", f"http://{host}"), names=names)
    assert "may not ask this service" in found
    assert len(found) < 500


def test_what_browsers_and_probes_send_otherwise() -> None:
    own = ("host", "localhost")
    for origin in ("null", "localhost", "file://", "http://[::1", "chrome-extension://abc"):
        assert "may not ask" in refused(own, ("origin", origin))
    assert "may not ask" in refused(own, ("origin", "http://localhost"), ("origin", "http://pages.example"))
    cross = ("sec-fetch-site", "cross-site")
    assert "other sites" in refused(own, cross)  # <img src="http://localhost:8000/v1/predictions/...">
    assert refused(own, cross, page=True) is None
    assert refused(own, ("sec-fetch-site", "same-origin")) is None
    assert "one header 'Host', got 0" in refused()
    assert "one header 'Host', got 2" in refused(own, own)
    assert refused(version="1.0") is None
    assert refused(("host", "pages.example"), version="1.0")
    assert refused(("host", "pages.example"), ("origin", "http://other.example"), names=("*",)) is None


@pytest.mark.parametrize("name", ["", "http://x", "x:80", "a b", "*.", "a.*.b", "**", "*x"])
def test_names_that_are_none(name: str) -> None:
    with pytest.raises(ValueError, match="expected the name of a host"):
        Hosts([name])


def test_loopback() -> None:
    assert [is_loopback(a) for a in ("127.0.0.1", "127.9.9.9", "::1")] == [True] * 3
    assert [is_loopback(a) for a in ("0.0.0.0", "::", "10.0.0.5", "fe80::1%eth0")] == [False] * 4


def test_an_application_refuses_them(tmp_path: Path) -> None:
    served = Served(tmp_path, hosts=("gpu.example.org",))
    with TestClient(served.app, "http://127.0.0.1:8000") as client:
        for path in ("/", "/healthz", "/v1/model", "/metrics", "/nowhere"):
            for headers in ({"host": "pages.example"}, {"origin": "http://pages.example"}):
                answer = client.get(path, headers=headers)
                assert answer.status_code == 403
                assert answer.json()["error"]["code"] == "forbidden"
        asked = {"architectures": STRINGS[:1]}
        assert client.post("/v1/predictions", json=asked, headers={"origin": "null"}).status_code == 403
        assert not served.evaluator.asked
        for headers in ({"host": "gpu.example.org"}, {"host": "localhost", "origin": "http://127.0.0.1:8000"}):
            assert client.post("/v1/predictions", json=asked, headers=headers).status_code == 200


def test_a_socket_refuses_them(tmp_path: Path) -> None:
    with listening(Served(tmp_path, hosts=()).app) as url:

        def status(**headers: str) -> int:
            connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=10)
            connection.request("GET", "/v1/model", headers=headers)
            answer = connection.getresponse()
            document = json.loads(answer.read())
            connection.close()
            assert ("error" in document) == (answer.status != 200)
            return answer.status

        port = url.rpartition(":")[2]
        assert [status(), status(Host="localhost:1"), status(Origin=url)] == [200] * 3
        assert status(Host=f"127.0.0.1:{port}", Origin=f"http://localhost:{port}") == 200
        assert [status(Host=f"pages.example:{port}"), status(Origin="http://pages.example")] == [403] * 2


def test_metrics_may_be_open_on_their_own(tmp_path: Path) -> None:
    for name, opened in (("a", False), ("b", True)):
        (tmp_path / name).mkdir()
        served = Served(tmp_path / name, token="secret", open_metrics=opened)
        assert served.get("/metrics").status_code == (200 if opened else 401)
        assert served.get("/v1/model").status_code == 401

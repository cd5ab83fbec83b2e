"""`oneshot serve` as a process: killed, ended, refused; and what is asked of it by `oneshot search`."""

from __future__ import annotations

import http.client
import json
import re
import resource
import signal
import socket
import sqlite3
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from oneshot.evaluators.remote import RemoteEvaluator

from oneshot.samplers.uniform import distinct
from oneshot.spaces.nasbench201 import ALL
from perf.forked import Process
from tests.cli.test_commands import TINY, fails, oneshot
from tests.cli.test_stops import start

ARCHS = distinct(ALL, 3000, np.random.default_rng(0))


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    assert oneshot(f"train {TINY} --out {path}") == 0
    return path


@contextmanager
def serving(run: Path | str, options: str = "") -> Iterator[tuple[Process, str]]:
    """The process and its address, once it answers."""
    process = start(f"serve {run} --port 0 --threads 1 {options}")
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"http://\S+", line)
        assert match, (line, process.poll() is None or process.communicate())
        yield process, match[0]
    finally:
        process.kill()
        process.communicate()


def ask(url: str, content: Any = None) -> Any:
    data = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(url, data, {"content-type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def kept(store: Path) -> dict[str, float]:
    with closing(sqlite3.connect(store)) as connection:
        return dict(connection.execute("SELECT arch, accuracy FROM predictions").fetchall())


def test_kill_9_loses_nothing_answered(run: Path, tmp_path: Path) -> None:
    store, answered = tmp_path / "p.sqlite", dict[str, float]()
    with serving(run, f"--store {store} --batch 4 --batch-norm ema-2") as (process, url):
        enough = threading.Event()

        def client(some: list) -> None:
            for arch in some:
                try:
                    rows = ask(f"{url}/v1/predictions", {"architectures": [arch]})["predictions"]
                except OSError:
                    return
                answered.update({row["arch"]: row["accuracy"] for row in rows})
                if len(answered) >= 20:
                    enough.set()

        threads = [threading.Thread(target=client, args=(ARCHS[i::4],)) for i in range(4)]
        for thread in threads:
            thread.start()
        assert enough.wait(60)
        process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join(60)
    assert 20 <= len(answered) < len(ARCHS)
    assert answered.items() <= kept(store).items()
    with serving(run, f"--store {store} --batch-norm ema-2") as (_, url):
        assert ask(f"{url}/v1/model")["known"] == len(kept(store))


def test_sigterm_finishes_what_is_in_flight(run: Path, tmp_path: Path) -> None:
    found: list[Any] = []
    with serving(run, f"--store {tmp_path / 'p.sqlite'} --batch 8 --batch-norm ema-2") as (process, url):
        content = {"architectures": ARCHS[:80]}
        thread = threading.Thread(target=lambda: found.append(ask(f"{url}/v1/predictions", content)))
        thread.start()
        while not kept(tmp_path / "p.sqlite"):
            assert thread.is_alive()
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        thread.join(60)
        assert process.stderr is not None
        assert "Traceback" not in process.stderr.read()
    assert [tuple(row["indices"]) for row in found[0]["predictions"]] == ARCHS[:80]
    assert len(kept(tmp_path / "p.sqlite")) == 80


def test_a_service_is_searched_and_scored_like_a_run(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = "--algorithm random --population 6 --generations 1 --json"
    with serving(run, f"--benchmark nasbench201-digits --batch-norm ema-2 --store {tmp_path / 'p.sqlite'}") as (_, url):
        assert oneshot(f"search {url} {words} --out {tmp_path / 'remote'}") == 0
        remote = json.loads(capsys.readouterr().out)
        table = [ALL.parse(text) for text in _digits()[:30]]
        RemoteEvaluator(url)(table).save(tmp_path / "p.parquet")
        assert oneshot(f"predict {url} --sample 5 --out {tmp_path / 'asked.json'}") == 0
        rows = ask(f"{url}/v1/ranking?limit=100")["predictions"]
        assert sum(row["truth"] is not None for row in rows) >= 30
        for option in ("--batch-norm batch", "--images 10", "--standalone 2"):
            fails(capsys, f"search {url} {option}", f"{option.split()[0]} is for a run folder")
        assert oneshot(f"search {url} {words} --store {tmp_path / 'here.sqlite'}") == 0
        capsys.readouterr()
    assert oneshot(f"search {run} {words} --batch-norm ema-2 --out {tmp_path / 'local'}") == 0
    local = json.loads(capsys.readouterr().out)
    assert remote["settings"]["evaluator"] == local["settings"]["evaluator"]
    assert remote["settings"]["costs"] == local["settings"]["costs"]
    assert oneshot(f"predict {run} --sample 5 --batch-norm ema-2 --out {tmp_path / 'read.json'}") == 0
    assert (tmp_path / "asked.json").read_text() == (tmp_path / "read.json").read_text()
    capsys.readouterr()
    frames = [pd.read_parquet(tmp_path / name / "candidates.parquet") for name in ("remote", "local")]
    assert frames[0].equals(frames[1])
    assert len(kept(tmp_path / "here.sqlite")) == remote["evaluations"]
    capsys.readouterr()
    assert oneshot(f"score {tmp_path / 'p.parquet'} --benchmark nasbench201-digits --json") == 0
    assert json.loads(capsys.readouterr().out)["protocol"]["predictions"]


def _digits() -> list[str]:
    from oneshot.benchmarks.table import find_table

    return find_table("nasbench201-digits").strings


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--port 70000", ["expected a port from 0 to 65535, got 70000"]),
        ("--host 203.0.113.1 --port 0", ["cannot listen on 203.0.113.1"]),
        ("--batch 0 --port 0", ["batch must be more than 0, got 0"]),
        ("--deadline -1 --port 0", ["deadline must be more than 0, got -1"]),
        ("--queue 10 --port 0", ["a whole request of 10000 architectures, got 10"]),
        ("--truth digits_test --port 0", ["--truth needs a --benchmark"]),
        ("--benchmark nasbench301 --port 0", ["looked for"]),
        ("--token-file {empty} --port 0", ["holds no token"]),
        ("--token-file {empty}x --port 0", ["No such file"]),
        ("--host 0.0.0.0 --port 0", ["'0.0.0.0' is open to other machines", "--token-file", "--without-token"]),
        ("--host :: --port 0", ["open to other machines"]),
        ("--allow-host http://x --port 0", ["expected the name of a host"]),
        ("--connections 0 --port 0", ["connections must be more than 0, got 0"]),
        ("--idle 0 --port 0", ["idle must be more than 0, got 0"]),
    ],
)
def test_bad_input(
    run: Path, tmp_path: Path, options: str, words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "empty").write_text("\n")
    fails(capsys, f"serve {run} {options.format(empty=tmp_path / 'empty')}", *words)


def test_all_addresses_for_those_who_mean_it(run: Path, tmp_path: Path) -> None:
    options = "--host 0.0.0.0 --without-token --allow-host gpu.example.org --allow-host *.lab.example"
    with serving(run, f"{options} --store {tmp_path / 'p.sqlite'}") as (_, url):
        port = int(url.rpartition(":")[2])

        def status(host: str) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            connection.request("GET", "/v1/model", headers={"host": host})
            return connection.getresponse().status

        names = "gpu.example.org", "a.lab.example", f"localhost:{port}", "0.0.0.0", "pages.example", "lab.example"
        assert [status(name) for name in names] == [200, 200, 200, 200, 403, 403]


def test_sockets_that_send_nothing_where_files_are_few(run: Path, tmp_path: Path) -> None:
    """More sockets than the process may open files: it answers, and its log stays small."""
    log = tmp_path / "log"
    command = [sys.executable, "-m", "oneshot", *f"serve {run} --port 0 --threads 1".split()]
    few = partial(resource.setrlimit, resource.RLIMIT_NOFILE, (256, 256))
    with log.open("w") as errors, ExitStack() as stack:
        process = stack.enter_context(
            subprocess.Popen(
                [*command, "--store", str(tmp_path / "p.sqlite")], stdout=subprocess.PIPE, stderr=errors, text=True,
                preexec_fn=few,
            )
        )  # fmt: skip
        stack.callback(process.kill)
        assert process.stdout is not None
        url = process.stdout.readline().split()[-1]
        address = "127.0.0.1", int(url.rpartition(":")[2])
        for i in range(300):
            connection = stack.enter_context(socket.create_connection(address, timeout=20))
            connection.sendall(b"GET /healthz HTTP/1.1\r\nhost: lo" if i % 2 else b"")
        for _ in range(5):
            start = time.monotonic()
            assert ask(f"{url}/healthz") == {"status": "ok"}
            assert time.monotonic() - start < 1
    assert "too few files" in log.read_text()
    assert log.stat().st_size < 10_000


def test_a_port_in_use_and_a_missing_run(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with serving(run, f"--store {tmp_path / 'p.sqlite'}") as (_, url):
        fails(capsys, f"serve {run} --port {url.rpartition(':')[2]}", "cannot listen on 127.0.0.1 port")
    fails(capsys, f"serve {tmp_path / 'nowhere'} --port 0", "nowhere")

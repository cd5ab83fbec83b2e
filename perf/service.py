"""How fast the service answers, and how much of the engine's own rate is left behind it.

Explain: "known" predictions are in the memory of the service: one client process asks for single architectures at a
fixed rate over several connections, whether or not the answers before have come (open loop: a late answer counts from
when its request was due), and then for batches, one after another. The process holds PyTorch and a network, as that of
`oneshot serve` does. "empty handler" is what the same client measures, in turns, of a process without PyTorch that
writes one ready answer to whatever it reads: the client's own share, and the machine's. "unknown" predictions are
evaluated: 32 clients ask for one architecture each, and for the next once they have the answer. Its twin is the engine
itself in another process, called with batches of the service's own size on the same architectures. Two engines: a small
supernet with one thread, and one that only sleeps, which leaves nothing but the service's own share.
Predict: parsing a request and writing its answer takes half a millisecond of Python, so 500 requests a second keep a
third of one core busy, and what comes next waits for that long: p99 of a few milliseconds, unless something stops the
process: a full collection of PyTorch's objects takes 50 or more, another thread the interpreter 5. A record takes 10
microseconds, a batch of 500 then 5 milliseconds: 50,000 architectures a second or more. A pass of 32 unknown ones costs
32 answers, a commit and the wait for company, 30 milliseconds together, beside 32 evaluations.
Measure: service, engine and clients are processes of their own; the twins take turns, on new architectures each round.
The answers must be the engine's. Quantiles are those of a round, the median over all: a p99.9 needs 5,000 requests.

    python perf/service.py [--rate 500] [--connections 8] [--seconds 10] [--batch 500] [--clients 32] [--rounds 3]
    python perf/service.py --known --seconds 20 --rounds 5   # latencies alone
"""

from __future__ import annotations

import argparse
import asyncio
import json
import multiprocessing
import os
import platform
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path[:] = [path for path in sys.path if Path(path) != Path(__file__).parent]  # benchmarks.py is no package
PASS = 32
"""Architectures in one pass of the engine: what the service takes by default."""
SPAWN = multiprocessing.get_context("spawn")


def main() -> None:
    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    numbers = {"rate": 500, "connections": 8, "seconds": 10, "batch": 500, "clients": 32, "rounds": 3, "archs": 256}
    small = {"channels": 4, "cells": 1, "images": 512, "image-size": 16, "sleep": 10, "threads": 1}
    for name, default in {**numbers, **small}.items():
        to.add_argument(f"--{name}", type=int, default=default)
    to.add_argument("--known", action="store_true", help="known predictions alone")
    args = to.parse_args()
    texts = architectures(args)
    with running(clients) as (ask, _), running(engine, args, "constant") as (twin, _):
        known = measure_known(args, texts, ask, twin)
        ratios, overheads, seconds = {}, {}, {}
        for kind in () if args.known else ("supernet", "sleeping"):
            took, processor = measure_unknown(args, texts, ask, kind)
            paired = zip(took["engine"], took["service"], strict=True)
            ratios[f"unknown, {kind}: service against engine"] = round(statistics.median(e / s for e, s in paired), 3)
            if kind == "supernet":
                overheads[f"unknown, {kind}: processor"] = round(processor["service"] / processor["engine"] - 1, 3)
            for side, values in took.items():
                seconds[f"unknown, {kind}: {side}"] = round(statistics.median(values), 3)
    print(json.dumps({
        "script": "perf/service.py",
        "ratios": ratios,
        "overheads": overheads,
        "seconds": {**known["seconds"], **seconds},
        "unit": f"a known request; {args.archs} unknown architectures, {args.clients} clients",
        "rates": known["rates"],
        "settings": vars(args),
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }))  # fmt: skip


def architectures(args: argparse.Namespace) -> list[str]:
    import numpy as np

    from oneshot.samplers.uniform import distinct
    from oneshot.spaces.nasbench201 import ALL

    return [ALL.format(arch) for arch in distinct(ALL, max(args.rounds * args.archs, 5000), np.random.default_rng(0))]


@contextmanager
def running(target: Any, *given: Any) -> Iterator[tuple[Any, int]]:
    """A process that answers what it is sent, or whose first word is taken; and its number."""
    here, there = SPAWN.Pipe()
    process = SPAWN.Process(target=target, args=(there, *given), daemon=True)
    process.start()
    there.close()  # a process that ends early ends the wait for it

    def ask(*question: Any) -> Any:
        if question:
            here.send(question)
        return here.recv()

    try:
        yield ask, process.pid or 0
    finally:
        process.terminate()
        process.join()


def measure_known(args: argparse.Namespace, texts: list[str], ask: Any, twin: Any) -> dict[str, Any]:
    with (
        tempfile.TemporaryDirectory() as folder,
        running(service, args, "constant", folder, texts) as (started, number),
    ):
        port, expected = started(), dict(zip(texts, twin(texts)[1], strict=True))
        shares, single = measure_paced(args, texts, ask, port, number, expected)
        ask("batches", port, texts, args.batch, 1)
        before = processor_seconds(number)
        took, found = ask("batches", port, texts, args.batch, args.seconds)
        assert found.items() <= expected.items()
        batched = (processor_seconds(number) - before) / (len(took) * args.batch)
    return {
        "seconds": {**shares, "known, processor": round(single, 5)},
        "rates": {
            f"known, architectures a second in batches of {args.batch}": round(len(took) * args.batch / sum(took)),
            "known, architectures a processor second": round(1 / max(batched, 1e-9)),
        },
    }


def measure_paced(
    args: argparse.Namespace, texts: list[str], ask: Any, port: int, number: int, expected: dict[str, float]
) -> tuple[dict[str, float], float]:
    """Quantiles of ours and of the empty handler, in turns, and the processor seconds of a request of ours."""
    pace = args.rate, args.connections, args.seconds
    took: dict[str, list[list[float]]] = {"known": [], "empty handler": []}
    used = 0.0
    with running(empty, ask("sample", port, texts[:1])) as (started, _):
        ports = {"known": port, "empty handler": started()}
        for each in ports.values():
            ask("paced", each, texts, args.rate, args.connections, 2)  # warm
        for n in range(args.rounds):
            for side in sorted(ports, reverse=n % 2 == 1):
                before = processor_seconds(number)
                latencies, found = ask("paced", ports[side], texts, *pace)
                took[side].append(latencies)
                if side == "known":
                    used += processor_seconds(number) - before
                    assert found.items() <= expected.items()
    shares = {side: [quantiles(latencies) for latencies in rounds] for side, rounds in took.items()}
    found = {f"{side}, {n}": statistics.median(s[n] for s in each) for side, each in shares.items() for n in each[0]}
    return {name: round(value, 5) for name, value in found.items()}, used / sum(map(len, took["known"]))


def quantiles(latencies: list[float]) -> dict[str, float]:
    cuts = statistics.quantiles(latencies, n=1000, method="inclusive")
    return {"p50": cuts[499], "p99": cuts[989], "p99.9": cuts[998], "worst": max(latencies)}


def measure_unknown(
    args: argparse.Namespace, texts: list[str], ask: Any, kind: str
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Seconds of each round, and processor seconds of all, of the service and of the engine."""
    took: dict[str, list[float]] = {"service": [], "engine": []}
    with (
        tempfile.TemporaryDirectory() as folder,
        running(service, args, kind, folder, []) as (started, serving),
        running(engine, args, kind) as (twin, alone),
    ):
        port = started()
        twin(texts[-PASS:])  # warm
        ask("asking", port, texts[-PASS:], args.clients)
        before = processor_seconds(serving), processor_seconds(alone)
        for n in range(args.rounds):
            part = texts[n * args.archs : (n + 1) * args.archs]
            seconds, found = ask("asking", port, part, args.clients)
            took["service"].append(seconds)
            seconds, values = twin(part)
            took["engine"].append(seconds)
            apart = max(abs(found[text] - value) for text, value in zip(part, values, strict=True))
            assert apart <= 200 / args.images, f"accuracies differ by {apart}"
        after = processor_seconds(serving), processor_seconds(alone)
    return took, {side: b - a for side, a, b in zip(took, before, after, strict=True)}


def processor_seconds(number: int) -> float:
    """Of a process, all its threads."""
    fields = Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def service(pipe: Connection, args: argparse.Namespace, kind: str, folder: str, known: list[str]) -> None:
    """Sends its port once it answers; a network is there, whoever predicts."""
    from oneshot.evaluators.service.app import create_app
    from oneshot.evaluators.service.server import bound, serve
    from oneshot.evaluators.store import Stored

    network = made(args, "supernet")
    evaluator = network if kind == "supernet" else made(args, kind)
    store = Stored(evaluator, Path(folder) / "p.sqlite", chunk=PASS if not known else len(known))
    store([evaluator.space.parse(text) for text in known])
    with bound("127.0.0.1", 0) as listening:
        port = listening.getsockname()[1]
        serve(create_app(store), listening, 1, lambda: pipe.send(port))


def empty(pipe: Connection, answer: bytes) -> None:
    """Sends its port, and the answer to whatever comes."""

    class Empty(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            self.transport.write(answer)

    async def forever() -> None:
        server = await asyncio.get_running_loop().create_server(Empty, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    asyncio.run(forever())


def engine(pipe: Connection, args: argparse.Namespace, kind: str) -> None:
    """For lists of strings: the seconds that their batches took, and the accuracies."""
    evaluator = made(args, kind)
    while True:
        (texts,) = pipe.recv()
        archs = [evaluator.space.parse(text) for text in texts]
        start = time.perf_counter()
        found = [evaluator(archs[i : i + PASS]).accuracy.tolist() for i in range(0, len(archs), PASS)]
        pipe.send((time.perf_counter() - start, [value for part in found for value in part]))


def made(args: argparse.Namespace, kind: str) -> Any:
    if kind != "supernet":
        return Pretending(args.sleep / 1000 if kind == "sleeping" else 0.0, args.images)
    import torch
    from oneshot.evaluators.supernet import SupernetEvaluator

    from oneshot.data.source import Images
    from oneshot.spaces.nasbench201 import ALL
    from oneshot.supernets.nasbench201 import NasBench201Net

    torch.set_num_threads(args.threads)
    torch.manual_seed(0)
    net = NasBench201Net(ALL, args.channels, args.cells).to(memory_format=torch.channels_last)
    shape = args.images, args.image_size, args.image_size, 3
    pixels, labels = torch.randint(256, shape, dtype=torch.uint8), torch.randint(10, (args.images,))
    images = Images(pixels, labels, torch.full((3,), 128.0), torch.full((3,), 74.0))
    return SupernetEvaluator(net, net.space, images, images, "ema-1", precision="float32")


class Pretending:
    """An engine that does nothing but sleep for so many seconds an architecture."""

    def __init__(self, seconds: float, images: int) -> None:
        from oneshot.spaces.nasbench201 import ALL

        self.space, self.seconds, self.images = ALL, seconds, images
        self.protocol: dict[str, Any] = {"evaluator": "pretending"}

    def __call__(self, archs: Any) -> Any:
        from oneshot.evaluators.base import Prediction, Predictions

        time.sleep(self.seconds * len(archs))
        values = tuple(
            Prediction(float(sum(i * 5**n for n, i in enumerate(arch)) % 101), 0.5, self.images) for arch in archs
        )
        return Predictions(self.space, tuple(archs), values, self.protocol)


def clients(pipe: Connection) -> None:
    """Runs one of the coroutines below for every message."""
    work: dict[str, Any] = {"paced": paced, "batches": batches, "asking": asking, "sample": sample}
    while True:
        name, *given = pipe.recv()
        pipe.send(asyncio.run(work[name](*given)))


async def paced(
    port: int, texts: Sequence[str], rate: float, connections: int, seconds: float
) -> tuple[list[float], dict[str, float]]:
    """Seconds from when each request was due to its answer, and the accuracies."""
    latencies: list[float] = []
    found: dict[str, float] = {}
    begin, count = time.perf_counter() + 0.1, int(rate * seconds)

    async def one(number: int) -> None:
        client = await Client.connected(port)
        for i in range(number, count, connections):
            due = begin + i / rate
            await asyncio.sleep(due - time.perf_counter())
            found.update(await client.predict([texts[i % len(texts)]]))
            latencies.append(time.perf_counter() - due)

    await asyncio.gather(*map(one, range(connections)))
    return latencies, found


async def batches(port: int, texts: Sequence[str], size: int, seconds: float) -> tuple[list[float], dict[str, float]]:
    """Seconds of each batch, and the accuracies."""
    client, took, found = await Client.connected(port), list[float](), dict[str, float]()
    while sum(took) < seconds:
        first = len(took) * size % (len(texts) - size + 1)
        start = time.perf_counter()
        answer = await client.ask(texts[first : first + size])
        took.append(time.perf_counter() - start)
        found.update(accuracies(answer))
    return took, found


async def sample(port: int, texts: Sequence[str]) -> bytes:
    """An answer as it is sent, but for the headers that no client here reads."""
    answer = await (await Client.connected(port)).ask(texts)
    return b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(answer) + answer


async def asking(port: int, texts: Sequence[str], count: int) -> tuple[float, dict[str, float]]:
    """Seconds until clients that ask for one after another have them all, and the accuracies."""
    left, found = list(reversed(texts)), dict[str, float]()
    connected = [await Client.connected(port) for _ in range(count)]

    async def one(client: Client) -> None:
        while left:
            found.update(await client.predict([left.pop()]))

    start = time.perf_counter()
    await asyncio.gather(*map(one, connected))
    return time.perf_counter() - start, found


def accuracies(answer: bytes) -> dict[str, float]:
    return {row["arch"]: row["accuracy"] for row in json.loads(answer)["predictions"]}


class Client:
    """One connection that is kept; a library's client would take more of the machine than the service."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connected(cls, port: int) -> Client:
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def predict(self, texts: Sequence[str]) -> dict[str, float]:
        return accuracies(await self.ask(texts))

    async def ask(self, texts: Sequence[str]) -> bytes:
        body = json.dumps({"architectures": texts}).encode()
        head = "POST /v1/predictions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
        self.writer.write(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        status, *lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in lines if line)
        answer = await self.reader.readexactly(int(headers["content-length"]))
        assert " 200 " in status, (status, answer)
        return answer


if __name__ == "__main__":
    main()

"""Hostile strings, files and requests, thrown at everything that reads what is not ours.

    python -m tests.hostile --count 100000 --seed 0

Each is refused in words of our own, or read: nothing but a ValueError of one line, no answer 500. Of the count, four
in five are architecture strings for every registered space, the others requests of the service and files.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
import urllib.parse
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from oneshot.benchmarks.scoring.predictions import read_predictions

from oneshot.registry import SPACES
from oneshot.samplers.uniform import distinct
from oneshot.space import Space
from oneshot.spaces.nasbench201 import ALL
from tests.evaluators.service.serving import ARCHS, Served

PIECES = [
    "|", "~", "+", ",", ";", ":", "(", ")", "[", "]", "{", "}", '"', "'", "\\", "/", "%", "$", "#", "-", "_", ".", " ",
    "\t", "\n", "\r", "\0", "\x1b[31m", "\u202e", "\ud800", "é", "𝟙", "²", "٣", "[/b]", ":smile:", "nan", "inf", "none",
    "0", "1", "7", "-1", "1e309", "9" * 30, "9" * 5000, "0x1", "1_0", "null", "true", "a" * 3000, "[" * 2000, "../..",
]  # fmt: skip
METHODS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "TRACE")
PATHS = ("/v1/predictions", "/v1/ranking", "/v1/space", "/v1/comparison", "/v1/model", "/metrics", "/page/", "/x")


class Mutations:
    """Strings near right ones, and far from them."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def one(self, among: Any) -> Any:
        return among[int(self.rng.integers(len(among)))]

    def text(self, right: str) -> str:
        if self.rng.random() < 0.1:
            return "".join(self.one(PIECES) for _ in range(int(self.rng.integers(0, 12))))
        for _ in range(int(self.rng.integers(1, 5))):
            first, last = sorted(int(i) for i in self.rng.integers(0, len(right) + 1, 2))
            middle = self.one(["", self.one(PIECES), right[first:last] * 2, right[first:last][::-1], right])
            right = (right[:first] + middle + right[last:])[:20_000]
        return right

    def content(self, right: bytes) -> bytes:
        """The bytes of a file with some of them changed, or cut."""
        if self.rng.random() < 0.5:
            return self.text(right.decode("latin-1")).encode("utf-8", "surrogatepass")
        changed = bytearray(right)
        for _ in range(int(self.rng.integers(1, 9))):
            changed[int(self.rng.integers(len(changed)))] = int(self.rng.integers(256))
        return bytes(changed[: int(self.rng.integers(1, len(changed) + 1))] if self.rng.random() < 0.2 else changed)

    def value(self, depth: int = 0) -> Any:
        """Something that JSON can hold."""
        kinds: list[Callable[[], Any]] = [
            lambda: None,
            lambda: True,
            lambda: int(self.rng.integers(-9, 9)),
            lambda: 10 ** int(self.rng.integers(1, 200)),
            lambda: float(self.rng.normal()),
            lambda: self.text(ALL.format(self.one(ARCHS))),
            lambda: list(self.one(ARCHS)),
        ]
        if depth < 3:
            kinds.append(lambda: [self.value(depth + 1) for _ in range(int(self.rng.integers(0, 4)))])
            kinds.append(lambda: {self.text("arch"): self.value(depth + 1)})
        return self.one(kinds)()


def strings(count: int, seed: int) -> Counter[str]:
    """Parsed by every space; what one takes, it writes and takes again."""
    mutations, told = Mutations(seed), Counter[str]()
    spaces = {name: (SPACES[name], distinct(SPACES[name], 30, np.random.default_rng(seed))) for name in SPACES}
    for number in range(count):
        space, archs = list(spaces.values())[number % len(spaces)]
        text = mutations.text(space.format(mutations.one(archs)))
        begun = time.perf_counter()
        told[tried(space, text)] += 1
        assert time.perf_counter() - begun < 2, (space.name, text[:200])
    return told


def tried(space: Space, text: str) -> str:
    """How a space takes a string."""
    said, arch = "", None
    try:
        arch = space.parse(text)
    except ValueError as error:
        said = str(error)
    if arch is None:
        assert 0 < len(said) < 2500, (space.name, text[:100], len(said))
        return "refused"
    assert space.allows(arch), (space.name, text)
    assert space.parse(space.format(arch)) is not None
    return "taken"


def files(count: int, seed: int) -> Counter[str]:
    """Read as predictions."""
    mutations, told = Mutations(seed), Counter[str]()
    rows = [{"arch": ALL.format(arch), "accuracy": 50.0 + i} for i, arch in enumerate(ARCHS[:8])]
    with tempfile.TemporaryDirectory() as folder:
        for name, right in _right(Path(folder), rows).items():
            path = Path(folder) / name
            for _ in range(-(-count // 5)):
                path.write_bytes(mutations.content(right))
                try:
                    read_predictions(path)
                    told["taken"] += 1
                except ValueError:
                    told["refused"] += 1
    return told


def _right(folder: Path, rows: list[dict[str, Any]]) -> dict[str, bytes]:
    document = {"space": ALL.name, "protocol": {"seed": 1}, "predictions": rows}
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"oneshot": json.dumps({"space": ALL.name})})
    pq.write_table(table, folder / "p.parquet")
    return {
        "p.csv": "".join(f"{a},{b}\n" for a, b in [("arch", "accuracy"), *(row.values() for row in rows)]).encode(),
        "p.json": json.dumps(document).encode(),
        "p.jsonl": "\n".join(map(json.dumps, rows)).encode(),
        "p.parquet": (folder / "p.parquet").read_bytes(),
        "q.json": json.dumps({row["arch"]: row["accuracy"] for row in rows}).encode(),
    }


def requests(count: int, seed: int) -> Counter[int]:
    """Asked of a service with every known architecture in its file; the statuses of its answers."""
    with tempfile.TemporaryDirectory() as folder:
        served = Served(Path(folder))
        served.store(ARCHS)

        async def ask(client: httpx.AsyncClient) -> Counter[int]:
            told = Counter[int]()
            for method, path, options in _requests(count, seed):
                answer = await client.request(method, path, **options)
                told[answer.status_code] += 1
                assert answer.status_code != 500, (method, path[:300], str(options)[:300], answer.text)
                assert len(answer.content) < 1 << 20
            return told

        return asyncio.run(_within(served, ask))


async def _within(served: Served, ask: Any) -> Counter[int]:
    async with served.running() as client:
        return await ask(client)


def _requests(count: int, seed: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
    m = Mutations(seed)
    headers = {"content-type": "application/json"}
    for number in range(count):
        right = ALL.format(m.one(ARCHS))
        if number % 3 == 0:
            named = m.one([m.text(right), m.text(",".join(map(str, m.one(ARCHS))))])
            quoted = urllib.parse.quote(named.encode("utf-8", "surrogatepass"), safe="")
            yield "GET", f"/v1/predictions/{quoted[:50_000]}", {}
        elif number % 3 == 1:
            question = m.one(
                [{"architectures": [m.value() for _ in range(3)]}, m.value(), {"architectures": m.value()}]
            )
            text = json.dumps(question)
            body = m.content(text.encode()) if m.rng.random() < 0.5 else text.encode()
            yield "POST", "/v1/predictions", {"content": body, "headers": headers}
        else:
            query = {m.one(["limit", m.text("limit")]): m.one(["5", m.text("20")])}
            asked = urllib.parse.urlencode(query, errors="surrogatepass")
            yield m.one(METHODS), f"{m.one(PATHS)}?{asked[:20_000]}", {}


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__)
    asked.add_argument("--count", type=int, default=100_000)
    asked.add_argument("--seed", type=int, default=0)
    args = asked.parse_args()
    for what, share in ((strings, 0.8), (files, 0.03), (requests, 0.17)):
        begun = time.perf_counter()
        told = what(round(args.count * share), args.seed)
        words = ", ".join(f"{name} {number:,}" for name, number in sorted(told.items(), key=str))
        print(f"{what.__name__}: {words}; {time.perf_counter() - begun:.0f} s", flush=True)


if __name__ == "__main__":
    main()

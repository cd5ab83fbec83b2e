"""Whether anything is lost, or any folder unusable, when commands are killed at random instants.

Explain: every command is started on a small input, killed with SIGKILL after a random delay, started again, killed
again, and in the end left alone. After each kill the folder is read as a user would: what was reported before (rows of
metrics, committed epochs, predictions in a store or answered by a service, trainings in a journal, finished files) must
still be there, and every file that has its final name must be whole, so equal to that of a run that nobody killed.
Predict: 0 lost, 0 unusable; the end is that of the undisturbed run, bit for bit but for seconds.
Measure: commands run in children that are forked from a process that has imported everything, so that a start takes
milliseconds and the delays cover the whole of what a command does itself.

    python perf/kills.py [--kills 1000] [--seed 0] [--only train predict ...] [--folder DIR]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import re
import shutil
import signal
import sqlite3
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from perf.forked import Process

Found = dict[str, Any]

TINY = "--space nasbench201-conv --channels 2 --cells 1 --device cpu --threads 1"
TRAIN = f"train --preset demo {TINY} --batch-size 216 --epochs {{}} --out run"
SEARCH = "--population 6 --generations 3 --mutations 2 --crossovers 2 --top 3"
COMMANDS = {
    "train": ((), TRAIN.format(5)),
    "train-darts": ((), TRAIN.format(3) + " --method darts"),
    "predict": (("run",), "predict run --sample 32 --together 4 --batch-size 500 --batch-norm ema-2 --out p.parquet"),
    "predict-csv": (("run",), "predict run --all --together 64 --batch-size 500 --batch-norm inherit --out p.csv"),
    "search": (("run",), f"search run {SEARCH} --batch-size 500 --batch-norm ema-2 --objectives params --out found"),
    "search-table": ((), f"search --benchmark nasbench201-digits {SEARCH} --out found"),
    "score": (("scored.csv",), "score scored.csv --benchmark nasbench201-digits --bootstraps 40 --out report"),
    "score-compare": (
        ("scored.csv",),
        "score scored.csv --benchmark nasbench201-digits --compare --bootstraps 9 --out r",
    ),
    "score-list": ((), "score --benchmark nasbench201-digits --protocol random-100 --list archs.txt"),
    "create": (
        (),
        f"benchmark create t.parquet --preset demo {TINY} --epochs 1 --batch-size 512 --sample 6 --seeds 0 1",
    ),
    "import": (("scored.csv",), "benchmark import i.parquet scored.csv --truth accuracy"),
    "subset": (("images",), "data subset images sub --classes 5 --train 8 --valid 6 --seed 1"),
}
"""By name: the inputs that it needs, and the command; "serve" stands beside them."""


@dataclass
class Outcome:
    """What became of the kills of one command."""

    kills: int = 0
    ends: int = 0
    lost: list[str] = field(default_factory=list)
    unusable: list[str] = field(default_factory=list)


def main(words: Sequence[str] | None = None) -> int:
    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    to.add_argument("--kills", type=int, default=1000, help="of all commands together")
    to.add_argument("--seed", type=int, default=0, help="of the delays")
    to.add_argument("--only", nargs="+", default=[*COMMANDS, "serve"], help="these commands")
    to.add_argument("--folder", type=Path, default=None, help="work in this new folder and keep it")
    args = to.parse_args(words)
    begun = time.monotonic()
    folder = args.folder or Path(tempfile.mkdtemp(prefix="kills-"))
    rng, outcomes = random.Random(args.seed), dict[str, Outcome]()
    try:
        made = inputs(folder / "made")
        for number, name in enumerate(args.only):
            share = args.kills // len(args.only) + (number < args.kills % len(args.only))
            outcomes[name] = (killed_service if name == "serve" else killed)(name, made, folder / name, share, rng)
            print(name, outcomes[name], file=sys.stderr, flush=True)
    finally:
        if args.folder is None:
            shutil.rmtree(folder, ignore_errors=True)
    lost, unusable = (sum(len(getattr(o, key)) for o in outcomes.values()) for key in ("lost", "unusable"))
    print(json.dumps({
        "script": "perf/kills.py",
        "kills": {name: outcome.kills for name, outcome in outcomes.items()},
        "all": sum(outcome.kills for outcome in outcomes.values()), "lost": lost, "unusable": unusable,
        "ends": sum(outcome.ends for outcome in outcomes.values()),
        "seconds": {"all": round(time.monotonic() - begun, 1)},
        "machine": {"cpus": os.cpu_count(), "processor": platform.machine()},
    }))  # fmt: skip
    return 1 if lost or unusable else 0


def start(command: str, folder: Path) -> Process:
    """A command in a folder; what it says is kept there."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "ONESHOT_CHECKPOINT_SECONDS": "0", "COLUMNS": "120"}
    return Process(["-m", "oneshot", *command.split()], folder, environment, folder / "command.out")


def stopped(process: Process, delay: float) -> bool:
    """Whether it still worked after so many seconds, and was killed."""
    time.sleep(delay)
    process.kill()
    return process.wait() == -signal.SIGKILL


def said(folder: Path) -> str:
    return re.sub(r"\s+", " ", (folder / "command.out").read_text(errors="replace"))[-400:]


def inputs(folder: Path) -> Path:
    """A trained run and its predictions, a folder of images, and predictions to be scored."""
    folder.mkdir(parents=True)
    for command in (TRAIN.format(1), COMMANDS["predict-csv"][1]):
        assert start(command, folder).wait() == 0, said(folder)
    (folder / "run" / "predictions.sqlite").unlink()
    _pictures(folder / "images")
    _predictions(folder / "scored.csv")
    return folder


def _predictions(path: Path) -> None:
    import numpy as np
    from oneshot.benchmarks.table import find_table

    table = find_table("nasbench201-digits")
    accuracy = table.values(table.default_truth())[:80] + np.random.default_rng(0).normal(0, 3, 80)
    rows = [f"{arch},{value}" for arch, value in zip(table.strings, accuracy, strict=False)]
    path.write_text("\n".join(["arch,accuracy", *rows, ""]))


def _pictures(folder: Path) -> None:
    import numpy as np
    from PIL import Image

    for i in range(6):
        (folder / f"c{i}").mkdir(parents=True)
        for j in range(16):
            pixels = np.random.default_rng((i, j)).integers(0, 256, (8, 8, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"c{i}" / f"{j}.png")


def killed(name: str, made: Path, folder: Path, kills: int, rng: random.Random) -> Outcome:
    """Chains of starts and kills, each until the command comes to its end."""
    needs, command = COMMANDS[name]
    outcome, whole = Outcome(), fresh(folder / "whole", made, needs)
    begun = time.monotonic()
    assert start(command, whole).wait() == 0, said(whole)
    seconds, end = time.monotonic() - begun, seen(whole)
    while outcome.kills < kills:
        cut, before = fresh(folder / "cut", made, needs), Found()
        for _ in range(rng.randint(1, 10)):
            if outcome.kills == kills:
                break
            if not stopped(start(command, cut), rng.uniform(0, 1.1 * seconds)):
                break
            outcome.kills += 1
            after = seen(cut)
            outcome.lost += compared(before, after, end, name)
            before = after
        code = start(command, cut).wait()
        outcome.ends += 1
        finished = seen(cut)
        if code and not (name == "subset" and finished == end):  # it was done before
            outcome.unusable.append(f"{name}: exit {code}: {said(cut)}")
        outcome.lost += compared(before, finished, end, name)
        outcome.lost += [f"{name}: {key} is not as undisturbed" for key in different(finished, end)]
        outcome.lost += [f"{name}: {path} stays behind" for path in hidden(cut)]
    return outcome


def fresh(folder: Path, made: Path, needs: tuple[str, ...]) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in needs:
        (shutil.copytree if (made / name).is_dir() else shutil.copyfile)(made / name, folder / name)
    return folder


def compared(before: Found, after: Found, end: Found, name: str) -> list[str]:
    """What was there and is gone, and what has its final name but not its content."""
    lost = []
    for key, value in before.items():
        if key.endswith(".journal") and "t.parquet" in after:
            continue
        if isinstance(value, set) and not value <= after.get(key, set()):
            lost.append(f"{name}: of {key}: {sorted(value - after.get(key, set()))[:2]}")
        elif not isinstance(value, set) and key not in after and key in end:
            lost.append(f"{name}: {key} is gone")
    for key in after.keys() & end.keys():
        whole = after[key] <= end[key] if isinstance(after[key], set) else after[key] == end[key]
        if not whole and not key.endswith("checkpoint.json"):
            lost.append(f"{name}: {key} is not whole")
    return lost


def different(found: Found, end: Found) -> list[str]:
    return sorted(key for key in found.keys() | end.keys() if found.get(key) != end.get(key))


def hidden(folder: Path) -> list[Path]:
    return [path for path in folder.rglob(".*") if path.suffix in (".tmp", ".lock")]


def seen(folder: Path) -> Found:
    """What a reader finds below a folder, by path: sets of what was reported, contents of files."""
    from oneshot.runs.folder import RunFolder

    found = Found()
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        inside = path.is_file() and not any(part[0] == "." for part in path.relative_to(folder).parts)
        if inside and "tensorboard" not in name and not name.endswith(("-wal", "-shm", "command.out")):
            found[name] = content(path)
    for path in folder.glob("*/checkpoint.json"):
        loaded = RunFolder(path.parent).load()  # raises where the state is not whole
        assert loaded is not None
        found[f"{path.parent.name} epochs"] = set(range(1, loaded[1]["epoch"] + 1))
    for path in folder.glob("*/metrics.jsonl"):  # rows beyond the last state are made again, as they were
        name, kept = str(path.relative_to(folder)), found.get(f"{path.parent.name} epochs", set())
        found[name] = {row for row in found[name] if json.loads(row)["epoch"] in kept}
    return found


def content(path: Path) -> Any:
    """Without seconds."""
    if path.suffix == ".sqlite":
        return stored(path)
    if path.suffix in (".jsonl", ".journal"):
        lines = path.read_text().split("\n")[:-1]
        return {json.dumps(timeless(json.loads(line)), sort_keys=True) for line in lines}
    if path.suffix == ".json":
        return timeless(json.loads(path.read_text()))
    if path.suffix == ".parquet":
        import pandas as pd

        return pd.read_parquet(path).drop(columns="seconds", errors="ignore").to_csv()
    return path.read_bytes()


def timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: timeless(v) for k, v in value.items() if k not in ("seconds", "images_per_second")}
    return [timeless(each) for each in value] if isinstance(value, list) else value


def stored(path: Path) -> set[tuple[Any, ...]]:
    """The predictions in a copy of a store, so that reading mends nothing."""
    with tempfile.TemporaryDirectory() as scratch:
        for each in path.parent.glob(f"{path.name}*"):
            shutil.copyfile(each, Path(scratch) / each.name)
        with closing(sqlite3.connect(Path(scratch) / path.name)) as connection, suppress(sqlite3.OperationalError):
            return set(connection.execute("SELECT arch, accuracy, loss, images FROM predictions").fetchall())
    return set()


def killed_service(name: str, made: Path, folder: Path, kills: int, rng: random.Random) -> Outcome:
    """A service that is asked one architecture after another: what it answered is in its store."""
    from oneshot.spaces.nasbench201 import CONV

    outcome, strings = Outcome(), [CONV.format(arch) for arch in CONV]
    while outcome.kills < kills:
        cut, answered = fresh(folder / "cut", made, ("run",)), set[tuple[str, float]]()
        for _ in range(min(rng.randint(1, 10), kills - outcome.kills)):
            port = free_port()
            process = start(
                f"serve run --port {port} --device cpu --threads 1 --batch-size 500 --batch-norm inherit", cut
            )
            try:
                asked = ask(port, strings, rng.uniform(0, 1.5), rng.random(), process)
            finally:
                process.kill()
                process.wait()
            if asked is None:
                outcome.unusable.append(f"{name}: {said(cut)}")
            outcome.kills, answered = outcome.kills + 1, answered | (asked or set())
            kept = {row[:2] for row in stored(cut / "run" / "predictions.sqlite")}
            outcome.lost += [f"{name}: {row} was answered" for row in answered - kept]
        outcome.ends += 1
        command = "predict run --all --batch-size 500 --batch-norm inherit --device cpu --threads 1 --out p.csv"
        if start(command, cut).wait() or content(cut / "p.csv") != content(made / "p.csv"):
            outcome.unusable.append(f"{name}: {said(cut)}")
    return outcome


def ask(port: int, strings: list[str], seconds: float, seed: float, process: Process) -> set[tuple[str, float]] | None:
    """What was answered by a service that is killed so many seconds after it began; None where it never did."""
    import http.client

    answered, rng, limit = set[tuple[str, float]](), random.Random(seed), time.monotonic() + 60
    timer: threading.Timer | None = None
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            if timer is None:
                connection.request("GET", "/healthz")
                connection.getresponse().read()
                timer = threading.Timer(seconds, process.kill)
                timer.start()
            body = json.dumps({"architectures": rng.sample(strings, 2)})
            connection.request("POST", "/v1/predictions", body, {"content-type": "application/json"})
            document = json.loads(connection.getresponse().read())
            answered |= {(row["arch"], row["accuracy"]) for row in document["predictions"]}
        except (OSError, http.client.HTTPException):
            if timer is not None:
                timer.join()
                return answered
            if time.monotonic() > limit:
                return None
            time.sleep(0.01)


def free_port() -> int:
    import socket

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


if __name__ == "__main__":
    sys.exit(main())

"""The examples run, each in a process of its own and an empty folder, with few epochs."""

from __future__ import annotations

import os
import re
from pathlib import Path

from perf import forked

FOLDER = Path(__file__).resolve().parent.parent / "examples"


def printed(name: str, folder: Path, *words: str) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "ONESHOT_DATA"}
    done = forked.run([FOLDER / f"{name}.py", *words], folder, environment, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_own_space(tmp_path: Path) -> None:
    text = printed("own_space", tmp_path, "--epochs", "1")
    accuracies = [float(found) for found in re.findall(r"([\d.]+) %", text)]
    assert len(accuracies) == 6
    assert accuracies == sorted(accuracies, reverse=True)
    assert "64 architectures" in text


def test_own_network(tmp_path: Path) -> None:
    text = printed("own_network", tmp_path, "--epochs", "1")
    front = [(float(a), int(p.replace(",", ""))) for a, p in re.findall(r"([\d.]+) % +([\d,]+) parameters", text)]
    assert front
    for accuracy, params in front:
        assert not [a for a, p in front if a >= accuracy and p <= params and (a, p) != (accuracy, params)]


def test_score_predictions(tmp_path: Path) -> None:
    text = printed("score_predictions", tmp_path)
    assert "on 320 architectures" in text
    (tmp_path / "rule-of-thumb.csv").rename(tmp_path / "mine.csv")
    assert printed("score_predictions", tmp_path, "mine.csv") == text.replace("rule-of-thumb", "mine")


def test_every_example_is_tested() -> None:
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    assert {path.stem for path in FOLDER.glob("*.py")} <= tested

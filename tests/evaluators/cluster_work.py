"""What the tests of clusters do in other processes; imports no torch, so that these start fast."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oneshot.benchmarks.table import Benchmark
from oneshot.evaluators.base import Prediction, Predictions
from oneshot.evaluators.table import TableEvaluator

from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL


def die_once(marker: Path) -> None:
    """SIGKILL to this process, unless the marker says that one has gone so."""
    try:
        marker.touch(exist_ok=False)
    except FileExistsError:
        return
    os.kill(os.getpid(), signal.SIGKILL)


def square(marker: Path, number: int) -> tuple[int, int]:
    if number == 3:
        die_once(marker)
    return number**2, os.getpid()


def dies(number: int) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def fails(number: int) -> None:
    raise KeyError(f"number {number}")


def facts() -> tuple[str, int, str]:
    import torch

    return os.getcwd(), torch.get_num_threads(), os.environ["ONESHOT_DATA"]


def table_in(file: Path) -> TableEvaluator:
    return TableEvaluator(Benchmark.open(file), images=100)


class Deadly:
    """Ends whichever process unpickles it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)

    def __call__(self) -> None: ...


class Disagreeing:
    """An evaluator with a protocol of its own in every process."""

    space = ALL

    @property
    def protocol(self) -> dict[str, Any]:
        return {"evaluator": "disagreeing", "process": os.getpid()}

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        time.sleep(0.2)
        return Predictions(ALL, tuple(archs), tuple(Prediction(50, 1, 100) for _ in archs), self.protocol)

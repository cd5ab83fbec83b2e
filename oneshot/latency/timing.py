"""Times of calls: rounds over all of them in turn, medians with intervals, and what they were taken on."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy.stats import binom

from oneshot.base.bounds import check_least
from oneshot.base.provenance import environment, version

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Timing:
    """How calls are timed.

    Args:
        warmup: calls of each before the first that counts
        rounds: calls of each that count; a round calls each once, so that a busy moment hits all of them
        threads: CPU threads of a call
    """

    warmup: int = 10
    rounds: int = 50
    threads: int = 1

    def __post_init__(self) -> None:
        check_least(self, warmup=0, rounds=5, threads=1)

    def protocol(self, device: str = "cpu") -> dict[str, Any]:
        """What times depend on, beside what is called."""
        return {**asdict(self), "confidence": CONFIDENCE, "load": round(os.getloadavg()[0], 2), **machine(device)}


@dataclass(frozen=True)
class Latency:
    """The median of times in milliseconds, and an interval that holds the true one at 95%."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, seconds: Sequence[float]) -> Latency:
        """By order statistics, whatever the times' distribution: ranks by the binomial one of n halves."""
        times, n = 1e3 * np.sort(np.asarray(seconds, float)), len(seconds)
        low = max(int(binom.ppf((1 - CONFIDENCE) / 2, n, 0.5)) - 1, 0)
        return cls(float(np.median(times)), float(times[low]), float(times[n - 1 - low]))


def timed(
    calls: Mapping[Any, Callable[[], object]],
    timing: Timing,
    wait: Callable[[], object] = lambda: None,
    on_round: Callable[[], object] = lambda: None,
) -> dict[Any, Latency]:
    """Each call's latency; `wait` returns when a device has done what it was told."""
    with threads(timing.threads), torch.inference_mode():
        for call in calls.values():
            for _ in range(timing.warmup):
                call()
        wait()
        seconds: dict[Any, list[float]] = {name: [] for name in calls}
        for _ in range(timing.rounds):
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                wait()
                seconds[name].append(time.perf_counter() - start)
            on_round()
    return {name: Latency.of(each) for name, each in seconds.items()}


@contextmanager
def threads(number: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def machine(device: str) -> dict[str, Any]:
    """What a latency is one of: processor, device, versions."""
    name = torch.cuda.get_device_name(device) if device.startswith("cuda") else _processor()
    own = {key: value for key, value in environment().items() if key != "commit"}
    return {"device": device, "processor": name, **own, "onnxruntime": version("onnxruntime")}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())

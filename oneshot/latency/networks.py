"""Latencies of whole exported networks, by the programs that run them."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from oneshot.export.extract import Extracted, plain
from oneshot.export.formats import check, example, runs, save
from oneshot.latency.timing import Latency, Timing, timed

Runs = Callable[[Tensor], object]


def _torch(module: Extracted, timing: Timing) -> Runs:
    return plain(module)


def _cuda(module: Extracted, timing: Timing) -> Runs:
    if not torch.cuda.is_available():
        raise ValueError("backend cuda needs a GPU, and PyTorch finds none; expected torch or onnxruntime")
    return plain(module).to("cuda")


def _onnxruntime(module: Extracted, timing: Timing) -> Runs:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        save(module, path)
        return runs(path, timing.threads)


BACKENDS: Mapping[str, Callable[[Extracted, Timing], Runs]] = {
    "torch": _torch,
    "cuda": _cuda,
    "onnxruntime": _onnxruntime,
}
"""What makes a network of one architecture callable: PyTorch on the CPU, on a GPU, ONNX Runtime on the CPU."""


def available() -> list[str]:
    """The backends that this machine has."""
    found = ["torch"] + (["cuda"] if torch.cuda.is_available() else [])
    try:
        check("network.onnx")
    except ValueError:
        return found
    return [*found, "onnxruntime"]


def measure(
    networks: Mapping[str, Extracted],
    backend: str,
    batches: Sequence[int] = (1,),
    timing: Timing | None = None,
    on_step: Callable[[], object] = lambda: None,
) -> dict[str, Any]:
    """Latencies of networks by name, for each number of images: `rows`, and the `protocol` that they hold under.

    `on_step` is called once a network that is made, and once a round.
    ValueError for a backend that this machine does not have, or no images.
    """
    timing = timing or Timing()
    if backend not in BACKENDS:
        raise ValueError(f"no backend {backend!r}; there are {', '.join(BACKENDS)}")
    if not batches or min(batches) < 1:
        raise ValueError(f"batch sizes must be at least 1, got {list(batches)}")
    device = "cuda" if backend == "cuda" else "cpu"
    made = dict[str, Runs]()
    for name, module in networks.items():
        made[name] = BACKENDS[backend](module, timing)
        on_step()
    calls: dict[tuple[str, int], Callable[[], object]] = {}
    for name, module in networks.items():
        for batch in batches:
            images = example(module, batch).to(device)
            calls[name, batch] = lambda run=made[name], images=images: run(images)
    found = timed(calls, timing, torch.cuda.synchronize if device == "cuda" else lambda: None, on_step)
    return {"rows": rows(found), "protocol": {"backend": backend, **timing.protocol(device)}}


def rows(found: Mapping[tuple[str, int], Latency]) -> list[dict[str, Any]]:
    return [{"name": name, "batch_size": batch, **asdict(latency)} for (name, batch), latency in found.items()]

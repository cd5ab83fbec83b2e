"""A table of operations, each measured once; a network's latency is the sum over the operations that it runs.

An operation is what PyTorch dispatches: a convolution of these shapes, an addition of those. So the table serves every
space, a user's networks too, and a network of known operations costs one pass.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves, tree_map

from oneshot.base.files import read_json, write_json
from oneshot.export.extract import Extracted, structure
from oneshot.export.formats import example
from oneshot.latency.timing import Latency, Timing, machine, threads
from oneshot.runs.config import Config
from oneshot.runs.run import Run
from oneshot.space import Arch

FORMAT = "oneshot operations 1"


class OperationTable:
    """Milliseconds by operation, of one machine, number of threads and batch size; CPU alone.

    `between` are the milliseconds that pass between two operations, Python's share: see `fit`.
    """

    def __init__(
        self, batch: int = 1, timing: Timing | None = None, times: Mapping[str, float] | None = None,
        between: float = 0.0,
    ) -> None:  # fmt: skip
        if batch < 1:
            raise ValueError(f"the batch size must be at least 1, got {batch}")
        self.batch, self.timing = batch, timing or Timing()
        self.times, self.between = dict(times or {}), between

    @classmethod
    def open(cls, path: str | Path) -> OperationTable:
        """The table in a file; ValueError where it is none, or another machine's."""
        found = read_json(Path(path))
        if not isinstance(found, dict) or found.get("format") != FORMAT:
            raise ValueError(f"{path} is no table of operations: expected one of `oneshot cost --table FILE.json`")
        try:
            timing = Timing(**{name: found["protocol"][name] for name in ("warmup", "rounds", "threads")})
            batch, between = int(found["batch_size"]), float(found["between"])
            times = {key: float(ms) for key, ms in found["operations"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is no whole table of operations: {error}") from error
        here, there = machine("cpu"), {name: found["protocol"].get(name) for name in ("processor", "torch", "machine")}
        changed = [f"{name} {value} there, {here[name]} here" for name, value in there.items() if value != here[name]]
        if changed:
            raise ValueError(f"{path} was measured elsewhere: {'; '.join(changed)}; measure a table here")
        return cls(batch, timing, times, between)

    def save(self, path: str | Path) -> None:
        own = {"batch_size": self.batch, "between": self.between, "operations": self.times}
        write_json(Path(path), {"format": FORMAT, "protocol": self.protocol, **own})

    @property
    def protocol(self) -> dict[str, Any]:
        return {"backend": "torch", "summed": True, **self.timing.protocol("cpu")}

    def __call__(self, module: Extracted) -> float:
        """Milliseconds of a network: what is not known of it is measured now."""
        with threads(self.timing.threads), torch.no_grad(), _Operations(self) as ran:
            module(example(module, self.batch))
        return sum((self.times[key] + self.between) * count for key, count in ran.counts.items())

    def of(self, config: Config, arch: Arch, classes: int, image_size: int) -> float:
        """Milliseconds of an architecture's network."""
        own, made = structure(config, classes, arch)
        gates = own.gates((0,) * len(own.decisions))
        return self(Extracted(made, gates, {"image_size": image_size}).eval())

    def of_run(self, run: Run) -> Callable[[Arch], float]:
        """Milliseconds by architecture, of the networks of a run: a cost for a search."""
        size = run.size
        return lambda arch: self.of(run.config, arch, size["classes"], size["image_size"])

    def fit(self, modules: Sequence[Extracted], whole: Sequence[float]) -> None:
        """Learn `between` from a few measured networks: the median of what their sums lack, by operation."""
        self.between = 0.0
        lacks = []
        for module, milliseconds in zip(modules, whole, strict=True):
            alone = self(module)
            self.between = 1.0
            operations = self(module) - alone
            self.between = 0.0
            lacks.append((milliseconds - alone) / operations)
        self.between = max(float(np.median(lacks)), 0.0)


class _Operations(TorchDispatchMode):
    """Counts the operations of a pass, and measures those that the table lacks."""

    def __init__(self, table: OperationTable) -> None:
        super().__init__()
        self.table, self.counts = table, Counter[str]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = (args, kwargs or {})
        key = f"{func} {_words(given)}"
        self.counts[key] += 1
        if key not in self.table.times:
            self.table.times[key] = self._measured(func, *tree_map(_copied, given))
        return func(*given[0], **given[1])

    def _measured(self, func: Any, args: Any, kwargs: Any) -> float:
        timing, seconds = self.table.timing, []
        for number in range(timing.warmup + timing.rounds):
            start = time.perf_counter()
            func(*args, **kwargs)
            if number >= timing.warmup:
                seconds.append(time.perf_counter() - start)
        return Latency.of(seconds).median


def _copied(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _words(given: Any) -> str:
    """Everything that an operation's time may depend on."""
    return " ".join(
        f"{tuple(v.shape)}/{tuple(v.stride())}/{str(v.dtype).removeprefix('torch.')}"
        if isinstance(v, Tensor)
        else f"{v}"
        for v in tree_leaves(given)
    )


def compared(sums: Sequence[float], whole: Sequence[float]) -> dict[str, Any]:
    """How far sums are from measured networks, as shares, and how alike they rank; None where there are too few."""
    from scipy.stats import kendalltau

    ours, theirs = np.asarray(sums, float), np.asarray(whole, float)
    errors = np.abs(ours - theirs) / theirs
    tau = float(kendalltau(ours, theirs)[0]) if len(ours) > 2 else float("nan")  # pyright: ignore
    return {
        "networks": len(ours), "median_error": float(np.median(errors)), "largest_error": float(errors.max()),
        "mean_ratio": float((ours / theirs).mean()), "kendall_tau": tau if np.isfinite(tau) else None,
    }  # fmt: skip

"""What a search step of EnTranNAS costs beside DARTS's, in time and memory (arXiv 2101.11342, Table 3).

Explain: DARTS runs every operation on every edge of every cell. EnTranNAS does so in the first cell of each kind alone;
the six others run two operations a node. Feature sharing gives an operation to the node that it reads: in a cell each
runs once, not once for every later node. The bottleneck runs them at a quarter of the width. With twelve operations
only the engine cells grow.
Predict: the time follows the multiply-adds (counted here, for both passes of a step), as far as convolutions are what
takes it; the memory follows what autograd keeps of the cells.
The paper has memory 1, .50, .29, .17 at batch 64, and time 1, .30, .12, .08 with batches grown 1, 2, 4, 8 fold
(`--grow`); twelve operations in place of seven cost it 1.17 times as long.
Measure: whole steps, architecture and weights, at architecture parameters drawn anew for each; each case is a process
of its own (memory is a property of a process, counted above what it holds behind a step on two images), and the
processes take turns, one step each. The fastest of `repeats` counts; all steps are summed.

    python perf/differentiable.py [--steps 4] [--repeats 2] [--channels 16] [--cells 2] [--batch-size 32]
                                  [--image-size 32] [--grow] [--device cpu] [--clock wall]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any


@dataclass(frozen=True)
class Case:
    """A method in a space, the network's settings, how many times the batch (`--grow`), and Table 3's figures."""

    method: str
    settings: dict[str, Any]
    batches: int = 1
    paper_memory: float | None = None
    paper_time: float | None = None
    space: str = "darts"


ALL = {"sharing": True, "bottleneck": 4}
CASES = {
    "DARTS 1st": Case("darts", {}, 1, 1.0, 1.0),
    "+ engine and transit": Case("entrannas", {}, 2, 4.5 / 9.0, 0.22 / 0.73),
    "+ feature sharing": Case("entrannas", {"sharing": True}, 4, 2.6 / 9.0, 0.09 / 0.73),
    "+ bottleneck": Case("entrannas", ALL, 8, 1.5 / 9.0, 0.06 / 0.73),
    "12 operations": Case("entrannas", ALL, 8, space="darts-extended"),
    "12 operations, DARTS 1st": Case("darts", {}, 1, space="darts-extended"),
}
WARM = 1


def main() -> None:
    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    to.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    sizes = {"steps": 4, "repeats": 2, "channels": 16, "cells": 2, "batch-size": 32, "image-size": 32, "classes": 10}
    for name, default in sizes.items():
        to.add_argument(f"--{name}", type=int, default=default)
    to.add_argument("--grow", action="store_true", help="batches 1, 2, 4 and 8 times as large, as the paper's times")
    to.add_argument("--device", default="cpu")
    to.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time, on a busy machine")
    args = to.parse_args()
    if "DARTS 1st" not in args.cases:
        to.error("--cases must have 'DARTS 1st', to which all others are compared")
    seconds, told = measure(args)
    first_seconds, first = seconds["DARTS 1st"], told["DARTS 1st"]
    rows = {
        name: {
            "time": round(seconds[name] / first_seconds, 3),
            "multiply_adds": round(told[name]["flops"] / first["flops"], 3),
            "memory": round(told[name]["mib"] / first["mib"], 3),
            "paper_time_grown": rounded(CASES[name].paper_time),
            "paper_memory": rounded(CASES[name].paper_memory),
        }
        for name in args.cases
    }
    for name, row in rows.items():
        print(f"{name:26}", "  ".join(f"{key} {'-' if v is None else v}" for key, v in row.items()))
    print(json.dumps({
        "script": "perf/differentiable.py",
        "ratios": {name: round(first_seconds / seconds[name], 3) for name in args.cases},
        "of_darts": rows,
        "seconds_an_image": {name: round(value, 5) for name, value in seconds.items()},
        "peak_mib": {name: round(row["mib"]) for name, row in told.items()},
        "settings": vars(args),
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }))  # fmt: skip


def rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def measure(args: argparse.Namespace) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Seconds a step and image, and what each process told at last: `mib` at its peak, `flops` of an image."""
    context = multiprocessing.get_context("spawn")
    pipes, processes = dict[str, Connection](), []
    for name in args.cases:
        here, there = context.Pipe()
        processes.append(context.Process(target=worker, args=(name, args, there), daemon=True))
        processes[-1].start()
        pipes[name] = here
    for pipe in pipes.values():
        pipe.recv()  # ready
    seconds = dict.fromkeys(args.cases, 0.0)
    for step in range(WARM + args.steps):
        best = dict.fromkeys(args.cases, float("inf"))
        for _ in range(args.repeats):
            for name, pipe in pipes.items():
                pipe.send(step)
                best[name] = min(best[name], pipe.recv())
        if step >= WARM:
            for name, took in best.items():
                seconds[name] += took / args.steps
    told = {}
    for name, pipe in pipes.items():
        pipe.send(None)
        told[name] = pipe.recv()
    for process in processes:
        process.join()
    return seconds, told


def worker(name: str, args: argparse.Namespace, pipe: Connection) -> None:
    """One case: a step for every message, and its memory and multiply-adds at last."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    from oneshot.base.memory import keep_freed_memory
    from oneshot.methods.base import Setup
    from oneshot.nn.cpu import without_loops
    from oneshot.registry import METHODS, SKELETONS, SPACES
    from oneshot.samplers.uniform import Uniform
    from oneshot.training.recipe import Recipe
    from oneshot.training.step import Step
    from oneshot.training.weights import Weights

    keep_freed_memory()
    case, device = CASES[name], torch.device(args.device)
    space, batch = SPACES[case.space], args.batch_size * (case.batches if args.grow else 1)
    torch.manual_seed(0)
    net = SKELETONS[case.space](channels=args.channels, cells=args.cells, **case.settings).make(space, args.classes)
    net = net.to(device, memory_format=torch.channels_last)
    method = METHODS[case.method]().make(Setup(space, net, Uniform(space))).to(device)
    recipe = Recipe(epochs=50, batch_size=batch)
    weights = Weights(net, recipe)

    def images(count: int) -> tuple[torch.Tensor, torch.Tensor]:
        x = torch.randn(count, 3, args.image_size, args.image_size, device=device)
        labels = torch.randint(args.classes, (count,), device=device)
        return x.contiguous(memory_format=torch.channels_last), labels

    def step(number: int, trained: Any, held_out: Any) -> None:
        torch.manual_seed(number)
        with torch.no_grad():
            for alpha in method.alphas:
                alpha.copy_(torch.randn(alpha.shape))
        targets = list(method.targets().values())
        one = Step(weights, targets, trained, lambda: held_out, (0, 0, number), 0.0)
        method.step(one)
        one.finish()
        if device.type == "cuda":
            torch.cuda.synchronize()

    trained, held_out = images(batch), images(batch)
    clock = time.process_time if args.clock == "cpu" else time.perf_counter
    step(0, images(2), images(2))  # code and optimisers are there before anything is measured
    before = resident()
    pipe.send("ready")
    while (number := pipe.recv()) is not None:
        start = clock()
        step(number, trained, held_out)
        pipe.send((clock() - start) / batch)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10 - before
    mib = torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else peak
    flops = 0
    for number in range(WARM, WARM + args.steps):
        with FlopCounterMode(display=False) as counted, without_loops():
            step(number, images(2), images(2))
        flops += counted.get_total_flops()
    pipe.send({"mib": mib, "flops": float(flops)})


def resident() -> float:
    """MiB of this process now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() / 2**20


if __name__ == "__main__":
    main()

"""What weights that depend on earlier choices cost a training step, in time and memory (arXiv 2104.11522, Table 1).

Explain: a bias is a vector added to the input of an operation. All vectors of a step are looked up at once; what the
convolutions behind a node read is made in one go, the node's sum included; before skips and pooling nothing is added at
all: the vector is handed on to whoever reads the result. Split weights only choose another copy of a module.
Predict: edges that leave one node lose the ReLU that they share: each writes an input of its own and reads it again for
its gradient, two passes over the images, where a 1x1 edge takes some fifteen; D changes the size of a table and nothing
else. In the whole space, edges that leave a node which nothing reaches run too. Splitting adds parameters that a step
does not use.
The paper pays 18 to 38% for bias and 1 to 21% for split weights; ours should stay below 8% and 5%.
Measure: the same paths, images and first weights; each case is a process of its own (memory is a property of a
process), and the processes of a space take turns, one step each. Every path is taken several times, and its fastest
step counts; all paths are summed, for they cost differently. The losses of the first step must be equal.

    python perf/context.py [--spaces nasbench201 nasbench201-no-zero nasbench201-conv] [--steps 12] [--repeats 3]
                           [--channels 16] [--cells 2] [--batch-size 256] [--image-size 32] [--classes 10]
                           [--device cpu] [--clock wall]
    python perf/context.py --spaces fairnas --batch-size 16 --image-size 64 --classes 100
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import statistics
import time
from multiprocessing.connection import Connection
from typing import Any

CASES: dict[str, dict[str, Any]] = {
    "baseline": {},
    "bias D=1": {"context": "bias"},
    "bias D=2": {"context": "bias", "depth": 2},
    "bias D=3": {"context": "bias", "depth": 3},
    "split": {"context": "split"},
}
SPACES = ("nasbench201", "nasbench201-no-zero", "nasbench201-conv")
WARM = 2


def main() -> None:
    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    to.add_argument("--spaces", nargs="+", default=SPACES)
    sizes = {"steps": 12, "repeats": 3, "channels": 16, "cells": 2, "batch-size": 256, "image-size": 32, "classes": 10}
    for name, default in sizes.items():
        to.add_argument(f"--{name}", type=int, default=default)
    to.add_argument("--device", default="cpu")
    to.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time, on a busy machine")
    args = to.parse_args()
    measured = {space: measure(space, args) for space in args.spaces}
    times = {f"{space}, {case}": values for space, (seconds, _) in measured.items() for case, values in seconds.items()}
    overheads = {}
    for name, values in times.items():
        space, case = name.split(", ")
        if case != "baseline":
            overheads[name] = round(sum(values) / sum(times[f"{space}, baseline"]) - 1, 3)
    print(json.dumps({
        "script": "perf/context.py",
        "overheads": overheads,
        "seconds": {name: round(statistics.mean(values), 4) for name, values in times.items()},
        "peak_mib": {f"{s}, {c}": round(v) for s, (_, memory) in measured.items() for c, v in memory.items()},
        "settings": vars(args),
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }))  # fmt: skip


def measure(space: str, args: argparse.Namespace) -> tuple[dict[str, list[float]], dict[str, float]]:
    """The seconds of every step and the peak memory in MiB, a case each."""
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    processes = []
    for case in CASES:
        here, there = context.Pipe()
        process = context.Process(target=worker, args=(space, case, args, there), daemon=True)
        process.start()
        processes.append(process)
        pipes[case] = here
    seconds: dict[str, list[float]] = {case: [] for case in CASES}
    for pipe in pipes.values():
        pipe.recv()  # ready
    for step in range(WARM + args.steps):
        best = dict.fromkeys(CASES, float("inf"))
        for again in range(args.repeats):
            losses = {}
            for case, pipe in pipes.items():
                pipe.send(step)
                took, losses[case] = pipe.recv()
                best[case] = min(best[case], took)
            assert step or again or len(set(losses.values())) == 1, f"{space}: the first losses differ: {losses}"
        if step >= WARM:
            for case, took in best.items():
                seconds[case].append(took)
    memory = {}
    for case, pipe in pipes.items():
        pipe.send(None)
        memory[case] = pipe.recv()
    for process in processes:
        process.join()
    return seconds, memory


def worker(space_name: str, case: str, args: argparse.Namespace, pipe: Connection) -> None:
    """One case, one step for every message, and the peak memory at last."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    from oneshot.base.memory import keep_freed_memory
    from oneshot.gates import fixed
    from oneshot.nn.choice import split
    from oneshot.registry import SPACES
    from oneshot.runs.config import Config
    from oneshot.runs.network import network
    from oneshot.samplers.uniform import Uniform
    from oneshot.training.precision import autocast
    from oneshot.training.recipe import Recipe
    from oneshot.training.weights import of_weights

    keep_freed_memory()
    space, device = SPACES[space_name], torch.device(args.device)
    torch.manual_seed(0)
    config = Config.of(space=space_name, channels=args.channels, cells=args.cells, **CASES[case])
    net = network(config, args.classes).to(device, memory_format=torch.channels_last)  # pyright: ignore
    torch.manual_seed(1)
    images = torch.randn(args.batch_size, 3, args.image_size, args.image_size, device=device)
    images = images.contiguous(memory_format=torch.channels_last)
    labels = torch.randint(args.classes, (args.batch_size,), device=device)
    archs = Uniform(space).draw(args.steps + WARM, np.random.default_rng(0))
    if case == "split":
        split(net)
    optimizer = of_weights(net, Recipe())
    clock = time.process_time if args.clock == "cpu" else time.perf_counter
    pipe.send("ready")
    while (step := pipe.recv()) is not None:
        start = clock()
        with autocast("auto", device):
            loss = F.cross_entropy(net(images, fixed(space, archs[step])).float(), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        value = float(loss.detach())
        if device.type == "cuda":
            torch.cuda.synchronize()
        pipe.send((clock() - start, value))
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    pipe.send(torch.cuda.max_memory_allocated() / 2**20 if device.type == "cuda" else kib / 2**10)


if __name__ == "__main__":
    main()

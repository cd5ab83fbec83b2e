"""Speed of a training step against the network as one would write it first.

Explain: the twin is plain eager PyTorch: float32, contiguous, every edge of the cell computed (`none` as a product with
zero), a ReLU for every convolution, the C library's memory as it comes. Ours keeps freed memory, leaves out `none` and
what no live path reaches, keeps weights and images channels-last, and does what lies between convolutions (BatchNorm,
sums, ReLU, pooling) in compiled loops, a node in as few passes over memory as it takes. Each is a part of the ratio:
the cases add one after another, "of which" is how much faster each is than the one before, their product the whole.
Predict: channels-last convolutions are 1.5 to 2 times faster on a CPU with AVX-512, a third of the edges is not
computed, and activations of 16 MiB cost a page fault every 4 KiB whenever the allocator maps them anew. "convolutions
alone" runs nothing but the convolutions of the step, forward and backward, channels-last: no implementation that uses
these kernels can be faster, so `bounds` are the largest ratios that there are. "and the fewest passes" adds what
BatchNorm must read and write even if one kernel does all of a node: every normalised tensor is read twice forward
(statistics, then the sum) and twice backward, and its gradient written; every node's sum is written once and its
gradient read twice. A pass takes a third of `torch.add(a, b, out=c)` of that size.
Measure: the same paths, images and first weights; each case is a process of its own (the allocator is a property of a
process), and the processes take turns, one step each. Paths cost differently, so that the ratios are those of images a
second over all steps; `seconds` are those of the median step. The losses must agree.

    python perf/train.py [--steps 24] [--channels 16] [--cells 2] [--batch-size 256] [--image-size 32] [--clock wall]
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any

BOUNDS = ("convolutions alone", "convolutions and the fewest passes")
WARM = 8
"""Steps until each process holds as much memory as its most expensive path needs."""
CHAIN = {
    "twin": "",
    "twin, freed memory kept": "freed memory kept",
    "oneshot, contiguous, without loops": "dead edges left out",
    "oneshot, without loops": "channels-last",
    "oneshot": "loops",
}
"""Cases, each with the part that it adds to the one before."""
CASES = (*CHAIN, "oneshot, bf16", *BOUNDS)


def main() -> None:
    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default in (("steps", 24), ("channels", 16), ("cells", 2), ("batch-size", 256), ("image-size", 32)):
        to.add_argument(f"--{name}", type=int, default=default)
    to.add_argument("--clock", choices=("wall", "cpu"), default="wall", help="cpu: processor time, on a busy machine")
    args = to.parse_args()
    context = multiprocessing.get_context("spawn")
    pipes: dict[str, Connection] = {}
    for case in CASES:
        here, there = context.Pipe()
        context.Process(target=worker, args=(case, args, there), daemon=True).start()
        pipes[case] = here
    seconds: dict[str, list[float]] = {case: [] for case in CASES}
    losses: dict[str, list[float]] = {case: [] for case in CASES}
    for case in CASES:
        pipes[case].recv()  # ready
    for step in range(args.steps + WARM):
        for case, pipe in pipes.items():
            pipe.send(step)
            took, loss = pipe.recv()
            losses[case].append(loss)
            if step >= WARM:
                seconds[case].append(took)
    for pipe in pipes.values():
        pipe.send(None)
    apart = max(abs(a - b) for a, b in zip(losses["twin"], losses["oneshot"], strict=True))
    assert apart < 0.02, f"the losses differ by {apart}: {losses}"
    whole = {case: sum(values) for case, values in seconds.items()}

    def times_faster(case: str, twin: str) -> float:
        return round(whole[twin] / whole[case], 2)

    ours = ("oneshot", "oneshot, without loops", "oneshot, bf16")
    ratios = {f"{case} against {twin}": times_faster(case, twin) for twin in CASES[:2] for case in ours}
    ratios |= {f"of which {CHAIN[case]}": times_faster(case, before) for before, case in pairwise(CHAIN)}
    print(json.dumps({
        "script": "perf/train.py",
        "ratios": ratios,
        "bounds": {f"{case} against {twin}": times_faster(case, twin) for twin in CASES[:2] for case in BOUNDS},
        "seconds": {case: round(statistics.median(values), 4) for case, values in seconds.items()},
        "images_per_second": {case: round(args.steps * args.batch_size / value) for case, value in whole.items()},
        "largest_loss_difference": round(apart, 6),
        "settings": vars(args),
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }))  # fmt: skip


def worker(case: str, args: argparse.Namespace, pipe: Connection) -> None:
    """One case, one step for every message."""
    import numpy as np
    import torch
    import torch.nn.functional as F

    from oneshot.base.memory import keep_freed_memory
    from oneshot.gates import fixed
    from oneshot.nn.cpu import without_loops
    from oneshot.samplers.uniform import Uniform
    from oneshot.spaces.nasbench201 import ALL
    from oneshot.supernets.nasbench201 import NasBench201Net
    from oneshot.training.precision import autocast

    clock = time.process_time if args.clock == "cpu" else time.perf_counter
    if case != "twin":
        keep_freed_memory()
    torch.manual_seed(0)
    net = NasBench201Net(ALL, args.channels, args.cells)
    images = torch.randn(args.batch_size, 3, args.image_size, args.image_size)
    labels = torch.randint(10, (args.batch_size,))
    archs = Uniform(ALL).draw(args.steps + WARM, np.random.default_rng(0))
    optimizer = torch.optim.SGD(net.parameters(), 0.025, momentum=0.9, weight_decay=3e-4)
    is_ours = case.startswith("oneshot")
    if (is_ours and "contiguous" not in case) or case in BOUNDS:
        net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        images = images.contiguous(memory_format=torch.channels_last)
    precision = "bf16" if case.endswith("bf16") else "float32"
    pipe.send("ready")
    while (step := pipe.recv()) is not None:
        if case in BOUNDS:
            gates = fixed(ALL, archs[step])
            passes = fewest_passes(net, images, gates, clock) if case == BOUNDS[1] else 0.0
            pipe.send((convolutions_alone(net, images, gates, clock) + passes, 0.0))
            continue
        start = clock()
        if is_ours:
            with (
                without_loops() if case.endswith("without loops") else nullcontext(),
                autocast(precision, images.device),
            ):
                loss = F.cross_entropy(net(images, fixed(ALL, archs[step])).float(), labels)
        else:
            loss = F.cross_entropy(plain(net, images, archs[step]), labels)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        pipe.send((clock() - start, float(loss.detach())))


def convolutions_alone(net: Any, images: Any, gates: Any, clock: Callable[[], float]) -> float:
    """Seconds of the convolutions that a step runs, forward and backward, on images of the right shapes."""
    import torch

    seconds = 0.0
    for conv, x in inputs_of(net, torch.nn.Conv2d, images, gates):
        x = x.detach().requires_grad_(x is not images)
        with torch.no_grad():
            grad = torch.ones_like(conv(x))
        start = clock()
        conv(x).backward(grad)
        seconds += clock() - start
        conv.weight.grad = None
    return seconds


def fewest_passes(net: Any, images: Any, gates: Any, clock: Callable[[], float]) -> float:
    """Seconds of the passes over memory that no kernel between these convolutions can do without."""
    import torch

    from oneshot.spaces.nasbench201 import EDGES
    from oneshot.supernets.nasbench201 import Cell

    def third(x: Any) -> float:
        first, second, out = torch.ones_like(x), torch.ones_like(x), torch.empty_like(x)
        start = clock()
        torch.add(first, second, out=out)
        return (clock() - start) / 3

    normed = {module.conv: module for module in net.modules() if hasattr(module, "conv") and hasattr(module, "norm")}
    ran = [(normed[conv], conv(x)) for conv, x in inputs_of(net, torch.nn.Conv2d, images, gates) if conv in normed]
    inside = {module for block in net.blocks if isinstance(block, Cell) for module in block.modules()}
    convolved = [
        e for e in net.blocks[0].live(gates) if hasattr(net.blocks[0].edges[e].options[gates[e][0][0]], "norm")
    ]
    sums = len({EDGES[edge][1] for edge in convolved}) / max(len(convolved), 1)
    return sum(third(x.detach()) * (5 + 3 * (sums if module in inside else 1)) for module, x in ran)


def inputs_of(net: Any, kind: Any, images: Any, gates: Any) -> list[tuple[Any, Any]]:
    """Every module of that kind that runs, with its input."""
    import torch

    ran: list[tuple[Any, Any]] = []
    modules = [module for module in net.modules() if isinstance(module, kind)]
    hooks = [
        module.register_forward_pre_hook(lambda module, inputs: ran.append((module, inputs[0]))) for module in modules
    ]
    with torch.no_grad():
        net(images, gates)
    for hook in hooks:
        hook.remove()
    return ran


def plain(net: Any, x: Any, arch: tuple[int, ...]) -> Any:
    """The forward pass as one would write it first, on the same weights."""
    import torch.nn.functional as F

    from oneshot.spaces.nasbench201 import ALL, EDGES
    from oneshot.supernets.nasbench201 import Cell

    x = net.stem(x)
    for block in net.blocks:
        if not isinstance(block, Cell):
            x = block(x)
            continue
        nodes = [x]
        for target in range(1, 4):
            terms = []
            for edge, (source, end) in enumerate(EDGES):
                if end != target:
                    continue
                name, inputs = ALL.decisions[edge].options[arch[edge]], nodes[source]
                operation: Any = block.edges[edge].options[arch[edge]]  # pyright: ignore[reportIndexIssue]
                if name == "none":
                    terms.append(inputs.mul(0.0))
                elif name == "skip_connect":
                    terms.append(inputs)
                elif name == "avg_pool_3x3":
                    terms.append(F.avg_pool2d(inputs, 3, stride=1, padding=1, count_include_pad=False))
                else:
                    terms.append(operation.norm(operation.conv(F.relu(inputs))))
            nodes.append(sum(terms))
        x = nodes[3]
    return net.classifier(F.adaptive_avg_pool2d(F.relu(net.norm(x)), 1).flatten(1))


if __name__ == "__main__":
    main()

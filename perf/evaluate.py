"""Speed of evaluating architectures on a supernet against one after another, as one would write it first.

Explain: the twin is plain eager PyTorch: float32, contiguous, every edge of the cell computed, BatchNorm after each
convolution, the C library's memory as it comes, one architecture after another. "alone" is ours with one architecture a
call, "together" with all in one call: what they have in common (the stem, the first cell's operations on it, in
sequential networks the whole beginning) is made once a batch. Ours keeps freed memory, leaves out edges that no live
path has and folds BatchNorm into the convolution before it, keeps everything channels-last, shares, does what lies
between convolutions in compiled loops, and 3x3 convolutions by Winograd's algorithm. Each is a part of the ratio: the
cases add one after another, "of which" is how much faster each is than the one before, and their product the whole.
"convolutions alone" runs those convolutions that the
twin's architectures need, channels-last: without sharing nothing that uses these kernels can be faster.
Predict: at C=16 and two cells a stage the convolutions are a ninth of the twin's time; passes over memory (BatchNorm,
sums, ReLU) and slower convolutions are the rest. Sharing saves the stem and three quarters of the first of six cells.
Measure: a round is a slice of the protocol, one recalibration batch and one validation batch of 256; the cases take
turns, each in a process of its own. All but "together" take some architectures a round, evenly spread from cheap to
expensive and others in each, "together" takes all. One round before them is not counted: of the protocol's 40 batches
the first alone finds memory that is new to it. Processor seconds of one thread, so that other work on the machine
counts little. Predictions must agree.

    python perf/evaluate.py [--space nasbench201] [--archs 100] [--rounds 4] [--each 2] [--channels 16] [--cells 2]
    python perf/evaluate.py --space fairnas --image-size 64 --batch-size 32   # a population of 100 from evolution
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import time
from contextlib import ExitStack
from itertools import pairwise
from multiprocessing.connection import Connection
from typing import Any
from unittest import mock

CHAIN = {
    "twin": "",
    "twin, freed memory kept": "freed memory kept",
    "alone, contiguous, without loops": "dead edges left out, BatchNorm folded",
    "alone, without loops": "channels-last",
    "together, without loops": "sharing",
    "together, without Winograd": "loops between convolutions",
    "together": "Winograd's convolutions",
}
"""Cases, each with the part that it adds to the one before."""
CASES = (*CHAIN, "alone", "convolutions alone")


def main() -> None:
    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    to.add_argument("--space", default="nasbench201", choices=("nasbench201", "fairnas"))
    numbers = {"archs": 100, "rounds": 4, "each": 2, "channels": 16, "cells": 2, "batch-size": 256, "image-size": 32}
    for name, default in numbers.items():
        to.add_argument(f"--{name}", type=int, default=default)
    args = to.parse_args()
    if args.rounds * args.each > args.archs:
        raise SystemExit(f"{args.rounds} rounds of {args.each} need as many architectures, got {args.archs}")
    pipes: dict[str, Connection] = {}
    context = multiprocessing.get_context("spawn")
    for case in CASES:
        here, there = context.Pipe()
        context.Process(target=worker, args=(case, args, there), daemon=True).start()
        pipes[case] = here
    seconds: dict[str, list[float]] = {case: [] for case in CASES}
    found: dict[str, dict[int, tuple[float, float]]] = {case: {} for case in CASES}
    for n in range(args.rounds):
        for case, pipe in pipes.items():
            pipe.send(n)
            took, values = pipe.recv()
            seconds[case].append(took)
            found[case].update(values)
    for pipe in pipes.values():
        pipe.send(None)
    ours = ("together", "together, without loops", "alone")
    pairs = {f"{case} against {twin}": (case, twin) for twin in CASES[:2] for case in ours}
    pairs["together against alone"] = ("together", "alone")
    pairs |= {f"of which {CHAIN[case]}": (case, before) for before, case in pairwise(CHAIN)}
    ratios = {name: round(sum(seconds[twin]) / sum(seconds[case]), 2) for name, (case, twin) in pairs.items()}
    both = [(found["twin"][i], found["together"][i]) for i in found["twin"]]
    print(json.dumps({
        "script": "perf/evaluate.py",
        "ratios": ratios,
        "bounds": {"against twin": round(sum(seconds["twin"]) / sum(seconds["convolutions alone"]), 2)},
        "seconds": {case: round(sum(values) / args.rounds, 4) for case, values in seconds.items()},
        "unit": "processor seconds an architecture and round",
        "largest_accuracy_difference": round(max(abs(a[0] - b[0]) for a, b in both), 4),
        "largest_loss_difference": round(max(abs(a[1] - b[1]) for a, b in both), 6),
        "settings": vars(args),
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }))  # fmt: skip


def worker(case: str, args: argparse.Namespace, pipe: Connection) -> None:
    """One case, one round for every message: processor seconds an architecture, and its predictions by number."""
    import torch
    from oneshot.evaluators.supernet import SupernetEvaluator

    from oneshot.base.memory import keep_freed_memory
    from oneshot.nn.cpu import without_loops

    torch.set_num_threads(1)
    torch.manual_seed(0)
    net, archs, train, valid = setting(args)
    calls, switched, together = None, ExitStack(), case.startswith("together")
    if case.endswith("without loops"):
        switched.enter_context(without_loops())
    if case.endswith("without Winograd"):
        switched.enter_context(mock.patch("oneshot.nn.operations.convolves", never))  # a Mock would keep all images
    if "contiguous" in case:
        last = type(valid).normalised
        switched.enter_context(mock.patch.object(type(valid), "normalised", lambda *given: last(*given).contiguous()))
    elif not case.startswith("twin"):
        net.to(memory_format=torch.channels_last)
    if case != "twin":
        keep_freed_memory()
    if not case.startswith("twin"):
        calls = SupernetEvaluator(net, net.space, train, valid, "ema-1", args.batch_size, "float32")
        calls(archs if together else archs[-1:])
    while (n := pipe.recv()) is not None:
        numbers = list(range(len(archs)) if together else sample(args, n))
        start = time.process_time()
        if case == "convolutions alone":
            took, values = sum(convolutions_alone(net, archs[i], valid) for i in numbers), []
        elif case.startswith("twin"):
            values = [plainly(net, archs[i], train, valid, args.batch_size) for i in numbers]
            took = time.process_time() - start
        else:
            assert calls is not None
            groups = [numbers] if together else [[i] for i in numbers]
            made = [value for group in groups for value in calls([archs[i] for i in group]).values]
            values = [(value.accuracy, value.loss) for value in made]
            took = time.process_time() - start
        pipe.send((took / len(numbers), dict(zip(numbers, values, strict=False))))


def never(*given: Any) -> bool:
    return False


def sample(args: argparse.Namespace, n: int) -> list[int]:
    """Which architectures of the list, the cheapest first, stand for it in a round: one of each of some equal parts."""
    count = args.rounds * args.each
    return [int((each * args.rounds + n + 0.5) * args.archs / count) for each in range(args.each)]


def setting(args: argparse.Namespace) -> tuple[Any, list[Any], Any, Any]:
    """The network, the architectures and two batches of random images."""
    import numpy as np
    import torch

    from oneshot.data.source import Images
    from oneshot.samplers.uniform import Uniform, distinct
    from oneshot.search.base import Task
    from oneshot.search.evolution import Evolution
    from oneshot.spaces import fairnas, nasbench201
    from oneshot.supernets.fairnas import FairNasNet
    from oneshot.supernets.nasbench201 import NasBench201Net

    rng = np.random.default_rng(0)
    if args.space == "nasbench201":
        net: Any = NasBench201Net(nasbench201.ALL, args.channels, args.cells)
        archs = distinct(nasbench201.ALL, args.archs, rng)
    else:
        net = FairNasNet(fairnas.ALL, args.channels)
        # the last of ten generations, by a score that favours some options: few parameters for their layer
        task = Task(Scored(fairnas.ALL, rng.normal(size=(19, 6))))
        half = args.archs // 2
        Evolution(args.archs, 10, args.archs - half, half)(task, Uniform(fairnas.ALL), rng)
        archs = [candidate.arch for candidate in task.found if candidate.generation == 9]
    archs.sort(key=lambda arch: net.space.facts(arch)["parameters"])
    shape = args.batch_size, args.image_size, args.image_size, 3
    each = [
        Images(
            torch.randint(256, shape, dtype=torch.uint8),
            torch.randint(10, (args.batch_size,)),
            torch.full((3,), 128.0),
            torch.full((3,), 74.0),
        )
        for _ in range(2)
    ]
    return net, archs, *each  # pyright: ignore[reportReturnType]


class Scored:
    """An evaluator for the evolution: a sum of one number a layer's option."""

    def __init__(self, space: Any, table: Any) -> None:
        self.space, self.table, self.protocol = space, table, {}

    def __call__(self, archs: Any) -> Any:
        import numpy as np
        from oneshot.evaluators.base import Prediction, Predictions

        layers = np.arange(len(self.table))
        values = tuple(Prediction(50 + float(self.table[layers, arch].sum()), 0.0, 1) for arch in archs)
        return Predictions(self.space, tuple(archs), values, {})


def plainly(net: Any, arch: Any, train: Any, valid: Any, batch_size: int) -> tuple[float, float]:
    """Accuracy and loss on a copy of the network with nothing but PyTorch's own layers, contiguous."""
    import copy

    import torch
    import torch.nn.functional as F
    from torch import nn

    net = copy.deepcopy(net)
    for module in net.modules():
        for layer in (nn.Conv2d, nn.BatchNorm2d):
            if isinstance(module, layer):
                module.__class__ = layer  # pyright: ignore[reportAttributeAccessIssue]
    with torch.no_grad():
        for images, _ in train.batches(batch_size):
            net.train()
            forward(net, images.contiguous(), arch)
        net.eval()
        correct = loss = 0.0
        for images, labels in valid.batches(batch_size):
            logits = forward(net, images.contiguous(), arch)
            correct += float((logits.argmax(1) == labels).sum())
            loss += float(F.cross_entropy(logits, labels, reduction="sum"))
    return 100 * correct / len(valid), loss / len(valid)


def forward(net: Any, x: Any, arch: Any) -> Any:
    from train import plain

    from oneshot.gates import fixed

    return net(x, fixed(net.space, arch)) if len(arch) != 6 else plain(net, x, arch)


def convolutions_alone(net: Any, arch: Any, images: Any) -> float:
    """Processor seconds of the convolutions of one architecture, for a recalibration and a validation batch."""
    import torch

    from oneshot.gates import fixed

    ran: list[tuple[Any, Any]] = []
    convs = [module for module in net.modules() if isinstance(module, torch.nn.Conv2d)]
    hooks = [conv.register_forward_pre_hook(lambda conv, inputs: ran.append((conv, inputs[0]))) for conv in convs]
    with torch.no_grad():
        for x, _ in images.batches(len(images)):
            net.train()(x, fixed(net.space, arch))  # no BatchNorm is folded into them
        for hook in hooks:
            hook.remove()
        start = time.process_time()
        for _ in range(2):
            for conv, x in ran:
                conv(x)
    return time.process_time() - start


if __name__ == "__main__":
    main()

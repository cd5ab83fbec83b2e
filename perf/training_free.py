"""Speed of training-free scores against each definition written down as one would first.

Explain: the twins are the same scores on the same networks by plain PyTorch (no compiled loops), one number after
another: NASWOT compares the units of each pair of images, SWAP puts each unit's pattern into a set, VKDNW takes the
Jacobian of each image by itself, jacov and the gradients differentiate by everything, AZ-NAS goes through the network
once for each of its parts. Ours packs patterns into integers, differentiates all images at once and only by what is
asked for (the images, or what leaves each block), and lets the loops do what lies between convolutions. Building and
initialising the network is in both.
Predict: a forward pass at C=16, one cell a stage, batch 32 takes about 8 ms, backward by features twice that, by
weights three times; building 5 ms. So about 20 ms for what looks forward only, 45 for one backward pass, 90 for
ZiCo's two, and 200 for VKDNW's ten, one a class. Loops over pairs, units, weights and images are what makes the twins
slow; the gradients' twins have none, and should be little slower.
Measure: processor milliseconds an architecture, one thread, over random architectures of the space; ours and the twin
take turns. Both must give the same score (the largest relative difference is printed).

    python perf/training_free.py [--space nasbench201] [--archs 10] [--twins 2] [--scores naswot swap]
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from oneshot.evaluators.training_free import az_nas, codes, gradients, jacov, subject, vkdnw
from torch import nn
from torch.func import functional_call, jacrev

from oneshot.base.memory import keep_freed_memory
from oneshot.nn.cpu import without_loops
from oneshot.registry import EVALUATORS, SPACES
from oneshot.samplers.uniform import distinct

Subject = subject.Subject


def main() -> None:
    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    to.add_argument("--space", default="nasbench201", choices=list(SPACES))
    to.add_argument("--archs", type=int, default=10)
    to.add_argument("--twins", type=int, default=2, help="architectures that the twins score, too")
    to.add_argument("--scores", nargs="+", default=list(EVALUATORS), choices=list(EVALUATORS))
    to.add_argument("--dataset", default="noise", help="whose images are shown")
    args = to.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    archs = distinct(SPACES[args.space], args.archs, np.random.default_rng(0))
    seconds: dict[str, float] = {}
    ratios: dict[str, float] = {}
    differences: dict[str, float] = {}
    for name in args.scores:
        kind = EVALUATORS[name]
        given = {"dataset": args.dataset} if "dataset" in kind.__dataclass_fields__ else {}
        evaluator = kind(**given).make(args.space, {})
        for arch in archs if name == args.scores[0] else archs[-1:]:  # loops are compiled for what they first see
            evaluator.measured(arch)
        took, twins, far = [], [], [0.0]
        for number, arch in enumerate(archs):
            ours, spent = timed(partial(evaluator.measured, arch))
            took.append(spent)
            if number < args.twins and name in TWINS:
                theirs, slow = timed(partial(slowly, evaluator, arch, TWINS[name]))
                twins.append(slow / spent)
                far.append(max(abs(ours[key] - theirs[key]) / (abs(theirs[key]) + 1e-9) for key in theirs))
        seconds[name] = round(sum(took) / len(took), 4)
        if twins:
            ratios[name], differences[name] = round(float(np.mean(twins)), 2), float(f"{max(far):.2g}")
        print(f"{name}: {1000 * seconds[name]:.1f} ms, {ratios.get(name, '-')} times its twin", flush=True)
    print(json.dumps({
        "script": "perf/training_free.py", "ratios": ratios, "seconds": seconds,
        "unit": "processor seconds an architecture", "largest_relative_difference": differences, "settings": vars(args),
        "machine": {"cpu": platform.processor() or platform.machine(), "cores": os.cpu_count()},
    }))  # fmt: skip


def timed(work: Callable[[], Any]) -> tuple[Any, float]:
    start = time.process_time()
    found = work()
    return found, time.process_time() - start


def slowly(evaluator: Any, arch: Any, twin: Callable[[Subject], dict[str, float]]) -> dict[str, float]:
    own = evaluator.settings
    batch = evaluator.networks.batch(own.images, own.seed)
    with without_loops():
        return twin(evaluator.networks.subject(arch, batch, own.seed, own.fan_in))


def naswot_pairs(s: Subject) -> dict[str, float]:
    units = torch.cat(codes.codes(s), 1).numpy()
    alike = np.array([[(a == b).sum() for b in units] for a in units], float)
    return {"naswot": float(np.log(np.linalg.eigvalsh(alike).clip(1e-5)).sum())}


def swap_set(s: Subject) -> dict[str, float]:
    return {"swap": float(len({unit.tobytes() for unit in torch.cat(codes.codes(s), 1).numpy().T}))}


def jacov_by_class(s: Subject) -> dict[str, float]:
    images = s.batch.images.detach().contiguous().requires_grad_()
    logits = s.logits(images)
    each = [torch.autograd.grad(logits[:, c].sum(), images, retain_graph=True)[0] for c in range(logits.shape[1])]
    return {"jacov": jacov.judged(torch.stack(each).sum(0).flatten(1).double().numpy())}


def by_loss(s: Subject, part: slice = slice(None)) -> list[torch.Tensor]:
    s.net.zero_grad()
    F.cross_entropy(s.logits(s.batch.images[part].contiguous()), s.batch.labels[part]).backward()
    return [p.grad.clone() for p in gradients.weights(s.net) if p.grad is not None]


def gradient_norm(s: Subject) -> dict[str, float]:
    return {"gradient-norm": sum(math.sqrt(float((g.double() ** 2).sum())) for g in by_loss(s))}


def snip(s: Subject) -> dict[str, float]:
    found = by_loss(s)
    used = [p for p in gradients.weights(s.net) if p.grad is not None]
    return {"snip": sum(float((g * p).abs().sum().detach()) for g, p in zip(found, used, strict=True))}


def zico_by_weight(s: Subject) -> dict[str, float]:
    half = len(s.batch.images) // 2
    both = [by_loss(s, slice(0, half)), by_loss(s, slice(half, 2 * half))]
    total = 0.0
    for pair in zip(*both, strict=True):
        sizes = np.stack([g.abs().flatten().double().numpy() for g in pair])
        ratios = [column.mean() / column.std() for column in sizes.T if column.std() > 0]
        total += math.log(sum(ratios)) if ratios else 0.0
    return {"zico": total}


def az_by_parts(s: Subject) -> dict[str, float]:
    each = az_nas.entropies(az_nas.features(s, gradients=False))
    again = az_nas.entropies(az_nas.features(s, gradients=False))
    steps = az_nas.trainability(az_nas.features(s, gradients=True), s.generator())
    growth = min(b - a for a, b in pairwise(again))
    return {"expressivity": sum(each), "progressivity": growth, "trainability": steps, "complexity": s.mflops}


def vkdnw_by_image(s: Subject) -> dict[str, float]:
    s.net.eval().requires_grad_(False)
    layers, ran = {}, dict[str, None]()
    for name, module in s.net.named_modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            layers[name] = module.register_forward_hook(lambda *_, name=name: ran.setdefault(name))
    s.logits()
    for hook in layers.values():
        hook.remove()
    everything: dict[str, torch.Tensor] = dict(s.net.named_parameters())
    places = [f"{name}.weight" for name in ran]
    firsts = {name: everything[name].flatten()[0] for name in places}

    def logits(values: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
        changed = dict(everything)
        for name, value in values.items():
            whole = everything[name].flatten()
            changed[name] = torch.cat([value[None], whole[1:]]).view_as(everything[name])
        return functional_call(s.net, changed, (image[None], s.gates))[0]

    rows = [jacrev(logits)(firsts, image) for image in s.batch.images]
    derivatives = torch.stack([torch.stack([row[name] for name in places], 1) for row in rows])
    return {"vkdnw": len(ran) + vkdnw.spread(vkdnw.fisher(derivatives, s.logits()))}


TWINS: dict[str, Callable[[Subject], dict[str, float]]] = {
    "gradient-norm": gradient_norm, "snip": snip, "zico": zico_by_weight, "jacov": jacov_by_class,
    "naswot": naswot_pairs, "swap": swap_set, "az-nas": az_by_parts, "vkdnw": vkdnw_by_image,
}  # fmt: skip


if __name__ == "__main__":
    main()

"""What is measured of a finished search of `methods.py`: the truth, and what its supernet says."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import torch
from oneshot.benchmarks.scoring.measures import kendall_tau, precision_at, spearman_rho
from oneshot.benchmarks.table import Benchmark
from oneshot.evaluators.supernet import of_run

from oneshot.gates import mixture
from oneshot.methods.architecture import Differentiable
from oneshot.methods.entrannas import EnTranNas
from oneshot.methods.entrannas_dst import EnTranNasDst
from oneshot.methods.hmnas import HmNas
from oneshot.methods.stages import stages
from oneshot.nn.norm import batch_norms
from oneshot.nn.recalibration import NormMode
from oneshot.runs.run import Run
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL
from oneshot.spaces.nasbench201_subsets import SUBSETS
from oneshot.training.validation import validated

TRUTHS = ("cifar10_test_200", "cifar100_test_200", "imagenet16_test_200")
RANKED, NORM, JUDGED = 200, "reset-cumulative-8", 5000
"""The fixed sample; BatchNorm and validation images of what is reported of supernets and children."""


def truth(table: Benchmark, arch: Arch) -> dict[str, Any]:
    values = table.values(TRUTHS[0])
    row = table.row(arch, TRUTHS)
    return {"rank": int((values > row[TRUTHS[0]]).sum()) + 1} | {t.split("_")[0]: row[t] for t in TRUTHS}


def single_of(run: Run, found: Arch) -> Arch:
    """The architecture of NAS-Bench-201 itself: of several operations on an edge the strongest."""
    if run.space is not SUBSETS:
        return found
    method: Any = run.method
    with torch.no_grad():
        strengths = method.coefficients() if isinstance(method, EnTranNasDst) else method.kept()
    return SUBSETS.one_each([vector.tolist() for vector in strengths])


def ranks(run: Run, table: Benchmark) -> dict[str, float]:
    """How the supernet ranks a fixed sample: random cells with something into every node."""
    rng, chosen = np.random.default_rng(1), dict[Arch, None]()
    while len(chosen) < RANKED:
        arch = tuple(rng.integers(5, size=6).tolist())
        operations = ALL.operations(arch)
        if all(any(operations[edge] != ALL.zero for edge in node) for node in SUBSETS.nodes):
            chosen[arch] = None
    archs = list(chosen)
    asked = [SUBSETS.of_whole(arch) for arch in archs] if run.space is SUBSETS else archs
    said = of_run(run, "reset-cumulative-4", 128, images=500)(asked).accuracy
    true = table.values(TRUTHS[0])[table.rows_of(archs)]
    return {
        "tau": kendall_tau(said, true), "rho": spearman_rho(said, true), "precision5": precision_at(said, true, 0.05),
        "mean_predicted": float(said.mean()),
    }  # fmt: skip


def accuracies(run: Run, found: Arch, mean: float) -> dict[str, float]:
    """Of the supernet as it searches, on average over single paths where it has no other; and of what was found."""
    valid, method = run.valid.subset(slice(0, JUDGED)), run.method
    if isinstance(method, HmNas):
        supernet, searched, *_ = rows = stages(method, run.net, valid)
        kept = {"reduction": searched.reduction, "searched": searched.accuracy}
        return {"supernet": supernet.accuracy, "child": rows[-1].accuracy, **kept}
    child = accuracy(run, run.space.gates(found), valid)
    if not isinstance(method, Differentiable):
        return {"supernet": mean, "child": child}
    with torch.no_grad():
        gates = method.gates() if isinstance(method, EnTranNas) else mixture(run.space, method.probabilities())
    return {"supernet": accuracy(run, gates, valid), "child": child}


@torch.no_grad()
def accuracy(run: Run, gates: Any, valid: Any) -> float:
    """In percent, with BatchNorm recalibrated."""
    net, mode = copy.deepcopy(run.net), NormMode.parse(NORM)
    images, size = mode.images(run.train, 256)
    mode.start(net, batch_norms(net))
    for x, _ in images.batches(size):
        net(x, gates)
    return validated(net, gates, valid)[0]

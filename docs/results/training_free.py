"""Training-free scores against the real tables: scores, gathers and compares; continues after any stop.

    ONESHOT_DATA=data python docs/results/training_free.py runs/training-free

Each step is a command of `oneshot`, printed before it runs. What they left is written beside this file. The published
rows of the parts of AZ-NAS and VKDNW were taken in one pass an architecture by the library's own functions instead.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.score import score_all
from oneshot.benchmarks.table import find_table
from oneshot.evaluators.training_free.subject import small
from scipy.stats import rankdata

from oneshot.base.files import replacing
from oneshot.base.progress import Progress
from oneshot.nn.counting import counted
from oneshot.registry import EVALUATORS, SPACES, skeleton_of

SAMPLES = {"nasbench201": 1000, "nasbench101": 500}
TRUTH = {"nasbench201": "cifar10_test_200", "nasbench101": None}
MEASURED = ("kendall_tau", "spearman_rho", "precision_at_5", "improvement_at_10")
COUNTED = "live-parameters"
FOUND = Path(__file__).with_suffix(".parquet")


def main() -> None:
    to = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    to.add_argument("folder", type=Path)
    to.add_argument("--spaces", nargs="+", default=list(SAMPLES), choices=list(SAMPLES))
    to.add_argument("--scores", nargs="+", default=list(EVALUATORS), choices=list(EVALUATORS))
    args = to.parse_args()
    args.folder.mkdir(parents=True, exist_ok=True)
    for space in args.spaces:
        for name in args.scores:
            predicted(args.folder, space, name)
    gather(args.folder)
    for space, found in pd.read_parquet(FOUND).groupby("space", sort=False):
        print(table(str(space), found.dropna(axis="columns", how="all")))


def predicted(folder: Path, space: str, name: str) -> None:
    """The scores of a space's sample, in a file of their own."""
    out = folder / f"{space}-{name}.parquet"
    if out.exists():
        return
    words = f"predict --evaluator {name} --space {space} --sample {SAMPLES[space]} --threads 1"
    command = ["oneshot", *words.split(), "--store", str(folder / "scores.sqlite"), "--out", str(out), "--show", "0"]
    print("$", shlex.join(command), flush=True)
    done = subprocess.run([sys.executable, "-m", *command], env={**os.environ, "OMP_NUM_THREADS": "1"}, check=False)
    if done.returncode:
        raise SystemExit(f"it failed with exit code {done.returncode}; the same command continues")


def gather(folder: Path) -> None:
    """A row an architecture of each space, a column a score, and the parameters that the small networks use."""
    parts = []
    for space in SAMPLES:
        files = {name: folder / f"{space}-{name}.parquet" for name in EVALUATORS}
        columns = {name: pd.read_parquet(file).set_index("arch").score for name, file in files.items() if file.exists()}
        if columns:
            found = pd.DataFrame(columns)
            found[COUNTED] = _kept(folder / f"{space}-{COUNTED}.parquet", space, list(found.index))
            parts.append(found.reset_index(names="arch").assign(space=space))
    with replacing(FOUND) as temporary:
        pd.concat(parts).to_parquet(temporary, index=False)


def _kept(file: Path, space: str, archs: Sequence[str]) -> pd.Series:
    """The live parameters, counted once."""
    if not file.exists():
        rows = pd.DataFrame({"arch": archs, COUNTED: live_parameters(space, archs)})
        with replacing(file) as temporary:
            rows.to_parquet(temporary, index=False)
    kept = pd.read_parquet(file)
    return pd.Series(kept[COUNTED].to_numpy(), kept["arch"])


def live_parameters(name: str, archs: Sequence[str]) -> list[int]:
    """Of the networks that are scored, without what lies on no path from input to output."""
    space, settings, found = SPACES[name], skeleton_of(name)(**small(name)), list[int]()
    with Progress("count", len(archs), "architectures") as progress:
        for text in archs:
            alone = space.only(space.parse(text))
            net = settings.make(alone, 10, True)
            found.append(counted(net, alone.gates((0,) * len(alone.decisions)), 8).params)
            progress.advance()
    return found


def table(space: str, found: pd.DataFrame) -> str:
    """Markdown: each score alone, and its ranks averaged with live parameters' (tau); of isomorphic cells the first."""
    known = find_table(space)
    _, first = np.unique(known.rows_of([known.space.parse(text) for text in found.arch]), return_index=True)
    found = found.iloc[np.sort(first)]
    names = [COUNTED, *(name for name in EVALUATORS if name in found)]
    ranks = {name: rankdata(found[name]) for name in names}
    archs = found.arch.tolist()
    alone = [Predicted(archs, found[name].to_numpy(), space, {"quantity": name}, name) for name in names]
    fused = [Predicted(archs, ranks[name] + ranks[COUNTED], space, {"quantity": name}, f"{name} +") for name in names]
    reports = score_all([*alone, *fused], known, truth=TRUTH[space], baselines=False)
    rows = [f"| {space}, {len(found):,} | tau | rho | precision@5% | improvement at 10 | tau with live parameters |"]
    rows.append("|---" * 6 + "|")
    for name, one, both in zip(names, reports[: len(names)], reports[len(names) :], strict=True):
        values = [one.method.measures[measure] for measure in MEASURED]
        low, high = one.method.intervals["kendall_tau"]
        tau = f"{values[0]:.3f} ({low:.3f} to {high:.3f})"
        rest = " | ".join(f"{value:.3f}" for value in values[1:])
        rows.append(f"| {name} | {tau} | {rest} | {both.method.measures['kendall_tau']:.3f} |")
    return "\n".join(rows)


if __name__ == "__main__":
    main()

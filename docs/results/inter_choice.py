"""The study of inter-choice dependent weights on real CIFAR-10: trains, predicts and gathers; continues after any stop.

    ONESHOT_DATA=data python docs/results/inter_choice.py runs/inter-choice --spaces conv

Each step is a command of `oneshot`, printed before it runs. What they left, these and those of earlier calls for the
same folder, is written beside this file.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

SIZE = "--preset standalone --image-size 16 --channels 8 --cells 1 --split half"
SGD = "--epochs 20 --batch-size 64 --learning-rate .05 --shift 2"
MUON = (
    "--epochs 12 --batch-size 32 --optimizer muon --momentum .95 --nesterov true --learning-rate .01 "
    "--weight-decay 1e-4 --shift 1"
)
SAMPLE = "--sample 1000 --seed 1 --images 2000"
PROTOCOLS = {"all": (12, MUON, SAMPLE), "no-zero": (12, MUON, SAMPLE), "conv": (20, SGD, "--all --images 5000")}
"""Of a space: epochs, recipe, and which architectures are predicted on how many images."""
CONTEXTS = {
    "baseline": "",
    "bias-1": "--context bias --depth 1",
    "bias-2": "--context bias --depth 2",
    "bias-3": "--context bias --depth 3",
    **{f"split-{share}": f"--context split --split-epoch {{{share}}}" for share in (50, 70, 80)},
}
OTHER_SAMPLERS = {
    f"{name} {sampler}": f"{CONTEXTS[name]} --sampler {sampler}"
    for name, sampler in itertools.product(("baseline", "bias-1"), ("fair", "balanced"))
}
VARIANTS = {**CONTEXTS, **OTHER_SAMPLERS}
FOUND = Path(__file__).with_suffix(".parquet")


@dataclass(frozen=True)
class One:
    """One training of the study."""

    space: str
    variant: str
    seed: int

    def folder(self, root: Path) -> Path:
        return root / f"{self.space}-{self.variant.replace(' ', '-')}-{self.seed}"

    def predictions(self, root: Path) -> Path:
        return Path(f"{self.folder(root)}.parquet")

    def commands(self, root: Path) -> Iterator[str]:
        run, out = self.folder(root), self.predictions(root)
        name = "nasbench201" if self.space == "all" else f"nasbench201-{self.space}"
        epochs, recipe, asked = PROTOCOLS[self.space]
        own = re.sub(r"{(\d+)}", lambda share: str(epochs * int(share[1]) // 100), VARIANTS[self.variant])
        yield f"train --space {name} {SIZE} {recipe} {own} --seed {self.seed} --threads 1 --out {run}"
        yield f"predict {run} {asked} --batch-norm reset-cumulative-8 --threads 1 --out {out}"

    def work(self, root: Path) -> None:
        if self.predictions(root).exists():
            return
        for command in self.commands(root):
            words = [word for word in shlex.split(command) if word]
            print("oneshot", shlex.join(words), flush=True)
            with open(f"{self.folder(root)}.log", "a") as log:
                subprocess.run([sys.executable, "-m", "oneshot", *words], check=True, stdout=log, stderr=log)

    def gathered(self, root: Path) -> pd.DataFrame:
        """A row for each architecture."""
        run = self.folder(root)
        frame = pd.read_parquet(self.predictions(root), columns=["arch", "accuracy", "loss"])
        *_, last = (run / "metrics.jsonl").read_text().splitlines()
        frame.insert(0, "seconds", np.float32(json.loads(last)["seconds"]))
        for name in ("seed", "variant", "space"):
            frame.insert(0, name, getattr(self, name))
        return frame


def finished(root: Path) -> list[One]:
    seeds = sorted({int(path.stem.rpartition("-")[2]) for path in root.glob("*-*.parquet")})
    each = (One(*one) for one in itertools.product(PROTOCOLS, VARIANTS, seeds))
    return [one for one in each if one.predictions(root).exists()]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of the runs")
    parser.add_argument("--spaces", nargs="+", default=["conv"], choices=PROTOCOLS)
    parser.add_argument("--variants", nargs="+", default=list(VARIANTS), choices=VARIANTS)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    asked.root.mkdir(parents=True, exist_ok=True)
    each = itertools.product(asked.seeds, asked.spaces, asked.variants)
    # in `conv` all architectures have their convolutions on a live path: balanced would be uniform
    every = [One(space, name, seed) for seed, space, name in each if space != "conv" or "balanced" not in name]
    with ThreadPoolExecutor(asked.workers) as pool:
        list(pool.map(lambda one: one.work(asked.root), every))
    found = finished(asked.root)
    frame = pd.concat([one.gathered(asked.root) for one in found], ignore_index=True)
    frame.astype({"accuracy": "float32", "loss": "float32"}).to_parquet(FOUND, compression="zstd")
    print(f"{FOUND}: {len(found)} trainings, {len(frame)} predictions")


if __name__ == "__main__":
    main()

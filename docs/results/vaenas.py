"""The study of VAENAS on the real NAS-Bench-101 table: keeps every repetition, continues after any stop.

    ONESHOT_DATA=data python docs/results/vaenas.py runs/vaenas --parts a c d b e

a  the best of 10 to 300 draws of VAEs that learned the best 1,500 of 6,000 cells, beside random cells
b  the same of a VAE that learned while a supernet was trained (Algorithm 2), on real CIFAR-10
c  evolution that begins with random cells, or with those of each VAE
d  the accuracies of 5,000 draws of each
e  2,000 random models as the supernets of (b) rank them, and one that was trained on random cells

The repetitions stay in the folder that is given; what they come to is written beside this file.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from oneshot.benchmarks.importing.nasbench101 import import_official
from oneshot.benchmarks.table import Benchmark, write
from oneshot.evaluators.table import TableEvaluator
from scipy.optimize import brentq
from scipy.stats import norm

from oneshot.base.files import replacing
from oneshot.base.lookup import find_file
from oneshot.runs.run import learned
from oneshot.samplers.base import Sampler
from oneshot.samplers.best_of import COUNTS, KEPT, TRAINED, best_of, best_quantile, expected_best, trained_vae
from oneshot.samplers.encoding import ByNumbers
from oneshot.samplers.exact_edges import ExactEdges
from oneshot.samplers.vae import Vae, VaeSettings
from oneshot.search.base import Task
from oneshot.search.evolution import Evolution
from oneshot.space import Arch
from oneshot.spaces.nasbench101 import ALL
from oneshot.spaces.nasbench101_batch import draw_models, models
from oneshot.spaces.nasbench101_shares import graphs_of, model_shares

ENCODING = ExactEdges(ALL)
NOISES = {"vae, noise 0": 0.0, "vae, noise 0.1": 0.1, "vae, noise 0.5": 0.5}
"""Standard deviations in points of accuracy."""
RANDOM = "random"
DRAWS = 5000
"""Of each sampler; 16 times the best of 300."""
BINS = np.append(0, np.arange(800, 945)) / 10
MODELS = 2000
SETTINGS = {"keep": KEPT / TRAINED, "hidden": 32, "iterations": 1000, "batch_size": 64, "learning_rate": 2e-3}
RECIPE = "--preset vaenas-narrow --channels 8 --epochs 30"
SUPERNETS = {"vaenas": "--samples 96 --increment .033", "uniform": "--sampler exact-edges"}
PREDICTED = "--batch-norm reset-cumulative-2 --images 2000"
HERE = Path(__file__).parent


@dataclass(frozen=True)
class Study:
    """Every result is a file of `root`, made once."""

    root: Path

    @cached_property
    def table(self) -> Benchmark:
        path = self.root / "nasbench101.parquet"
        if not path.exists():
            self.root.mkdir(parents=True, exist_ok=True)
            import_official(find_file("nasbench101", ".parquet"), path)
        return Benchmark.open(path, ALL)

    @cached_property
    def truth(self) -> TableEvaluator:
        return TableEvaluator(self.table)

    def accuracies(self, archs: list[Arch]) -> np.ndarray:
        """The table's test accuracies in percent, means over three trainings; it has no others."""
        return 100 * self.table.values(self.truth.truth)[self.table.rows_of(archs)]

    def sampler(self, source: str, repetition: int) -> Sampler:
        """Random cells, or what a VAE has learned."""
        if source == RANDOM:
            return ByNumbers(ENCODING)
        if source not in NOISES:
            return learned(self.run(source, repetition))
        path = self._path("vae", source, repetition, "safetensors")
        if not path.exists():
            begun, rng = time.process_time(), np.random.default_rng(repetition)
            settings = VaeSettings(**SETTINGS, seed=repetition)
            trained_vae(ENCODING, self.accuracies, rng, NOISES[source], settings).save(path)
            print(f"{path}: {time.process_time() - begun:.0f} s", flush=True)
        return Vae.load(path, ENCODING)

    def draws(self, source: str, repetition: int) -> np.ndarray:
        """The accuracies of 5,000 draws."""
        path = self._path("draws", source, repetition, "npy")
        if not path.exists():
            archs = self.sampler(source, repetition).draw(DRAWS, np.random.default_rng((1, repetition)))
            with replacing(path) as temporary, open(temporary, "wb") as file:
                np.save(file, self.accuracies(archs).astype(np.float32))
        return np.load(path)

    def evolution(self, source: str, repetition: int) -> list[float]:
        """The best accuracy after each generation of 50."""
        path = self._path("evolution", source, repetition, "json")
        if not path.exists():
            task = Task(self.truth)
            Evolution()(
                task, ByNumbers(ENCODING), np.random.default_rng((2, repetition)), self.sampler(source, repetition)
            )
            found = pd.DataFrame({"generation": c.generation, "accuracy": c.predicted} for c in task.found)
            best = found.groupby("generation").accuracy.max().cummax()
            with replacing(path) as temporary:
                temporary.write_text(json.dumps(best.tolist()))
        return json.loads(path.read_text())

    def run(self, source: str, seed: int) -> Path:
        """The folder of a trained supernet."""
        run = self.root / f"{source.replace(' ', '-')}-{seed}"
        done = run.with_suffix(".done")
        if not done.exists():
            oneshot(f"train {RECIPE} {SUPERNETS[source]} --seed {seed} --threads 1 --out {run}", run)
            done.touch()
        return run

    def predictions(self, source: str, seed: int, chosen: list[str]) -> dict[str, np.ndarray]:
        """What the supernet says of these architectures, each on a scale on which more is better."""
        run, asked = self.run(source, seed), self.root / "models.txt"
        asked.write_text("\n".join(chosen))
        out = run.with_suffix(".parquet")
        if not out.exists():
            oneshot(f"predict {run} --from {asked} {PREDICTED} --threads 1 --out {out}", run)
        frame = pd.read_parquet(out).set_index("arch").loc[chosen]
        name = f"{source} {seed}"
        return {name: frame.accuracy.to_numpy(), f"{name} by loss": -frame.loss.to_numpy()}

    def _path(self, kind: str, source: str, repetition: int, suffix: str) -> Path:
        folder = self.root / kind
        folder.mkdir(parents=True, exist_ok=True)
        return folder / f"{source.replace(', ', '-').replace(' ', '-')}-{repetition}.{suffix}"


def oneshot(command: str, run: Path) -> None:
    """A command, which itself continues what was stopped."""
    print("oneshot", command, flush=True)
    with open(f"{run}.log", "a") as log:
        subprocess.run([sys.executable, "-m", "oneshot", *shlex.split(command)], check=True, stdout=log, stderr=log)


Row = tuple[str, str, int, float, float]  # what, of which sampler, in which repetition, at, value


def exact(study: Study) -> Iterator[Row]:
    """The best of random cells without any drawing, for three ways to draw them; and of what a VAE learns from."""
    by_hash = np.argsort(models().hashes())  # the order of the table
    values = np.empty(len(models()))
    values[by_hash] = 100 * study.table.values(study.truth.truth)
    nine = model_shares(graphs_of(9))
    ways = {"models": np.full(len(values), 1 / len(values)), "matrices": model_shares(graphs_of()), RANDOM: nine}
    for source, noise in NOISES.items():
        ways[f"learned from, {source}"] = nine * _kept(values, nine, noise)
    for source, shares in ways.items():
        yield "models", source, 0, 0, (shares > 0).sum()
        yield "most frequent", source, 0, 100, np.sort(shares)[-100:].sum() / shares.sum()
        for what, best in {
            "expected": expected_best(values, shares),
            "low": best_quantile(values, shares, 0.025),
            "high": best_quantile(values, shares, 0.975),
        }.items():
            yield from ((what, source, 0, count, value) for count, value in zip(COUNTS, best, strict=True))


def _kept(values: np.ndarray, shares: np.ndarray, noise: float) -> np.ndarray:
    """The chance of each model, once drawn, to be among those that a VAE learns from."""

    def above(threshold: float) -> np.ndarray:
        return norm.sf((threshold - values) / noise) if noise else values >= threshold

    return above(brentq(lambda t: shares @ above(t) - KEPT / TRAINED, 80.0, 95.0, xtol=1e-6))  # pyright: ignore


def best(study: Study, source: str, repetitions: list[int]) -> Iterator[Row]:
    for repetition in repetitions:
        yield from best_in(study.draws(source, repetition), source, repetition)


def best_in(draws: np.ndarray, source: str, repetition: int) -> Iterator[Row]:
    """The best of so many draws, as often as there are draws for."""
    blocks = draws[: DRAWS // max(COUNTS) * max(COUNTS)].reshape(-1, max(COUNTS))
    for row in best_of(blocks):
        yield from (("best", source, repetition, count, value) for count, value in zip(COUNTS, row, strict=True))


def density(study: Study, source: str, repetitions: list[int]) -> Iterator[Row]:
    """The share of draws from each tenth of a point on; the first holds all below 80%."""
    draws = np.concatenate([study.draws(source, repetition) for repetition in repetitions])
    shares = np.histogram(draws, BINS)[0] / len(draws)
    yield from (("density", source, 0, start, share) for start, share in zip(BINS[:-1], shares, strict=True))


def evolved(study: Study, source: str, repetitions: list[int]) -> Iterator[Row]:
    size = Evolution().population
    for repetition in repetitions:
        for generation, value in enumerate(study.evolution(source, repetition), 1):
            yield "evolution", source, repetition, size * generation, value


def ranked(study: Study, seeds: dict[str, list[int]]) -> None:
    """A table of the random models, with the truth and what every supernet says."""
    archs = list(dict.fromkeys(draw_models(MODELS + 100, np.random.default_rng(0))))[:MODELS]
    strings = [ALL.format(arch) for arch in archs]
    columns = {"test_accuracy_108": study.accuracies(archs)}
    for source, each in seeds.items():
        for seed in each:
            columns |= study.predictions(source, seed, strings)
    protocol = {
        "train": {name: f"{RECIPE} {own}" for name, own in SUPERNETS.items()},
        "predict": PREDICTED,
        "models": "uniform over all models, each once",
    }
    metadata = {"truth": "test_accuracy_108", "protocol": protocol}
    write(HERE / "vaenas-supernets.parquet", archs, columns, ALL, metadata)
    keep(afterwards(study, archs, columns))


def afterwards(study: Study, archs: list[Arch], columns: dict[str, np.ndarray]) -> Iterator[Row]:
    """The best of VAEs that learned the best quarter of the random models, by the truth or by a supernet."""
    for name, accuracies in columns.items():
        for seed in range(3):
            vae = Vae(ENCODING, VaeSettings(**SETTINGS, seed=seed))
            vae.learn(archs, accuracies)
            draws = study.accuracies(vae.draw(DRAWS, np.random.default_rng((1, seed))))
            yield from best_in(draws, f"models by {name}", seed)


def keep(rows: Iterable[Row]) -> None:
    """Beside this script, in place of what was there of the same samplers; the rest stays."""
    names = ["what", "sampler", "repetition", "at", "value"]
    path, frame = HERE / "vaenas.parquet", pd.DataFrame(list(rows), columns=names)
    if path.exists():
        old = pd.read_parquet(path).astype({"what": str, "sampler": str})
        new = set(zip(frame.what, frame.sampler, strict=True))
        stays = [pair not in new for pair in zip(old.what, old.sampler, strict=True)]
        frame = pd.concat([old.loc[stays], frame], ignore_index=True)
    kinds = {"what": "category", "sampler": "category", "repetition": "int16", "at": "float32", "value": "float32"}
    with replacing(path) as temporary:
        frame.sort_values(by=names[:2], kind="stable").astype(kinds).to_parquet(
            temporary, compression="zstd", index=False
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("root", type=Path, help="folder of the repetitions")
    parser.add_argument("--parts", nargs="+", default=list("acd"), choices=list("abcde"))
    parser.add_argument("--repetitions", type=int, default=20)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="of the supernets of (b) and (e)")
    parser.add_argument("--control", nargs="*", type=int, default=[0], help="seeds of that on random cells, of (e)")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    study, each = Study(asked.root), list(range(asked.repetitions))
    for part, make in {"a": best, "c": evolved, "d": density}.items():
        for source in (RANDOM, *NOISES) if part in asked.parts else ():
            keep(make(study, source, each))
        if "b" in asked.parts:
            keep(make(study, "vaenas", asked.seeds))
    if "a" in asked.parts:
        keep(exact(study))
    if "e" in asked.parts:
        ranked(study, {"vaenas": asked.seeds, "uniform": asked.control})


if __name__ == "__main__":
    main()

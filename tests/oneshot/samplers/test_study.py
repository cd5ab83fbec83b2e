"""The best of so many draws, in closed form and on the real table."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oneshot.samplers.encoding import ByNumbers, Independent
from oneshot.samplers.exact_edges import encoding_of
from oneshot.samplers.study import best_of, trained_vae
from oneshot.samplers.uniform import Uniform
from oneshot.samplers.vae import VaeSettings
from oneshot.space import Arch
from oneshot.spaces.nasbench101 import ALL
from oneshot.spaces.sequential import sequential

SPACE = sequential("chain", "abcd", 6)
SETTINGS = VaeSettings(keep=0.25, iterations=100, hidden=16, latent=2, learning_rate=0.02)


def digits(archs: list[Arch]) -> np.ndarray:
    """The architecture as a number in [0, 1) to base 4, so that uniform sampling is uniform there."""
    return np.array(archs) @ 0.25 ** np.arange(1, 7)


def test_the_best_of_uniform_draws_is_n_by_n_plus_1() -> None:
    best = best_of(Uniform(SPACE), digits, np.random.default_rng(0), (1, 4, 9), repetitions=3_000)
    assert best.shape == (3_000, 3)
    assert (np.diff(best, axis=1) >= 0).all()
    assert best.mean(axis=0) == pytest.approx([1 / 2, 4 / 5, 9 / 10], abs=0.02)


def test_a_repetition_has_draws_of_its_own() -> None:
    archs = Uniform(SPACE).draw(12, np.random.default_rng(1))
    best = best_of(Uniform(SPACE), digits, np.random.default_rng(1), (2, 4), repetitions=3)
    values = digits(archs)
    assert best.tolist() == [[max(values[i : i + 2]), max(values[i : i + 4])] for i in (0, 4, 8)]
    for counts, repetitions in (((), 1), ((0, 3), 1), ((3,), 0)):
        with pytest.raises(ValueError, match="counts and repetitions of at least 1"):
            best_of(Uniform(SPACE), digits, np.random.default_rng(0), counts, repetitions)


def test_a_vae_of_the_best_draws_better_and_noise_takes_that_away() -> None:
    means = []
    for noise in (0.0, 100.0):
        rng = np.random.default_rng(2)
        vae = trained_vae(Independent(SPACE), digits, rng, noise, SETTINGS, n=800)
        means.append(digits(vae.draw(1_000, rng)).mean())
    assert means[0] > 0.8  # the best quarter are those from 0.75 on
    assert means[1] == pytest.approx(0.5, abs=0.08)


@pytest.mark.slow
def test_it_draws_better_cells_of_nasbench101() -> None:
    if "ONESHOT_DATA" not in os.environ:
        pytest.skip("ONESHOT_DATA is not set: nasbench101.parquet is the table")
    import pandas as pd

    columns = ["hash", "test_accuracy_108"]
    path = Path(os.environ["ONESHOT_DATA"]) / "nasbench101.parquet"
    known = pd.read_parquet(path, columns=columns).set_index(columns[0])[columns[1]]

    def accuracies(archs: list[Arch]) -> np.ndarray:
        return 100 * known.loc[[ALL.graph_hash(arch) for arch in archs]].to_numpy()

    encoding, rng = encoding_of(ALL), np.random.default_rng(0)
    settings = replace(SETTINGS, iterations=200, hidden=32, latent=8, learning_rate=5e-3)
    vae = trained_vae(encoding, accuracies, rng, settings=settings, n=2_000)
    learned, random = (accuracies(sampler.draw(500, rng)) for sampler in (vae, ByNumbers(encoding)))
    assert np.median(learned) > np.median(random) + 1
    assert random.mean() == pytest.approx(89.0, abs=0.8)

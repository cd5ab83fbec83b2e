"""The best of so many draws, in closed form and on the real table."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from oneshot.samplers.best_of import best_of, best_quantile, expected_best, trained_vae
from oneshot.samplers.encoding import ByNumbers, Independent, encoding_of
from oneshot.samplers.vae import VaeSettings
from oneshot.space import Arch
from oneshot.spaces.nasbench101 import ALL
from oneshot.spaces.sequential import sequential

SPACE = sequential("chain", "abcd", 6)
SETTINGS = VaeSettings(keep=0.25, iterations=100, hidden=16, latent=2, learning_rate=0.02)


def digits(archs: list[Arch]) -> np.ndarray:
    """The architecture as a number in [0, 1) to base 4: uniform there, if architectures are."""
    return np.array(archs) @ 0.25 ** np.arange(1, 7)


def test_the_best_of_uniform_draws_is_n_by_n_plus_1() -> None:
    values = np.random.default_rng(0).random((3_000, 10))
    best = best_of(values, (1, 4, 9))
    assert best.shape == (3_000, 3)
    assert best.mean(axis=0) == pytest.approx([1 / 2, 4 / 5, 9 / 10], abs=0.02)
    assert best[7].tolist() == [values[7, 0], values[7, :4].max(), values[7, :9].max()]
    for counts in ((), (0, 3), (11,)):
        with pytest.raises(ValueError, match="counts from 1 to the 10 draws"):
            best_of(values, counts)


def test_the_best_in_closed_form() -> None:
    """A fair coin has heads among k throws but for 2^-k; a die of unequal chances is thrown."""
    coin = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    assert expected_best(*coin, (1, 2, 10)) == pytest.approx([1 / 2, 3 / 4, 1 - 2**-10])
    assert best_quantile(*coin, 0.25, (1, 2, 3)).tolist() == [0, 0, 1]
    faces, chances = np.arange(1.0, 7), np.array([6, 5, 4, 3, 2, 1]) / 21
    best = best_of(np.random.default_rng(1).choice(faces, (20_000, 5), p=chances), (1, 2, 5))
    assert expected_best(faces, chances, (1, 2, 5)) == pytest.approx(best.mean(axis=0), abs=0.05)
    assert best_quantile(faces, chances, 0.9, (1, 2, 5)).tolist() == np.quantile(best, 0.9, axis=0).tolist()


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

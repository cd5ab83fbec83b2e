"""The samplers of VAENAS: a VAE that learns while the supernet trains, behind uniform draws or alone."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from oneshot.base.bounds import COUNT, check_least, check_most
from oneshot.samplers.base import Plan, Sampler
from oneshot.samplers.encoding import ByNumbers, encoding_of
from oneshot.samplers.mixture import Mixture
from oneshot.samplers.taught import Taught
from oneshot.samplers.vae import Vae, VaeSettings
from oneshot.space import Space


@dataclass(frozen=True)
class VaenasSettings:
    """Equation 5: more and more paths from a VAE of the best architectures (VAENAS, Algorithm 2).

    Args:
        every: epochs between two trainings of the VAE (n_vae; the paper gives no figures)
        samples: architectures that are evaluated for each (N_s)
        keep: share of them, best first, that it learns from (K; half in Fig. 1)
        iterations: steps of each training of the VAE (n_iters^vae)
        increment: how much epsilon, the share of paths that the VAE draws, grows with every epoch (epsilon_inc)
        most: the largest epsilon
    """

    every: int = 10
    samples: int = 200
    keep: float = 0.5
    iterations: int = 500
    increment: float = 0.004
    most: float = 1.0

    def __post_init__(self) -> None:
        check_least(self, every=1, samples=1, increment=0)
        check_most(self, samples=COUNT)
        VaeSettings(keep=self.keep, iterations=self.iterations)
        if not 0 <= self.most <= 1:
            raise ValueError(f"the largest epsilon must be from 0 to 1, got {self.most}")

    def make(self, space: Space, seed: int = 0) -> Sampler:
        encoding = encoding_of(space)
        vae = Vae(encoding, VaeSettings(keep=self.keep, iterations=self.iterations, seed=seed))
        vae.kept(self.samples)
        return Mixture(ByNumbers(encoding), vae, self.increment, self.most, Plan(self.every, self.samples))

    @staticmethod
    def load(path: str | Path, space: Space) -> Sampler:
        """What a run has learned, from the file that it left."""
        return Vae.load(path, encoding_of(space))


@dataclass(frozen=True)
class VaeOnlySettings:
    """All paths from a VAE, which learns from uniform architectures (equation 6; VAENAS, Algorithm 3).

    Args:
        every: epochs between two trainings of the VAE (n_vae; the paper gives no figures)
        samples: architectures that are evaluated for each (N_s), drawn uniformly
        keep: share of them, best first, that it learns from (K; half in Fig. 1)
        iterations: steps of each training of the VAE (n_iters^vae)
    """

    every: int = 1
    samples: int = 64
    keep: float = 0.5
    iterations: int = 100

    def __post_init__(self) -> None:
        check_least(self, every=1, samples=1)
        VaeSettings(keep=self.keep, iterations=self.iterations)

    def make(self, space: Space, seed: int = 0) -> Sampler:
        encoding = encoding_of(space)
        vae = Vae(encoding, VaeSettings(keep=self.keep, iterations=self.iterations, seed=seed))
        vae.kept(self.samples)
        return Taught(vae, ByNumbers(encoding), Plan(self.every, self.samples))

    @staticmethod
    def load(path: str | Path, space: Space) -> Sampler:
        """What a run has learned, from the file that it left."""
        return Vae.load(path, encoding_of(space))

"""The sampler that learns (VAENAS, section 3.2): a variational auto-encoder of good architectures.

Shapes: N architectures, D decisions, O options at most, H hidden units, Z latent.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
import torch.nn.functional as F
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as save_safetensors
from torch import Tensor, nn

from oneshot.base.bounds import COUNT, WIDTH, check_least, check_most
from oneshot.base.files import replacing
from oneshot.base.settings import made
from oneshot.base.state import load_optimizer, optimizer_state
from oneshot.samplers.base import Sampler
from oneshot.samplers.encoding import Encoding, allowed
from oneshot.space import Arch, Space

FEWEST = 8
"""No VAE is trained on fewer architectures."""


@dataclass(frozen=True)
class VaeSettings:
    """The VAE and its training. The paper says what share is kept (Fig. 1: half; section 5.3: 1500 of 6000), no more.

    Without a warm-up the divergence drives z out of use on NAS-Bench-101, and all cells come out alike.

    Args:
        keep: share of the architectures, best first, that it learns from (K in Algorithm 1)
        iterations: training steps of one call of `learn` (n_iters in Algorithm 1)
        batch_size: architectures a step
        learning_rate: Adam's
        hidden: units of each LSTM
        latent: dimensions of z
        divergence: weight of the divergence in equation 2, where it is 1
        warmup: share of the iterations over which that weight grows from 0, so that z comes into use
        seed: of the weights, the order of the architectures and the noise
    """

    keep: float = 0.5
    iterations: int = 2000
    batch_size: int = 64
    learning_rate: float = 1e-3
    hidden: int = 64
    latent: int = 16
    divergence: float = 1.0
    warmup: float = 0.5
    seed: int = 0

    def __post_init__(self) -> None:
        check_least(self, iterations=1, batch_size=1, hidden=1, latent=1, seed=0, divergence=0)
        check_most(self, batch_size=COUNT, hidden=WIDTH, latent=WIDTH)
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep must be a share above 0, at most 1, got {self.keep}")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup must be a share from 0 to 1, got {self.warmup}")
        if not 0 < self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be a finite number above 0, got {self.learning_rate}")

    def weight(self, step: int) -> float:
        """Of the divergence, in a step of one call of `learn`."""
        warm = self.warmup * self.iterations
        return self.divergence * (min(1.0, step / warm) if warm else 1.0)


class VaeNet(nn.Module):
    """An LSTM that reads the decisions one after the other, and one that writes them; z is all that it is told.

    So the decisions are independent given z, and what makes a good architecture has to be in it.
    """

    def __init__(self, space: Space, hidden: int, latent: int) -> None:
        super().__init__()
        counts_D1 = torch.tensor([[len(decision.options)] for decision in space.decisions])
        decisions, options = len(counts_D1), int(counts_D1.max())
        self.missing_DO: Tensor
        self.first_D: Tensor
        self.register_buffer("missing_DO", torch.arange(options) >= counts_D1, persistent=False)
        self.register_buffer("first_D", torch.arange(decisions) * options, persistent=False)
        self.embedding = nn.Embedding(decisions * options, hidden)
        self.encoder = nn.LSTM(hidden, hidden, batch_first=True)
        self.moments = nn.Linear(hidden, 2 * latent)
        self.place_DH = nn.Parameter(torch.randn(decisions, hidden))
        self.latent = nn.Linear(latent, hidden)
        self.decoder = nn.LSTM(hidden, hidden, batch_first=True)
        self.options = nn.Linear(hidden, options)

    def encode(self, archs_ND: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance [N, Z] of q(z|a)."""
        _, (last, _) = self.encoder(self.embedding(archs_ND + self.first_D))
        mean, log_variance = self.moments(last[-1]).chunk(2, dim=1)
        return mean, log_variance

    def decode(self, z_NZ: Tensor) -> Tensor:
        """Logits [N, D, O] of p(a|z); minus infinity where a decision has fewer options."""
        hidden_NDH, _ = self.decoder(self.latent(z_NZ)[:, None] + self.place_DH)
        return self.options(hidden_NDH).masked_fill(self.missing_DO, -math.inf)

    def bound(self, archs_ND: Tensor, noise_NZ: Tensor) -> tuple[Tensor, Tensor]:
        """The two terms of equation 2, each [N] in nats: the divergence from the prior, the log-likelihood."""
        mean, log_variance = self.encode(archs_ND)
        logits = self.decode(mean + noise_NZ * (log_variance / 2).exp())
        divergence = 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).sum(dim=1)
        return divergence, -F.cross_entropy(logits.transpose(1, 2), archs_ND, reduction="none").sum(dim=1)


class Vae(Sampler):
    """Draws architectures from p(z) p(a|z); what the space does not allow is drawn again, z included.

    Runs on the CPU, in float32: its numbers are the same wherever the supernet trains.
    """

    def __init__(self, encoding: Encoding, settings: VaeSettings | None = None) -> None:
        self.encoding, self.settings = encoding, settings or VaeSettings()
        self.rounds = 0
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.settings.seed)
            self.net = VaeNet(encoding.space, self.settings.hidden, self.settings.latent)
        self._adam = torch.optim.Adam(self.net.parameters(), self.settings.learning_rate)

    @property
    def space(self) -> Space:
        return self.encoding.space

    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        return allowed(self.space, lambda k: self.encoding.choose(self._chances(k, rng), rng), n)

    def learn(self, archs: Sequence[Arch], accuracies: Sequence[float] | np.ndarray) -> dict[str, float]:
        """Algorithm 1: goes on training, on the best of these alone; returns the last steps' mean bound and its terms.

        Of equal accuracies the first are kept. ValueError where they are all equal or not finite, or too few.
        """
        kept_ND = torch.tensor(self._best(archs, np.asarray(accuracies, np.float64)))
        rng = np.random.default_rng((self.settings.seed, self.rounds))
        size = min(self.settings.batch_size, len(kept_ND))
        order, terms = np.empty(0, np.int64), torch.empty(self.settings.iterations, 2)
        with torch.enable_grad(), torch.autocast("cpu", enabled=False):
            for step in range(self.settings.iterations):
                if len(order) < size:
                    order = rng.permutation(len(kept_ND))
                batch_ND, order = kept_ND[torch.from_numpy(order[:size])], order[size:]
                divergence, likelihood = self.net.bound(batch_ND, _normal(rng, size, self.settings.latent))
                loss = (self.settings.weight(step) * divergence - likelihood).mean()
                self._adam.zero_grad(set_to_none=True)
                loss.backward()
                self._adam.step()
                terms[step] = torch.stack([divergence.mean(), likelihood.mean()]).detach()
        self.rounds += 1
        divergence, likelihood = terms[-max(1, len(terms) // 10) :].mean(dim=0).tolist()
        return {"bound": likelihood - divergence, "divergence": divergence, "log_likelihood": likelihood}

    def learned(self) -> Sampler | None:
        return self if self.rounds else None

    def kept(self, n: int) -> int:
        """How many of `n` architectures it learns from; ValueError where they are too few."""
        kept = round(self.settings.keep * n)
        if kept < FEWEST:
            raise ValueError(
                f"expected at least {FEWEST} architectures to train a VAE on, "
                f"got {kept}: {self.settings.keep:.0%} of {n}"
            )
        return kept

    def state_dict(self) -> dict[str, Tensor]:
        """All that changes by learning, as named tensors."""
        weights = {f"net.{name}": value.detach().clone() for name, value in self.net.state_dict().items()}
        adam = {name: value.clone() for name, value in optimizer_state("adam", self._adam).items()}
        return {**weights, **adam, "rounds": torch.tensor(self.rounds)}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Takes over a state of a VAE of the same space and sizes; ValueError names what does not fit."""
        own = {f"net.{name}": value for name, value in self.net.state_dict().items()} | {"rounds": torch.tensor(0)}
        there = {name: value for name, value in state.items() if not name.startswith("adam.")}
        odd = sorted(own.keys() ^ there.keys())
        odd += [name for name in sorted(own.keys() & there.keys()) if own[name].shape != there[name].shape]
        if odd:
            raise ValueError(f"the state does not fit this VAE: {len(odd)} differences, first {', '.join(odd[:3])}")
        self.net.load_state_dict({name.removeprefix("net."): v for name, v in there.items() if name != "rounds"})
        load_optimizer("adam", self._adam, state)
        self.rounds = int(state["rounds"])

    def save(self, path: str | Path) -> None:
        """One safetensors file, with the settings and the decisions in its metadata."""
        known = {"settings": asdict(self.settings), "decisions": _decisions(self.space)}
        content = save_safetensors(self.state_dict(), {"vae": json.dumps(known)})
        with replacing(Path(path)) as temporary:
            temporary.write_bytes(content)

    @classmethod
    def load(cls, path: str | Path, encoding: Encoding) -> Self:
        """The VAE of a file, to draw from or to go on learning; ValueError where it is another space's, or damaged."""
        try:
            with safe_open(str(path), framework="pt") as file:
                known: dict[str, Any] = json.loads((file.metadata() or {})["vae"])
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            settings, decisions = made(VaeSettings, known["settings"], "the VAE"), known["decisions"]
        except (SafetensorError, KeyError, TypeError, RecursionError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is no file of a VAE, as `Vae.save` writes it: {error!r}") from error
        if decisions != _decisions(encoding.space):
            raise ValueError(
                f"{path} holds a VAE of other decisions than those of {encoding.space.name}: "
                f"{_summary(decisions)} there, {_summary(_decisions(encoding.space))} expected"
            )
        vae = cls(encoding, settings)
        vae.load_state_dict(state)
        return vae

    def _chances(self, n: int, rng: np.random.Generator) -> np.ndarray:
        with torch.no_grad(), torch.autocast("cpu", enabled=False):
            logits_NDO = self.net.decode(_normal(rng, n, self.settings.latent))
            return logits_NDO.softmax(dim=2).double().numpy()

    def _best(self, archs: Sequence[Arch], accuracies: np.ndarray) -> np.ndarray:
        """The kept architectures [N, D]."""
        if accuracies.shape != (len(archs),):
            raise ValueError(f"expected an accuracy for each of {len(archs)} architectures, got {accuracies.shape}")
        kept = self.kept(len(archs))
        if not np.isfinite(accuracies).all():
            wrong = np.flatnonzero(~np.isfinite(accuracies))
            raise ValueError(
                f"expected finite accuracies, got {len(wrong)} that are not: the first is {accuracies[wrong[0]]} "
                f"of {self.space.format(archs[int(wrong[0])])}"
            )
        if accuracies.min() == accuracies.max():
            raise ValueError(f"expected accuracies that rank architectures, got {accuracies[0]:g} for all")
        order = np.argsort(-accuracies, kind="stable")[:kept]
        return np.array([self.space.check(archs[int(i)]) for i in order])


def _normal(rng: np.random.Generator, n: int, latent: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal((n, latent), np.float32))


def _decisions(space: Space) -> list[list[Any]]:
    return [[decision.name, list(decision.options)] for decision in space.decisions]


def _summary(decisions: Any) -> str:
    return f"{len(decisions)} of {sum(len(options) for _, options in decisions)} options in all"

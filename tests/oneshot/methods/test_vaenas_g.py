"""VAENAS-G: whose paths it takes, what both halves of a step learn, and what the VAE is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.methods.base import Setup
from oneshot.methods.single_path import SinglePath
from oneshot.methods.vaenas_g import VaenasG, VaenasGSettings
from oneshot.registry import SAMPLERS
from oneshot.runs.config import configured
from oneshot.samplers.base import Plan, Sampler
from oneshot.samplers.encoding import ByNumbers, Independent
from oneshot.samplers.taught import Taught
from oneshot.samplers.uniform import Uniform
from oneshot.samplers.vae import Vae, VaeSettings
from oneshot.samplers.vaenas import VaeOnlySettings
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL
from oneshot.spaces.sequential import sequential
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.callbacks import OnEpoch
from oneshot.training.feedback import Feedback
from oneshot.training.loop import train
from oneshot.training.step import Step
from oneshot.training.weights import Weights
from tests.oneshot.methods.stepping import PLAIN, Watched, prepared

Few = tuple[Images, Images]
CHAIN = sequential("chain", "abc", 3)


class Known(Sampler):
    """Draws what it was given, again and again."""

    plan = Plan(1, 16)

    def __init__(self, *archs: Arch) -> None:
        self.archs, self.drawn = archs, 0

    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        found = [self.archs[(self.drawn + k) % len(self.archs)] for k in range(n)]
        self.drawn += n
        return found


def test_both_weights_learn_on_the_samplers_paths(few: Few) -> None:
    """Lines 2 to 4; the architecture from held-out images, by two paths of which the first is open."""
    images, held_out = ((part.normalised(part.pixels[:32]), part.labels[:32]) for part in few)
    arch, other = (3, 2, 1, 3, 4, 3), (3, 4, 2, 1, 1, 3)
    net, method = Watched(NasBench201Net(ALL, 4, 1).train()), VaenasG(ALL, Known(arch, other))
    step = prepared(net, method, images, held_out)
    before = [p.detach().clone() for p in net.parameters()]
    method.step(step)
    step.weights.optimizer.param_groups[0]["lr"] = 0.1
    step.finish()
    (first, gates), (second, path) = net.seen
    assert first is held_out[0]
    assert second is images[0]
    assert path == ALL.gates(arch)
    assert [dict((o, float(w)) for o, w in gate) for gate in gates] == [  # pyright: ignore
        {a: 1.0} if a == b else {a: 1.0, b: 0.0} for a, b in zip(arch, other, strict=True)
    ]
    learned = [{i for i, moved in enumerate(alpha.tolist()) if moved} for alpha in method.alphas]
    assert learned == [set() if a == b else {a, b} for a, b in zip(arch, other, strict=True)]
    assert any(not torch.equal(a, b) for a, b in zip(before, net.parameters(), strict=True))


class Mixed(nn.Module):
    """Three numbers are the logits of the options of each site, in float64."""

    def __init__(self) -> None:
        super().__init__()
        self.options = nn.Parameter(torch.randn(3, 3, 4, dtype=torch.float64))

    def forward(self, x: Tensor, gates: Any) -> Tensor:
        parts = [self.options[site, option] * weight for site, gate in enumerate(gates) for option, weight in gate]
        return torch.stack(parts).sum(0).tanh() + x


def test_the_gradient_is_that_of_the_softmax_over_both_paths(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Step, "_cross_entropy", lambda _, logits, labels: nn.functional.cross_entropy(logits, labels))
    net, arch, other = Mixed(), (0, 2, 1), (1, 2, 0)
    method = VaenasG(CHAIN, Known(arch, other)).double()
    with torch.no_grad():
        for alpha in method.alphas:
            alpha.normal_()
    batch = torch.randn(5, 4, dtype=torch.float64), torch.arange(5) % 4
    step = Step(Weights(net, PLAIN), [method.architecture], batch, lambda: batch, (0, 0, 0), 0.0)
    given: list[Tensor] = []
    method.architecture.optimizer.register_step_pre_hook(
        lambda *_: given.extend(p.grad.clone() for p in method.alphas if p.grad is not None)  # pyright: ignore
    )
    soft = [alpha.detach().clone() for alpha in method.alphas]

    def loss(weights: Sequence[Mapping[int, float]]) -> float:
        gates = tuple(tuple(site.items()) for site in weights)
        return float(nn.functional.cross_entropy(net(batch[0], gates), batch[1]))

    for site, (a, b) in enumerate(zip(arch, other, strict=True)):
        expected = torch.zeros(3, dtype=torch.float64)
        if a != b:
            p = float(soft[site][[a, b]].softmax(0)[0])
            slopes = {}
            for option in (a, b):
                sides = []
                for by in (1e-6, -1e-6):
                    weights: list[dict[int, float]] = [
                        {x: 1.0} if x == y else {x: 1.0, y: 0.0} for x, y in zip(arch, other, strict=True)
                    ]
                    weights[site][option] += by
                    sides.append(loss(weights))
                slopes[option] = (sides[0] - sides[1]) / 2e-6
            expected[a] = p * (1 - p) * (slopes[a] - slopes[b])
            expected[b] = -expected[a]
        soft[site] = expected
    method.step(step)
    for gradient, expected in zip(given, soft, strict=True):
        assert torch.allclose(gradient, expected, atol=1e-8)


def peaked() -> Taught:
    """Has learned to draw the first option nearly everywhere."""
    encoding = Independent(CHAIN)
    vae = Vae(encoding, VaeSettings(iterations=200, hidden=16, latent=2, learning_rate=0.02))
    archs = [(0, 0, 0)] * 60 + [(0, 0, 1)] * 4
    vae.learn(archs, np.arange(64.0))
    return Taught(vae, ByNumbers(encoding), Plan(1, 64))


def test_paths_are_the_vaes_and_candidates_uniform() -> None:
    """Lines 2 and 6, by chi-square over all 27 architectures."""
    sampler = peaked()
    paths = sampler.draw(2000, np.random.default_rng(0))
    assert paths == sampler.learner.draw(2000, np.random.default_rng(0))
    assert sum(arch == (0, 0, 0) for arch in paths) > 1500
    told = sampler.candidates(2700, np.random.default_rng(1))
    assert chisquare([told.count(arch) for arch in CHAIN]).pvalue > 0.01


def test_a_vae_that_has_learned_nothing_draws_all_the_same() -> None:
    sampler = VaeOnlySettings(samples=32).make(CHAIN, 0)
    assert sampler.learned() is None
    assert len(set(sampler.draw(500, np.random.default_rng(0)))) > 20


def test_the_vae_is_told_of_uniform_architectures_alone() -> None:
    asked: list[Arch] = []

    def accuracies(archs: Sequence[Arch]) -> np.ndarray:
        asked.extend(archs)
        return np.array([100 * arch.count(2) / 3 for arch in archs])

    sampler = peaked()
    made = Feedback(sampler, accuracies)
    rows = [made.after(epoch, 7) for epoch in range(12)]
    assert chisquare([asked.count(arch) for arch in CHAIN]).pvalue > 0.01
    assert [row["sampler_mean"] for row in rows] == pytest.approx([100 / 3] * 12, abs=9)
    drawn = sampler.draw(300, np.random.default_rng(0))
    assert np.mean([arch.count(2) for arch in drawn]) > 1.25  # 1 in all, 1.59 in the better half; none at first
    again = VaeOnlySettings().make(CHAIN, 0)
    with pytest.raises(ValueError, match="the state does not fit this VAE"):
        again.load_state_dict(sampler.state_dict())


@pytest.mark.parametrize("name", ["vae", "vae-only"])
@pytest.mark.parametrize("kind", ["one-shot", "gradient"])
def test_any_method_takes_any_sampler_that_learns(name: str, kind: str, few: Few) -> None:
    """One seam: what is told between two epochs is the sampler's own affair."""
    settings: Any = replace(SAMPLERS[name](), every=1, samples=16, iterations=5)
    sampler, net = settings.make(ALL, 0), NasBench201Net(ALL, 2, 1)
    method = SinglePath(ALL, sampler) if kind == "one-shot" else VaenasG(ALL, sampler)
    rows: list[Any] = []
    feedback = Feedback(sampler, lambda archs: np.array([float(sum(arch)) for arch in archs]))
    train(
        net, method, *few, replace(PLAIN, epochs=2, batch_size=32), callbacks=[OnEpoch(rows.append)], feedback=feedback
    )
    assert all("sampler_bound" in row for row in rows)
    assert sampler.learned() is not None
    with pytest.raises(ValueError, match="a sampler that learns needs feedback"):
        train(net, method, *few, replace(PLAIN, epochs=2, batch_size=32))


def test_its_sampler_comes_with_it_unless_another_is_chosen() -> None:
    assert configured({"method": "vaenas-g"})[0].sampler.name == "vae-only"
    assert configured({"method": "vaenas-g", "sampler": "vae"})[0].sampler.name == "vae"
    assert configured({"method": "gdas"})[0].sampler.name == "uniform"
    assert configured({"method": "vaenas-g", "every": 3})[0].sampler.given == {"every": 3}


def test_it_derives_the_strongest_option_of_what_was_learned() -> None:
    method = VaenasG(ALL, Known((0,) * 6))
    with torch.no_grad():
        for i, alpha in enumerate(method.alphas):
            alpha[i % 5], alpha[0] = 2.0, 3.0
    assert method.derive() == (1, 1, 2, 3, 4, 1)


def test_samplers_that_do_not_learn_are_refused() -> None:
    with pytest.raises(ValueError, match="sampler must be vae-only or vae, got Uniform"):
        VaenasGSettings().make(Setup(ALL, nn.Linear(1, 1), Uniform(ALL)))
    pair = Known((0,) * 6)
    pair.group = 2
    with pytest.raises(ValueError, match="paths and candidates are drawn one by one, got samplers with groups of 2 "):
        Taught(pair, Known((0,) * 6), Plan(1, 8))


@dataclass(frozen=True)
class Bare(type(CHAIN)):
    encoding = ""


@pytest.mark.parametrize("name", ["vae", "vae-only"])
def test_a_space_without_an_encoding_is_refused_in_one_sentence(name: str) -> None:
    space = Bare("bare", CHAIN.decisions)
    with pytest.raises(ValueError, match="bare has no encoding, by which a sampler that learns writes architectures"):
        SAMPLERS[name]().make(space, 0)

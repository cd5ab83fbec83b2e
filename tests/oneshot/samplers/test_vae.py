"""The VAE: its bound in closed form, what it learns, and that it can be stopped at any time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from oneshot.registry import SPACES
from oneshot.samplers.encoding import Independent, encoding_of
from oneshot.samplers.uniform import Uniform
from oneshot.samplers.vae import Vae, VaeNet, VaeSettings
from oneshot.space import Arch, Decision
from oneshot.spaces.sequential import Sequential, sequential

SPACE = sequential("chain", "abcd", 6)
UNEVEN = Sequential("uneven", tuple(Decision(f"layer {i}", tuple("abc"[:n])) for i, n in enumerate((2, 3, 1))))
SMALL = VaeSettings(iterations=300, hidden=16, latent=2, learning_rate=0.02)
QUICK = replace(SMALL, iterations=20)


def vae(settings: VaeSettings = QUICK) -> Vae:
    return Vae(Independent(SPACE), settings)


def drawn(n: int, seed: int = 0) -> list[Arch]:
    return Uniform(SPACE).draw(n, np.random.default_rng(seed))


def same(one: Vae, other: Vae) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.fixture
def net() -> VaeNet:
    torch.manual_seed(0)
    return VaeNet(UNEVEN, 8, 1)


def test_the_bound_is_equation_2(net: VaeNet) -> None:
    archs = torch.tensor(list(UNEVEN))
    noise = torch.randn(len(archs), 1)
    divergence, likelihood = net.bound(archs, noise)
    mean, log_variance = net.encode(archs)
    posterior = Normal(mean, (log_variance / 2).exp())
    expected = kl_divergence(posterior, Normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(divergence, expected)
    chances = net.decode(mean + noise * posterior.stddev).softmax(dim=2)
    slow = [np.prod([chances[n, d, o].item() for d, o in enumerate(arch)]) for n, arch in enumerate(archs.tolist())]
    torch.testing.assert_close(likelihood, torch.tensor(slow).log(), check_dtype=False)


def test_options_that_a_decision_lacks_have_no_chance(net: VaeNet) -> None:
    chances = net.decode(torch.randn(5, 1)).softmax(dim=2)
    missing = torch.tensor([[False, False, True], [False, False, False], [False, True, True]])
    assert (chances[:, missing] == 0).all()
    assert (chances[:, ~missing] > 0).all()


def test_the_bound_lies_below_the_likelihood_by_the_divergence_from_the_posterior(net: VaeNet) -> None:
    """Equation 2 is log p(a) - KL(q(z|a) || p(z|a)); here all of it by quadrature over a one-dimensional z."""
    archs = torch.tensor(list(UNEVEN))
    z = torch.linspace(-12, 12, 4001)
    step = float(z[1] - z[0])
    with torch.no_grad():
        mean, log_variance = net.encode(archs)
        logits = net.decode(z[:, None]).log_softmax(dim=2)
        given_NZ = logits[:, torch.arange(archs.shape[1]), archs].sum(dim=2).T
        joint_NZ = given_NZ + Normal(0.0, 1.0).log_prob(z)
        evidence_N1 = joint_NZ.exp().sum(dim=1, keepdim=True).mul(step).log()
        q_NZ = Normal(mean, (log_variance / 2).exp()).log_prob(z)
        gap_N = (q_NZ.exp() * (q_NZ - joint_NZ + evidence_N1)).sum(dim=1) * step
        noise = torch.randn(20_000, 1)
        bound_N = torch.stack([bound.mean() for bound in _bounds(net, archs, noise)])
    assert float(evidence_N1.exp().sum()) == pytest.approx(1, abs=1e-4)
    assert (gap_N > 0).all()
    torch.testing.assert_close(bound_N, evidence_N1[:, 0] - gap_N, atol=0.02, rtol=0)


def _bounds(net: VaeNet, archs: torch.Tensor, noise: torch.Tensor) -> list[torch.Tensor]:
    """Equation 2 of each architecture, for every noise."""
    bounds = []
    for arch in archs:
        divergence, likelihood = net.bound(arch.expand(len(noise), -1), noise)
        bounds.append(likelihood - divergence)
    return bounds


def test_an_architecture_is_read_in_order(net: VaeNet) -> None:
    mean, _ = VaeNet(SPACE, 8, 2).encode(torch.tensor([[0, 1, 2, 3, 0, 0], [3, 2, 1, 0, 0, 0]]))
    assert not torch.allclose(mean[0], mean[1])


def test_learns_the_distribution_of_the_best() -> None:
    """Good architectures begin with a or b and end in c; what lies between does not matter."""
    archs = drawn(600)
    good = [float(arch[0] < 2) + float(arch[-1] == 2) for arch in archs]
    made = vae(replace(SMALL, keep=0.12))
    made.learn(archs, good)
    columns = np.array(made.draw(2_000, np.random.default_rng(1))).T
    shares = [np.bincount(column, minlength=4) / 2_000 for column in columns]
    kept = np.array([a for a, g in zip(archs, good, strict=True) if g == 2][:72]).T
    truth = [np.bincount(column, minlength=4) / kept.shape[1] for column in kept]
    assert shares[0][:2].sum() > 0.85
    assert shares[-1][2] > 0.85
    assert np.abs(np.array(shares) - np.array(truth)).max() < 0.15


def test_the_latent_holds_what_decisions_have_in_common() -> None:
    """All a or all b: were z of no use, 2 in 64 draws would be so."""
    archs = [(0,) * 6, (1,) * 6] * 20 + drawn(40)
    made = vae(SMALL)
    report = made.learn(archs, [1.0] * 40 + [0.0] * 40)
    seen = Counter(made.draw(1_000, np.random.default_rng(0)))
    assert seen[(0,) * 6] + seen[(1,) * 6] > 800
    assert min(seen[(0,) * 6], seen[(1,) * 6]) > 300
    assert report["bound"] == pytest.approx(report["log_likelihood"] - report["divergence"])
    assert 3 * np.log(0.5) < report["bound"] < np.log(0.5)  # what two alike need; without z it is 6 log 0.5


def test_only_the_ranking_of_the_best_counts() -> None:
    archs, accuracies = drawn(40), np.random.default_rng(1).permutation(40) / 1.0
    first, cubed, others = vae(), vae(), vae()
    first.learn(archs, accuracies)
    cubed.learn(archs, 10 + accuracies**3)
    assert same(first, cubed)
    replaced = [arch if a >= 20 else (3,) * 6 for arch, a in zip(archs, accuracies, strict=True)]
    others.learn(replaced, accuracies)
    assert same(first, others)


def test_the_seed_decides_everything_and_torchs_own_generator_nothing() -> None:
    before = torch.random.get_rng_state()
    one = vae()
    torch.manual_seed(99)
    other, third = vae(), vae(replace(QUICK, seed=1))
    for made in (one, other, third):
        made.learn(drawn(40), list(range(40)))
    assert same(one, other)
    assert not same(one, third)
    assert one.draw(20, np.random.default_rng(5)) == other.draw(20, np.random.default_rng(5))
    torch.random.set_rng_state(before)
    vae().draw(3, np.random.default_rng(0))
    assert torch.equal(torch.random.get_rng_state(), before)


def test_half_precision_and_disabled_gradients_around_it_change_nothing() -> None:
    outside, inside = vae(), vae()
    outside.learn(drawn(40), list(range(40)))
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        inside.learn(drawn(40), list(range(40)))
        archs = inside.draw(200, np.random.default_rng(5))
    assert same(outside, inside)
    assert archs == outside.draw(200, np.random.default_rng(5))


def test_continues_bit_identically_from_its_file(tmp_path: Path) -> None:
    straight, stopped = vae(), vae()
    for made in (straight, stopped):
        made.learn(drawn(40), list(range(40)))
    stopped.save(tmp_path / "vae.safetensors")
    again = Vae.load(tmp_path / "vae.safetensors", Independent(SPACE))
    assert again.settings == QUICK
    assert again.rounds == 1
    assert same(again, straight)
    for made in (straight, again):
        made.learn(drawn(40, 1), list(range(40)))
    assert same(again, straight)
    assert again.draw(50, np.random.default_rng(2)) == straight.draw(50, np.random.default_rng(2))
    assert [path.name for path in tmp_path.iterdir()] == ["vae.safetensors"]


def test_another_round_is_other_noise() -> None:
    """Were every round seeded alike, a second call would repeat the batches of the first."""
    one, other = vae(), vae()
    one.rounds = 1
    for made in (one, other):
        made.learn(drawn(40), list(range(40)))
    assert not torch.equal(one.net.latent.weight, other.net.latent.weight)


def test_files_of_other_spaces_and_other_things_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "vae.safetensors"
    vae().save(path)
    with pytest.raises(ValueError, match=r"other decisions than those of uneven: 6 of 24 .* there, 3 of 6 .* expected"):
        Vae.load(path, Independent(UNEVEN))
    path.write_bytes(path.read_bytes()[:-8])
    with pytest.raises(ValueError, match="is no file of a VAE"):
        Vae.load(path, Independent(SPACE))
    with pytest.raises(ValueError, match="does not fit this VAE: 1 differences, first rounds"):
        vae().load_state_dict({k: v for k, v in vae().state_dict().items() if k != "rounds"})
    with pytest.raises(ValueError, match=r"does not fit this VAE: .*net.decoder.bias_hh_l0"):
        vae(VaeSettings(hidden=8)).load_state_dict(vae().state_dict())


@pytest.mark.parametrize("name", SPACES)
def test_every_space_is_learned_and_drawn_from(name: str) -> None:
    space = SPACES[name]
    archs = Uniform(space).draw(40, np.random.default_rng(0))
    made = Vae(encoding_of(space), VaeSettings(iterations=3, hidden=8))
    made.learn(archs, list(range(40)))
    found = made.draw(30, np.random.default_rng(1))
    assert all(space.allows(arch) and all(type(i) is int for i in arch) for arch in found)
    if name == "nasbench101":
        assert {sum(arch[:21]) for arch in found} == {9}


@pytest.mark.parametrize(
    ("n", "accuracies", "message"),
    [
        (14, range(14), "at least 8 architectures to train a VAE on, got 7: 50% of 14"),
        (0, [], "got 0: 50% of 0"),
        (40, [0.5] * 40, r"accuracies that rank architectures, got 0\.5 for all"),
        (40, [*range(39), float("nan")], r"got 1 that are not: the first is nan of \w(-\w)+"),
        (40, [float("inf"), *range(39)], "the first is inf"),
        (40, range(39), "an accuracy for each of 40 architectures, got"),
    ],
)
def test_what_cannot_be_learned_from_is_refused(n: int, accuracies: list[float], message: str) -> None:
    made = vae()
    before = vae()
    with pytest.raises(ValueError, match=message):
        made.learn(drawn(n), accuracies)
    assert same(made, before)


def test_architectures_of_another_space_are_refused() -> None:
    with pytest.raises(ValueError, match="is no architecture of chain"):
        vae().learn([(7,) * 6] * 40, list(range(40)))


def test_the_weight_of_the_divergence_grows_over_the_warm_up() -> None:
    settings = VaeSettings(iterations=100, divergence=0.5, warmup=0.4)
    assert [settings.weight(step) for step in (0, 10, 40, 99)] == pytest.approx([0, 0.125, 0.5, 0.5])
    assert replace(settings, warmup=0).weight(0) == 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"warmup": 1.1},
        {"keep": 0},
        {"keep": 1.5},
        {"iterations": 0},
        {"latent": 0},
        {"learning_rate": 0},
        {"divergence": -1},
    ],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        VaeSettings(**wrong)  # pyright: ignore[reportArgumentType]

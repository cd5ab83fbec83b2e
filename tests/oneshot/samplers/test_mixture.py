"""The mixture of Algorithm 2."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from oneshot.samplers.encoding import Independent
from oneshot.samplers.fair import StrictlyFair
from oneshot.samplers.mixture import Mixture
from oneshot.samplers.uniform import Uniform
from oneshot.samplers.vae import Vae, VaeSettings
from oneshot.spaces.sequential import sequential

SPACE = sequential("chain", "abcd", 6)
ZEROS = (0,) * 6


def mixture(increment: float = 0.1, most: float = 1.0) -> Mixture:
    vae = Vae(Independent(SPACE), VaeSettings(iterations=150, hidden=16, latent=2, learning_rate=0.02))
    return Mixture(Uniform(SPACE), vae, increment, most)


def taught(increment: float = 0.1, most: float = 1.0) -> Mixture:
    """One that has learned that all-zero architectures are good."""
    made = mixture(increment, most)
    rng = np.random.default_rng(0)
    made.learn([ZEROS] * 20 + Uniform(SPACE).draw(20, rng), [1.0] * 20 + [0.0] * 20)
    return made


def test_epsilon_grows_by_the_increment_up_to_the_largest() -> None:
    made = mixture(0.25, 0.6)
    made.learner.rounds = 1  # pyright: ignore[reportAttributeAccessIssue]
    seen = []
    for _ in range(4):
        seen.append(made.epsilon)
        made.draw(5, np.random.default_rng(0))
        made.advance()
    assert seen == pytest.approx([0, 0.25, 0.5, 0.6])


def test_before_anything_was_learned_it_is_uniform() -> None:
    made = mixture(1.0)
    made.advance()
    assert made.epsilon == 0
    made.learn([ZEROS] * 16, list(range(16)))
    assert made.epsilon == 1


def test_the_share_of_the_learner_is_epsilon() -> None:
    """Four of a thousand uniform draws are all zeros by chance; of the learner's, nearly all."""
    made = taught()
    shares = []
    for _ in range(11):
        archs = made.draw(2_000, np.random.default_rng(1))
        shares.append(np.mean([arch == ZEROS for arch in archs]))
        made.advance()
    pure = shares[-1]
    assert pure > 0.8
    assert shares == pytest.approx([pure * i / 10 for i in range(11)], abs=0.04)


def test_draws_of_both_are_where_chance_puts_them() -> None:
    made = taught()
    for _ in range(5):
        made.advance()
    places = [
        np.mean(column)
        for column in np.array([a == ZEROS for a in made.draw(4_000, np.random.default_rng(2))]).reshape(4, -1)
    ]
    assert places == pytest.approx([np.mean(places)] * 4, abs=0.05)


def test_resumes_bit_identically() -> None:
    first = taught()
    first.advance()
    state = first.state_dict()
    second = mixture()
    second.load_state_dict(state)
    assert second.epsilon == first.epsilon
    for made in (first, second):
        made.learn(Uniform(SPACE).draw(30, np.random.default_rng(3)), list(range(30)))
        for _ in range(6):
            made.advance()
    assert first.draw(50, np.random.default_rng(4)) == second.draw(50, np.random.default_rng(4))
    ours, theirs = first.state_dict(), second.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_kept_state_does_not_move_with_the_training() -> None:
    made = taught()
    state = made.state_dict()
    before = {name: value.clone() for name, value in state.items()}
    made.learn(Uniform(SPACE).draw(30, np.random.default_rng(3)), list(range(30)))
    assert all(torch.equal(state[name], before[name]) for name in state)


def test_refuses_groups_and_odd_numbers() -> None:
    vae = mixture().learner
    with pytest.raises(ValueError, match="one by one, got samplers with groups of 4 and 1"):
        Mixture(StrictlyFair(SPACE), vae, 0.1)
    for increment, most in ((-0.1, 1.0), (float("nan"), 1.0), (0.1, 1.5)):
        with pytest.raises(ValueError, match="increment of at least 0 and a largest epsilon"):
            Mixture(Uniform(SPACE), vae, increment, most)
    with pytest.raises(ValueError, match="expected the state of a mixture"):
        mixture().load_state_dict({})

"""What happens between two epochs of Algorithm 2, with accuracies in closed form."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch

from oneshot.data.source import Images
from oneshot.methods.single_path import SinglePath
from oneshot.samplers.base import Plan
from oneshot.samplers.encoding import ByNumbers, Independent
from oneshot.samplers.mixture import Mixture
from oneshot.samplers.vae import Vae, VaeSettings
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL
from oneshot.spaces.sequential import sequential
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.feedback import Feedback
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

SPACE = sequential("chain", "abcd", 6)


def mixture(increment: float = 0.25, most: float = 1.0, every: int = 2, samples: int = 64) -> Mixture:
    encoding = Independent(SPACE)
    vae = Vae(encoding, VaeSettings(iterations=60, hidden=16, latent=2, learning_rate=0.02))
    return Mixture(ByNumbers(encoding), vae, increment, most, Plan(every, samples))


def zeros(archs: Sequence[Arch]) -> np.ndarray:
    """Percent of the decisions that took the first option: 25 on average over the space."""
    return np.array([100 * arch.count(0) / len(arch) for arch in archs])


def feedback(accuracies: Callable = zeros, every: int = 2, samples: int = 64) -> Feedback:
    return Feedback(mixture(every=every, samples=samples), accuracies)


def rounds(made: Feedback) -> int:
    return int(made.sampler.state_dict()["learner.rounds"])


def test_rounds_come_every_so_often_and_epsilon_grows_with_every_epoch() -> None:
    made = feedback()
    rows = [made.after(epoch, 0) for epoch in range(6)]
    assert ["sampler_best" in row for row in rows] == [False, True] * 3
    assert [row["sampler_epsilon"] for row in rows] == [0, 0, 0.5, 0.75, 1, 1]
    assert rounds(made) == 3
    learned = {f"sampler_{name}" for name in ("epsilon", "best", "mean", "bound", "divergence", "log_likelihood")}
    assert [set(row) for row in rows] == [{"sampler_epsilon"}, learned] * 3


def test_what_it_draws_becomes_better_by_what_it_was_told() -> None:
    made = feedback(every=1, samples=200)
    means = [made.after(epoch, 0)["sampler_mean"] for epoch in range(7)]
    assert means[0] == pytest.approx(25, abs=4)
    assert means[-1] > 60


def test_the_metrics_are_those_of_the_architectures_that_the_seed_and_the_epoch_draw() -> None:
    asked: list[list[Arch]] = []
    made = feedback(lambda archs: (asked.append(list(archs)), zeros(archs))[1])
    made.after(0, 5)
    row = made.after(1, 5)
    (archs,) = asked
    assert archs == mixture().draw(64, np.random.default_rng((5, 1, 3)))
    assert (row["sampler_best"], row["sampler_mean"]) == (zeros(archs).max(), pytest.approx(zeros(archs).mean()))
    assert row["sampler_bound"] == mixture().learn(archs, zeros(archs))["bound"]


def test_equal_accuracies_teach_nothing() -> None:
    made = feedback(lambda archs: np.full(len(archs), 10.0), every=1)
    before = made.sampler.state_dict()
    assert made.after(0, 0) == {"sampler_epsilon": 0, "sampler_best": 10, "sampler_mean": 10}
    after = made.sampler.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before if name != "advanced")
    assert made.after(1, 0)["sampler_epsilon"] == 0


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_accuracies_that_are_no_numbers_are_left_out(wrong: float) -> None:
    """It learns of the others what it learns where those are all; where nothing is known it is an error."""
    asked: list[Sequence[Arch]] = []

    def told(archs: Sequence[Arch]) -> np.ndarray:
        asked.append(archs)
        return np.where(np.arange(len(archs)) == 3, wrong, zeros(archs))

    row = feedback(told, every=1).after(0, 0)
    others = np.delete(zeros(asked[0]), 3)
    assert (row["sampler_best"], row["sampler_mean"]) == (others.max(), pytest.approx(others.mean()))
    assert np.isfinite(row["sampler_bound"])
    with pytest.raises(FloatingPointError, match="finite"):
        feedback(lambda archs: np.full(len(archs), wrong), every=1).after(0, 0)


def test_a_restored_sampler_goes_on_bit_identically() -> None:
    whole, cut = feedback(every=1), feedback(every=1)
    for epoch in range(3):
        cut.after(epoch, 1)
    resumed = feedback(every=1)
    resumed.sampler.load_state_dict(cut.sampler.state_dict())
    rows = [whole.after(epoch, 1) for epoch in range(5)][3:]
    assert [resumed.after(epoch, 1) for epoch in (3, 4)] == rows
    ours, theirs = whole.sampler.state_dict(), resumed.sampler.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_a_sampler_that_learns_is_not_trained_without_feedback(few: tuple[Images, Images]) -> None:
    vae = Vae(Independent(ALL), VaeSettings(iterations=1))
    sampler = Mixture(ByNumbers(Independent(ALL)), vae, 0.1, plan=Plan(1, 8))
    method = SinglePath(ALL, sampler)
    for wrong in (None, feedback()):
        with pytest.raises(ValueError, match="a sampler that learns needs feedback"):
            train(NasBench201Net(ALL, 2, 1), method, *few, Recipe(epochs=1, batch_size=96), feedback=wrong)


WORKER = """
import sys, numpy as np, torch
from dataclasses import replace
from oneshot.evaluators.feedback import feedback_of
from oneshot.base import distributed
from oneshot.runs.run import build
from oneshot.runs.config import Config
from oneshot.training.recipe import Recipe
from oneshot.training.loop import train
torch.set_num_threads(1)
with distributed.joined(torch.device("cpu")):
    config = Config.of(dataset="digits", split="half", channels=2, cells=1, sampler="vae", seed=2, every=1,
                       samples=24, iterations=20, increment=0.5)
    recipe = Recipe(epochs=3, batch_size=48, shift=1, flip=False)
    run = build(config, recipe)
    run = replace(
        run,
        images=replace(run.images, train=run.train.subset(slice(0, 96)), valid=run.valid.subset(slice(0, 64))),
    )
    made = feedback_of(run, "ema-2")
    noise = np.random.default_rng(distributed.rank())
    told = replace(made, accuracies=lambda archs: made.accuracies(archs) + noise.random(len(archs)))
    train(run.net, run.method, run.train, run.valid, recipe, 2, feedback=told)
    state = [*run.net.state_dict().values(), *run.sampler.state_dict().values()]
    assert int(run.sampler.state_dict()["learner.rounds"]) == 3
    torch.save(state, f"{sys.argv[1]}-vae-{distributed.rank() + 1}.pt")
"""


def test_two_processes_have_the_same_sampler_and_weights(alone_and_together: Callable) -> None:
    """The files are of the two processes of one training, each of which evaluates with noise of its own."""
    pairs = list(alone_and_together(WORKER, ("vae",)))
    assert len(pairs) > 50
    assert all(torch.equal(one, other) for one, other in pairs)

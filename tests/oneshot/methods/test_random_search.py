"""Random search: what is trained, who races, and who wins."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import Gates
from oneshot.methods.random_search import RandomSearch, RandomSearchSettings
from oneshot.samplers.fair import StrictlyFair
from oneshot.samplers.uniform import Uniform
from oneshot.spaces.nasbench201 import ALL, CONV, NO_ZERO
from oneshot.training.loop import Training, train
from tests.oneshot.methods.stepping import PLAIN

Few = tuple[Images, Images]


class Prefers(nn.Module):
    """Loses less by an architecture with larger option indices; its images do not matter, but for some noise."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.seen: list[tuple[Gates, bool]] = []

    def forward(self, images: Tensor, gates: Gates) -> Tensor:
        self.seen.append((gates, torch.is_grad_enabled()))
        worth = 0.1 * sum(gate[0][0] for gate in gates) + 0.2 * images.std().detach()
        return self.scale * worth * torch.eye(10)[self.labels[: len(images)]]

    labels = torch.zeros(1000, dtype=torch.long)


def same_labels(few: Few) -> Few:
    return tuple(replace(part, labels=torch.zeros_like(part.labels)) for part in few)  # pyright: ignore


def test_the_winner_has_the_lowest_validation_loss(few: Few) -> None:
    method = RandomSearch(ALL, Uniform(ALL), RandomSearchSettings(candidates=20, race_epochs=2))
    assert method.derive() is None
    train(Prefers(), method, *same_labels(few), replace(PLAIN, epochs=3, batch_size=8))
    best = max((method.arch(n) for n in range(20)), key=sum)
    found = method.derive()
    assert found is not None
    assert sum(found) >= sum(best) - 1  # the images' noise is worth a step


def test_the_race_takes_no_gradient_and_ends_with_a_tenth(few: Few) -> None:
    net, method = Prefers(), RandomSearch(ALL, Uniform(ALL), RandomSearchSettings(candidates=10, race_epochs=4))
    train(net, method, *same_labels(few), replace(PLAIN, epochs=5, batch_size=8))
    trained, raced = net.seen[:12], net.seen[12:]
    assert all(has for _, has in trained)
    assert not any(has for _, has in raced)
    assert len(raced) == 4 * 12 == int(method.tries.sum())
    assert len({gates for gates, _ in raced[:10]}) == 10  # everybody begins
    assert len({gates for gates, _ in raced[-5:]}) <= 2
    assert int(method.tries.min()) >= 1
    assert int(method.tries.argmax()) == method.best(1)[0]


def test_weights_stay_as_they_are_in_the_race(few: Few) -> None:
    method = RandomSearch(ALL, Uniform(ALL), RandomSearchSettings(candidates=4, race_epochs=1))
    training = Training(Prefers(), method, *few, replace(PLAIN, epochs=2, batch_size=8))
    training.epoch(0)
    before = training.net.scale.detach().clone()  # pyright: ignore
    row = training.epoch(1)
    assert torch.equal(training.net.scale, before)  # pyright: ignore
    assert {"loss", "best_loss"} <= set(row)


def test_candidates_are_different_and_the_seeds_own() -> None:
    settings = RandomSearchSettings(candidates=30)
    one, again, other = (RandomSearch(ALL, Uniform(ALL), settings, seed) for seed in (0, 0, 1))
    assert torch.equal(one.candidates, again.candidates)
    assert not torch.equal(one.candidates, other.candidates)
    assert len({one.arch(n) for n in range(30)}) == 30
    assert RandomSearch(NO_ZERO, StrictlyFair(NO_ZERO), settings).candidates.shape == (30, 6)
    assert len(RandomSearch(CONV, Uniform(CONV), RandomSearchSettings(candidates=1000)).candidates) == 64


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match="candidates must be at least 1, got 0"):
        RandomSearchSettings(candidates=0)
    with pytest.raises(ValueError, match="race_epochs must be below the 2 epochs, got 2"):
        RandomSearch(ALL, Uniform(ALL), RandomSearchSettings(race_epochs=2)).phases(PLAIN)

"""Races against showing every image to every architecture, and the margin against exact probabilities."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from oneshot.benchmarks.scoring.ranks import shares
from oneshot.evaluators import racing
from oneshot.evaluators.base import Prediction, Seen
from oneshot.evaluators.racing import Race, margin, race, ranked, ranked_with, slices
from scipy.special import expit
from scipy.stats import hypergeom

from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL

ARCHS = [tuple(int(digit) for digit in np.base_repr(n, 5).zfill(6)) for n in range(400)]


class Contest:
    """Architectures whose answers are known, and what a race has asked of them."""

    def __init__(self, right: np.ndarray, losses: np.ndarray | None = None, batch: int = 50) -> None:
        self.right, self.batch = right, batch
        self.losses = np.zeros(len(right)) if losses is None else losses
        self.asked: list[tuple[slice, list[Arch]]] = []

    def __call__(self, archs: Sequence[Arch], images: slice) -> Seen:
        self.asked.append((images, list(archs)))
        rows = [ARCHS.index(arch) for arch in archs]
        count = -(-(images.stop - images.start) // self.batch)
        return Seen(self.right[rows, images], np.repeat(self.losses[rows, None], count, 1), np.zeros(len(rows), int))

    def race(self, keep: int, confidence: float = 0.95, order: np.ndarray | None = None) -> Race:
        contest = self if order is None else Contest(self.right[:, order], self.losses, self.batch)
        return race(contest, ALL, ARCHS[: len(self.right)], keep, self.right.shape[1], self.batch, confidence)

    @property
    def whole(self) -> dict[Arch, Prediction]:
        everything = self(ARCHS[: len(self.right)], slice(0, self.right.shape[1]))
        return dict(zip(ARCHS, everything.predictions(), strict=False))


def answers(rng: np.random.Generator, count: int, images: int, spread: float) -> np.ndarray:
    """Of architectures that find the same images hard, as those of one supernet do."""
    skill, easy = rng.normal(0, spread, (count, 1)), rng.normal(1.5, 3, images)
    return rng.random((count, images)) < expit(skill + easy)


@pytest.mark.parametrize(("keep", "spread"), [(1, 1.0), (10, 1.0), (10, 0.1), (39, 1.0)])
def test_a_race_names_the_best_at_least_as_often_as_it_says(keep: int, spread: float) -> None:
    rng = np.random.default_rng(0)
    contest = Contest(answers(rng, 40, 1000, spread), rng.random(40))
    whole = contest.whole
    best = tuple(ranked(ALL, whole)[:keep])
    found = [contest.race(keep, 0.8, rng.permutation(1000)) for _ in range(60)]
    assert np.mean([race.best == best for race in found]) >= 0.8
    assert all(race.finished[arch].accuracy == whole[arch].accuracy for race in found for arch in race.best)


def test_a_margin_that_is_too_small_would_be_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    contest = Contest(answers(rng, 40, 1000, 0.1))
    monkeypatch.setattr(racing, "margin", lambda *rest: 1 + 0.4 * (margin(*rest) - 1))
    best = tuple(ranked(ALL, contest.whole)[:10])
    assert np.mean([contest.race(10, 0.8, rng.permutation(1000)).best == best for _ in range(60)]) < 0.7


@pytest.mark.parametrize("risk", [1e-2, 1e-4, 1e-7])
@pytest.mark.parametrize("images", [64, 1000, 5000])
def test_the_margin_by_exact_probabilities(images: int, risk: float) -> None:
    """Of two equal architectures that differ on T images, one exceeds it with at most the probability that it says."""
    largest = 0.0
    for share in (0.05, 0.2, 0.5, 0.8, 0.97):
        seen = round(share * images)
        for total in (8, 40, images // 4 * 2):
            differ = np.arange(max(0, seen + total - images), min(total, seen) + 1)
            ahead = np.floor((margin(differ, seen, images, risk) + differ) / 2)
            exceeds = hypergeom.sf(ahead, total, total // 2, differ)
            largest = max(largest, float(hypergeom.pmf(differ, images, total, seen) @ exceeds) / risk)
    assert largest <= 1
    if images > 64:
        assert largest > 0.2  # and no more images than it takes


def test_what_is_left_of_the_images_decides_for_certain() -> None:
    """Five behind with four images to come, however much the two differ."""
    assert margin(np.array([90]), 96, 100, 1e-9).tolist() == [4]


def test_far_behind_is_dropped_early_and_not_asked_again() -> None:
    rng = np.random.default_rng(1)
    right = rng.random((100, 2000)) < np.repeat([0.9, 0.5], [5, 95])[:, None]
    contest = Contest(right)
    found = contest.race(5)
    assert sorted(found.best) == ARCHS[:5]
    assert found.rounds[0] == (50, 100)
    assert sum(images * archs for images, archs in found.rounds) < 0.15 * right.size
    assert [len(archs) for _, archs in contest.asked] == [archs for _, archs in found.rounds]
    assert [images.start for images, _ in contest.asked] == [0, *(images.stop for images, _ in contest.asked[:-1])]
    assert contest.asked[-1][0].stop == 2000
    assert set(found.finished) == set(contest.asked[-1][1])


def test_ties_are_never_dropped_and_decided_by_loss_and_string() -> None:
    right = np.random.default_rng(2).random((1, 500)) < np.full((30, 1), 0.7)
    right[20:] = False
    losses = np.repeat([3.0, 1.0, 2.0], [5, 2, 23])
    found = Contest(right, losses).race(4)
    by_string = sorted(ARCHS[7:20], key=ALL.format)
    assert found.best == (*sorted(ARCHS[5:7], key=ALL.format), *by_string[:2])
    assert sorted(found.finished) == ARCHS[:20]


def test_all_are_kept_where_no_more_were_asked_for() -> None:
    contest = Contest(answers(np.random.default_rng(3), 3, 120, 1.0))
    found = contest.race(7)
    assert list(found.best) == ranked(ALL, contest.whole)
    assert found.finished == contest.whole


def test_slices() -> None:
    ends = slices(5000, 256)
    assert ends[0] == 256
    assert ends[-1] == 5000
    assert all(end % 256 == 0 for end in ends[:-1])
    assert sorted(set(ends)) == ends
    assert slices(256, 256) == slices(256, 300) == [256]


@pytest.mark.parametrize(
    ("keep", "confidence", "first", "message"),
    [
        (0, 0.95, 50, "at least 1 to keep and a confidence between 0 and 1, got 0 and 0.95"),
        (3, 1.0, 50, "got 3 and 1.0"),
        (3, 0.95, 0, "1 in the first slice, got 120 and 0"),
    ],
)
def test_bad_input(keep: int, confidence: float, first: int, message: str) -> None:
    contest = Contest(answers(np.random.default_rng(3), 3, 120, 1.0))
    with pytest.raises(ValueError, match=message):
        race(contest, ALL, ARCHS[:3], keep, 120, first, confidence)


@pytest.mark.parametrize("keep", [1, 5, 10])
def test_a_race_by_what_is_recommended_names_the_same_as_showing_all(keep: int) -> None:
    """And asks for fewer images than that."""
    rng = np.random.default_rng(4)
    contest = Contest(answers(rng, 200, 2000, 1.0))
    counts = {arch: float(rng.integers(0, 40)) for arch in ARCHS}
    whole = contest.whole
    best = ranked_with(ALL, whole, counts)[:keep]
    pairs = np.array([(whole[arch].accuracy, counts[arch]) for arch in ARCHS[:200]])
    value = shares(pairs[:, 0]) + shares(pairs[:, 1])
    assert value[ARCHS.index(best[0])] == value.max()
    contest.asked.clear()
    found = race(contest, ALL, ARCHS[:200], keep, 2000, 50, counts=counts)
    assert set(best) <= set(found.finished)
    assert len(set(best) & set(found.best)) >= keep - 1  # ranks of those dropped are from what they saw
    assert sum(images * archs for images, archs in found.rounds) < 0.8 * contest.right.size


def test_who_is_ahead_in_accuracy_alone_drops_nobody_with_a_higher_count() -> None:
    right = np.random.default_rng(1).random((60, 2000)) < np.repeat([0.9, 0.5], [30, 30])[:, None]
    counts = {arch: float(i >= 30) for i, arch in enumerate(ARCHS)}
    found = race(Contest(right), ALL, ARCHS[:60], 3, 2000, 50, counts=counts)
    assert min(len({*part} & {*found.finished}) for part in (ARCHS[:30], ARCHS[30:60])) >= 3
    again = race(Contest(right), ALL, ARCHS[:60], 3, 2000, 50, counts=dict.fromkeys(ARCHS, 1.0))
    assert set(again.best) < set(ARCHS[:30])
    assert len(again.finished) < 31

"""The best K of many architectures, without showing every image to each, and yet those that all images would name.

All architectures see a first slice of the images. Those that cannot be among the best K any more are dropped, the
others see the next slice, and so on; the last ones see every image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from oneshot.benchmarks.scoring.ranks import shares
from oneshot.evaluators.base import Prediction, Seen

from oneshot.space import Arch, Space

LEADERS = 2
"""Each is compared with so many times K at the head; more drop no more, and take longer."""

GROWTH = 1.25
"""Of the images seen from round to round; more rounds save more images, but cost a pass each."""

Look = Callable[[Sequence[Arch], slice], Seen]
"""Architectures on a slice of the images; those that are not asked for will not be asked for again."""


@dataclass(frozen=True)
class Race:
    """The best, the first first; predictions of all that saw every image; images and architectures of each round."""

    best: tuple[Arch, ...]
    finished: dict[Arch, Prediction]
    rounds: tuple[tuple[int, int], ...]


def race(
    look: Look,
    space: Space,
    archs: Sequence[Arch],
    keep: int,
    images: int,
    first: int,
    confidence: float = 0.95,
    labels: np.ndarray | None = None,
    counts: Mapping[Arch, float] | None = None,
) -> Race:
    """The `keep` best by all `images` (accuracy, then loss, then string), of which the first slice takes `first`.

    With `counts` they are the best by accuracy's ranks averaged with those of the counts (`ranked_with`). One is
    dropped that is behind `keep` others in accuracy, none of them behind it in count: those are ahead in any mean of
    the two ranks. So each of the best has seen every image, with the probability below; the places of those dropped,
    which its rank depends on, are from the images that they saw.

    With at least this probability, over the order of the images, they are exactly the ones that showing all images to
    all architectures gives; with `labels` [images] balanced accuracies too. Needed: an order drawn at random, and
    answers that do not depend on the order. The bound is Bonferroni's, over the rounds and all pairs of one of the best
    and one of the others, each at the `margin`.
    """
    wanted = sorted(set(archs))
    if keep < 1 or not 0 < confidence < 1:
        raise ValueError(f"expected at least 1 to keep and a confidence between 0 and 1, got {keep} and {confidence}")
    ends = slices(images, first)
    risk = (1 - confidence) / max(keep * (len(wanted) - keep) * (len(ends) - 1), 1)
    nothing = np.empty((len(wanted), 0))
    seen, start, rounds = Seen(nothing.astype(bool), nothing, np.zeros(len(wanted), int)), 0, []
    dropped: dict[Arch, float] = {}
    for end in ends:
        seen = seen.then(look(wanted, slice(start, end)))
        rounds.append((end - start, len(wanted)))
        if end < images and len(wanted) > keep:
            count = None if counts is None else np.array([counts[arch] for arch in wanted])
            out = beaten(seen.right, keep, images, risk, count)
            dropped |= {wanted[i]: 100 * float(seen.right[i].mean()) for i in np.flatnonzero(out).tolist()}
            stay = np.flatnonzero(~out)
            seen, wanted = seen.rows(stay), [wanted[i] for i in stay]
        start = end
    finished = dict(zip(wanted, seen.predictions(labels), strict=True))
    order = ranked(space, finished) if counts is None else ranked_with(space, finished, counts, dropped)
    return Race(tuple(order[:keep]), finished, tuple(rounds))


def ranked(space: Space, found: dict[Arch, Prediction]) -> list[Arch]:
    """The best first: by accuracy, then by loss, then by string; last what has no prediction."""
    whole = [arch for arch in found if found[arch].error is None]
    best = sorted(whole, key=lambda arch: (-found[arch].accuracy, found[arch].loss, space.format(arch)))
    return best + sorted((arch for arch in found if found[arch].error is not None), key=space.format)


def ranked_with(
    space: Space,
    found: Mapping[Arch, Prediction],
    counts: Mapping[Arch, float],
    dropped: Mapping[Arch, float] | None = None,
) -> list[Arch]:
    """The best first, by accuracy's ranks averaged with those of the counts; equal ones as `ranked` has them.

    The ranks are among all that have a prediction, and those dropped, of which an accuracy in percent is known.
    """
    order = ranked(space, dict(found))
    whole = [arch for arch in order if found[arch].error is None]
    others = list(dropped or {})
    accuracy = np.array([*(found[arch].accuracy for arch in whole), *(dropped[arch] for arch in others if dropped)])
    count = np.array([counts[arch] for arch in (*whole, *others)])
    if not whole:
        return order
    value = dict(zip(whole, shares(accuracy) + shares(count), strict=False))
    return sorted(whole, key=lambda arch: -value[arch]) + order[len(whole) :]


def slices(images: int, first: int) -> list[int]:
    """Where the slices end: at multiples of the first one, of about `GROWTH` times the images before."""
    if min(images, first) < 1:
        raise ValueError(f"expected at least 1 image and 1 in the first slice, got {images} and {first}")
    ends = [first]
    while ends[-1] < images:
        ends.append(max(int(ends[-1] * GROWTH) // first, ends[-1] // first + 1) * first)
    return [*ends[:-1], images]


def beaten(right: np.ndarray, keep: int, images: int, risk: float, counts: np.ndarray | None = None) -> np.ndarray:
    """Which rows of `right` [A, M] are behind `keep` others by more than chance, [A] bool.

    With `counts` [A] only others count that have as many or more.

    If one of the true best is, then one of those ahead of it is truly no better: a pair for which `margin` failed.
    """
    hits, seen = right.sum(1), right.shape[1]
    leaders = np.argsort(-hits, kind="stable")[: LEADERS * keep]
    if counts is not None:  # and those that are ahead in both
        both_ranks = np.argsort(-shares(hits) - shares(counts), kind="stable")
        leaders = np.union1d(leaders, both_ranks[: 2 * LEADERS * keep])
    both = right.astype(np.float32) @ right[leaders].astype(np.float32).T
    differ = hits[:, None] + hits[leaders] - 2 * both
    lead = hits[leaders] - hits[:, None]
    ahead = lead > margin(differ, seen, images, risk)
    if counts is not None:
        ahead &= counts[leaders] >= counts[:, None]
    return ahead.sum(1) >= keep


def margin(differ: np.ndarray, seen: int, images: int, risk: float) -> np.ndarray:
    """The lead, in images, that one exceeds over an equal or a better one with at most the probability `risk`.

    Of the `seen` images, drawn without replacement, `differ` were right for one of the two alone. If both are equal,
    each of those is +1 or -1 by chance (McNemar's test), and the variance of their sum is smaller by the share of all
    images that is seen. Normal approximation, with half a step of 2 for the lead's being whole, and z^2 more where
    `differ` may be small by chance. What is left of the images bounds the lead for certain.
    """
    z, share = -NormalDist().inv_cdf(risk), seen / images
    deviation = np.sqrt((differ + z * z * share) * (1 - share))
    return np.minimum(1 + z * deviation, images - seen)

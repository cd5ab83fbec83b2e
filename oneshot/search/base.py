"""What a search sees: an evaluator that is asked once for each function, costs, limits; and what it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from oneshot.base.html import html_table
from oneshot.base.quantity import Quantity, quantity
from oneshot.samplers.base import Sampler
from oneshot.space import Arch, Space

if TYPE_CHECKING:
    import pandas as pd

MAX_MISSES = 10_000
"""So many random architectures in a row that are of no use end a draw."""

SHOWN = 10
"""Rows of a table."""

SCALES = {"params": 1e-6}
"""By what a cost is multiplied where it is shown."""

Measure = Callable[[Arch], float]
"""What an architecture costs; NaN where that is not known."""


class Answer(Protocol):
    @property
    def predicted(self) -> np.ndarray:
        """What ranks, more is better [N]: accuracies in percent, or scores."""
        ...


class Oracle(Protocol):
    """The part of an evaluator that a search needs."""

    @property
    def space(self) -> Space: ...

    @property
    def protocol(self) -> dict[str, Any]: ...

    def __call__(self, archs: Sequence[Arch]) -> Answer: ...


class Search(Protocol):
    """An algorithm: its settings are its fields, what it finds stays in the task."""

    @property
    def population(self) -> int: ...

    @property
    def generations(self) -> int: ...

    def __call__(self, task: Task, sampler: Sampler, rng: np.random.Generator, start: Sampler | None = None) -> None:
        """`start` gives the first population where that is not to be the sampler's; all randomness is `rng`'s."""
        ...


@dataclass(frozen=True)
class Candidate:
    """An architecture, what is predicted of it, and its costs in the order of the task's measures."""

    arch: Arch
    predicted: float
    costs: tuple[float, ...]
    generation: int


class Task:
    """Maximise what is predicted, and where there are `objectives` minimise these of the measures too, within limits.

    Architectures with the same function (`Space.canonical`) share one evaluation, that of the first of them; each has
    costs of its own. `known` says what can be evaluated at all, where that is not the whole space. What the evaluator
    has no finite prediction of stands in `failed`, is no candidate, and is not asked for again.
    """

    def __init__(
        self,
        evaluator: Oracle,
        measures: Mapping[str, Measure] | None = None,
        objectives: Sequence[str] = (),
        limits: Mapping[str, float] | None = None,
        known: Callable[[Arch], bool] | None = None,
    ) -> None:
        self.evaluator, self.space = evaluator, evaluator.space
        self.measures, self.limits = dict(measures or {}), dict(limits or {})
        self.objectives = tuple(objectives)
        for name in (*self.objectives, *self.limits):
            if name not in self.measures:
                raise ValueError(f"no measure {name!r} to search by; there are {', '.join(self.measures) or 'none'}")
        for name, most in self.limits.items():
            if math.isnan(most):
                raise ValueError(f"the limit of {name} must be a number, got {most}")
        self.found: list[Candidate] = []
        self.failed: list[Arch] = []
        self._known = known
        self._candidates: dict[Arch, Candidate] = {}
        self._same: dict[Arch, list[Candidate]] = {}
        self._predicted: dict[Arch, float] = {}
        self._functions: dict[Arch, Arch] = {}
        self._costs: dict[str, dict[Arch, float]] = {name: {} for name in self.measures}

    @property
    def quantity(self) -> Quantity:
        """What is maximised."""
        return quantity(self.evaluator.protocol)

    @property
    def evaluations(self) -> int:
        """For how many architectures the evaluator was asked."""
        return len(self._predicted)

    def costs(self, arch: Arch) -> tuple[float, ...]:
        return tuple(self._cost(name, arch) for name in self.measures)

    def _cost(self, name: str, arch: Arch) -> float:
        known = self._costs[name]
        if arch not in known:
            known[arch] = float(self.measures[name](arch))
        return known[arch]

    def admits(self, arch: Arch) -> bool:
        """Whether the space allows it, it can be evaluated, its costs are known, and they keep the limits."""
        if not self.space.allows(arch) or (self._known is not None and not self._known(arch)):
            return False
        for name, most in self.limits.items():  # first, since another cost may have to be measured
            cost = self._cost(name, arch)
            if not (math.isfinite(cost) and cost <= most):
                return False
        return all(math.isfinite(self._cost(name, arch)) for name in self.objectives)

    def function(self, arch: Arch) -> Arch:
        """The representative of all architectures that compute the same."""
        if arch not in self._functions:
            try:
                self._functions[arch] = self.space.canonical(arch)
            except ValueError:  # a restricted space may lack the representative
                self._functions[arch] = arch
        return self._functions[arch]

    def evaluated(self, arch: Arch) -> bool:
        """Whether this function has been evaluated, by whichever architecture."""
        return self.function(arch) in self._predicted

    def promises(self, arch: Arch) -> bool:
        """Whether it could join the front: its function is new, or in some objective it is the cheapest that has it."""
        if math.isnan(self._predicted.get(self.function(arch), 0.0)):
            return False
        at = [list(self.measures).index(name) for name in self.objectives]
        costs = self.costs(arch)
        same = self._same.get(self.function(arch), [])
        return not any(all(twin.costs[i] <= costs[i] for i in at) for twin in same)

    def evaluate(self, archs: Iterable[Arch], generation: int) -> list[Candidate]:
        """The candidate of each architecture that has one, in order; only new functions cost an evaluation.

        FloatingPointError where nothing that was asked for so far could be evaluated.
        """
        archs = list(archs)
        new: dict[Arch, Arch] = {}
        for arch in archs:
            if not self.evaluated(arch):
                new.setdefault(self.function(arch), arch)
        if new:
            self._learn(list(new.values()))
        archs = [arch for arch in archs if not math.isnan(self._predicted[self.function(arch)])]
        for arch in archs:
            if arch not in self._candidates:
                value = self._predicted[self.function(arch)]
                self._candidates[arch] = candidate = Candidate(arch, value, self.costs(arch), generation)
                self._same.setdefault(self.function(arch), []).append(candidate)
                self.found.append(candidate)
        return [self._candidates[arch] for arch in archs]

    def _learn(self, archs: list[Arch]) -> None:
        values = self.evaluator(archs).predicted
        if len(values) != len(archs):
            raise ValueError(f"expected {len(archs)} predictions of the evaluator, got {len(values)}")
        for arch, value in zip(archs, values, strict=True):
            if not math.isfinite(value):
                self.failed.append(arch)
            self._predicted[self.function(arch)] = float(value) if math.isfinite(value) else math.nan
        if len(self.failed) == len(self._predicted):
            raise FloatingPointError(
                f"none of {len(self.failed)} architectures has a finite {self.quantity.column}, such as "
                f"{self.space.format(self.failed[0])}"
            )

    def best(self) -> Candidate:
        """The candidate of which most is predicted, of equal ones the first."""
        return max(self.found, key=lambda candidate: candidate.predicted)

    def record(self, candidate: Candidate) -> dict[str, Any]:
        """A candidate as JSON, which has no NaN."""
        costs = {name: cost if cost == cost else None for name, cost in self._by_name(candidate)}
        arch = self.space.format(candidate.arch)
        return {"arch": arch, self.quantity.column: candidate.predicted, **costs, "generation": candidate.generation}

    def frame(self) -> pd.DataFrame:
        """All candidates in the order of evaluation: arch, what is predicted, the measures, generation."""
        import pandas as pd

        columns = ["arch", self.quantity.column, *self.measures, "generation"]
        return pd.DataFrame([self.record(candidate) for candidate in self.found], columns=columns)

    @property
    def shown(self) -> list[Candidate]:
        """The front, or without objectives the ten best."""
        return self.front() if self.objectives else sorted(self.found, key=lambda c: -c.predicted)[:SHOWN]

    def rows(self) -> list[list[str]]:
        """What is shown as text, headings first."""
        titles = {"params": "params (M)", "macs": "macs (M)"}
        head = ["architecture", self.quantity.title, *(titles.get(name, name) for name in self.measures)]
        return [head, *(
            [self.space.format(c.arch), self.quantity.text(c.predicted),
             *(f"{cost * SCALES.get(name, 1):,.4g}" for name, cost in self._by_name(c))]
            for c in self.shown
        )]  # fmt: skip

    def __repr__(self) -> str:
        return f"<Task: {self.title}>"

    def _repr_html_(self) -> str:
        head, *rows = self.rows()
        return html_table(head, rows, self.title)

    @property
    def title(self) -> str:
        """What is shown, in words."""
        front = f"the front of {self.quantity.title.removesuffix(' %')} against {', '.join(self.objectives)}"
        return f"{front if self.objectives else 'the best'}, of {self.evaluations} evaluated"

    def _by_name(self, candidate: Candidate) -> Iterator[tuple[str, float]]:
        return zip(self.measures, candidate.costs, strict=True)

    def front(self) -> list[Candidate]:
        """The candidates that none is better than in all objectives, by falling prediction; of equal ones the first."""
        at = [list(self.measures).index(name) for name in self.objectives]
        ranked = sorted(self.found, key=lambda c: (-c.predicted, [c.costs[i] for i in at]))
        kept: list[Candidate] = []
        for c in ranked:  # whatever dominates it or equals it comes before it
            if not any(all(k.costs[i] <= c.costs[i] for i in at) for k in kept):
                kept.append(c)
        return kept


def stream(sampler: Sampler, rng: np.random.Generator, n: int) -> Iterator[Arch]:
    """A sampler's architectures without end, drawn about `n` at a time."""
    size = -(-n // sampler.group) * sampler.group
    while True:
        yield from sampler.draw(size, rng)


def collect(task: Task, n: int, proposals: Iterator[Arch], misses: int, taken: Sequence[Arch] = ()) -> list[Arch]:
    """Up to `n` admitted architectures of functions that are neither evaluated nor taken; fewer after many misses."""
    functions = {task.function(arch) for arch in taken}
    chosen: list[Arch] = []
    missed = 0
    while len(chosen) < n and missed < misses:
        arch = next(proposals)
        if task.admits(arch) and not task.evaluated(arch) and task.function(arch) not in functions:
            functions.add(task.function(arch))
            chosen.append(arch)
            missed = 0
        else:
            missed += 1
    return chosen


def first_population(task: Task, n: int, rng: np.random.Generator, *samplers: Sampler | None) -> list[Arch]:
    """`n` architectures of the first sampler, what it lacks of the next; fewer where there are no more.

    ValueError where not one is admitted.
    """
    found: list[Arch] = []
    for sampler in samplers:
        if sampler is not None and len(found) < n:
            found += collect(task, n - len(found), stream(sampler, rng, n), MAX_MISSES, found)
    if not found:
        raise ValueError(_nothing(task))
    return found


def _nothing(task: Task) -> str:
    """Why nothing was admitted: the limits beside the lowest costs that were drawn."""
    words = [f"{name} at most {most:g}" for name, most in task.limits.items()]
    lowest = [f"{name} {min(known.values()):g}" for name in task.limits if (known := task._costs[name])]
    text = f"none of {MAX_MISSES:,} architectures drawn from {task.space.name} can be evaluated"
    if words:
        text += f" with {' and '.join(words)}"
    return text + (f"; the lowest drawn: {', '.join(lowest)}" if lowest else "")

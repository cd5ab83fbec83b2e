"""Which of several methods is better, and could it be luck? Paired differences over architectures and training seeds.

Two sources of luck, on two levels. *Architectures*: all methods are scored under the same resamples, so what a draw of
easy architectures gives to one it gives to the other, and cancels in the difference. *Training seeds*: a method's score
is the mean over its runs, and varies by Student's t on the spread of single runs, which the trained methods of a pair
share. Resampling the runs in its place would understate their spread: of equal methods with normal runs, 95% intervals
would hold the true difference 0 in 67, 81 and 88% of the cases at two, three and five runs each; by t it is 95%.

Where no method of a pair has two runs there is no spread to see: the interval is then over architectures alone, says
so, and holds for these trainings, not for the methods. Methods made from the same runs (one post-processed) are
compared run by run. Each interval is by itself: among twenty differences, one may exclude 0 by luck.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.display import compact, in_line, jsonable, label
from oneshot.benchmarks.scoring.catalogue import MAIN, MEASURES
from oneshot.benchmarks.scoring.intervals import Interval, percentiles
from oneshot.benchmarks.scoring.result import RECOMMENDED, Report, Scores, settings_text
from scipy import stats

from oneshot.base.html import html_table

ARCHITECTURES = "architectures"
BOTH = "architectures and seeds"
ALONE = "†"
"""Marks intervals over architectures alone, beside others."""


@dataclass(frozen=True)
class Method:
    """A method's runs, one a training seed. `origin` is the method whose runs it was made from, if not its own."""

    name: str
    runs: tuple[Scores, ...]
    origin: str = ""
    kind: str = "method"
    """`method`, or `baseline` or `ceiling`, which no seed changes."""

    @property
    def is_advised(self) -> bool:
        """Whether it is what we recommend of its origin."""
        return self.name == f"{self.origin} + {RECOMMENDED}"

    def each(self, measure: str) -> Array:
        """The measure of each run, (S,)."""
        return np.array([run.measures[measure] for run in self.runs])

    def resampled(self, measure: str) -> Array:
        """The mean over the runs under every resample of the architectures, (R,)."""
        return np.mean([run.resampled[measure] for run in self.runs], axis=0)


@dataclass(frozen=True)
class Estimate:
    """A value by measure: of one method (`names` has one), or of the first less the second."""

    names: tuple[str, ...]
    values: dict[str, float]
    intervals: dict[str, Interval]
    over: str
    runs: tuple[int, ...]
    spread: dict[str, float]
    """The standard deviation of single runs, nan of one run; of a difference, what its interval was made with."""
    kind: str = "method"

    def better(self, measure: str) -> str | None:
        """The name of the better one of two; None where the interval does not tell."""
        low, high = self.intervals[measure]
        if not (low > 0 or high < 0):
            return None
        return self.names[0 if (low > 0) != MEASURES[measure].less_is_better else 1]

    def label(self, mark: bool = False) -> str:
        """The names with the number of runs where that is not one; `mark` if intervals are over architectures alone."""
        names = [f"{n} (×{k})" if k > 1 else n for n, k in zip(self.names, self.runs, strict=True)]
        if self.kind == "ceiling":
            return f"ceiling: {names[0]}"
        return " vs ".join(map(label, names)) + (f" {ALONE}" if mark and self.over == ARCHITECTURES else "")

    def cell(self, measure: str) -> str:
        """The value of two lines: one method's with the spread of its runs, a difference's with its sign and star."""
        value, interval = self.values[measure], self.intervals[measure]
        if len(self.names) == 1:
            return compact(value, interval, self.spread[measure])
        text, line, bracket = compact(value, interval, sign="+").partition("\n")
        return f"{text}{'*' if self.better(measure) else ''}{line}{bracket}"

    def to_dict(self) -> dict[str, Any]:
        pair = {"better": {name: self.better(name) for name in self.values}} if len(self.names) == 2 else {}
        return {
            "names": self.names,
            "runs": self.runs,
            **self.values,
            "intervals": self.intervals,
            "over": self.over,
            "spread_of_runs": self.spread,
            **pair,
        }


@dataclass(frozen=True)
class Comparison:
    """Methods, baselines and ceiling under one protocol, and the differences that matter."""

    methods: tuple[Estimate, ...]
    differences: tuple[Estimate, ...]
    protocol: dict[str, Any]
    reports: dict[str, list[Report]]

    def to_dict(self) -> dict[str, Any]:
        """One JSON document; undefined numbers are null."""
        runs = {name: [dict(report.measures) for report in each] for name, each in self.reports.items()}
        methods = {method.names[0]: {"kind": method.kind, **method.to_dict()} for method in self.methods}
        for name, each in runs.items():
            methods[name]["each"] = each
            advised = [dict(scores.measures) for report in self.reports[name] for scores in report.advised]
            methods.get(f"{name} + {RECOMMENDED}", {}).setdefault("each", advised)
        differences = [difference.to_dict() for difference in self.differences]
        return jsonable({"methods": methods, "differences": differences, "protocol": self.protocol})

    @property
    def note(self) -> str:
        """Over what the intervals of the differences are, and what must be known of the predictions."""
        notes = dict.fromkeys(note for each in self.reports.values() for report in each for note in report.notes)
        return " ".join([self._over, *(f"Note: {note}." for note in notes)])

    @property
    def _over(self) -> str:
        alone = [difference.over == ARCHITECTURES for difference in self.differences]
        if all(alone):
            return (
                "Intervals are over architectures alone: "
                "without several runs of a method they do not show training luck."
            )
        text = "Intervals are over architectures and training seeds"
        return text + (f"; {ALONE} over architectures alone." if any(alone) else ".")

    @property
    def mark(self) -> bool:
        """Whether some intervals of differences are over architectures alone, beside others."""
        return len({difference.over for difference in self.differences}) > 1

    def __repr__(self) -> str:
        tau = MEASURES["kendall_tau"]
        texts = [f"{m.label()} {in_line(m.values[tau.name], m.intervals[tau.name])}" for m in self._trained]
        truth, table = self.protocol["truth"], self.protocol["benchmark"]["name"]
        return f"<Comparison against {truth} of {table}, {tau.title}: {'; '.join(texts)}>"

    def _repr_html_(self) -> str:
        titles = [measure.title for measure in MAIN]

        def rows(estimates: Sequence[Estimate], mark: bool = False) -> list[list[str]]:
            return [[each.label(mark), *(each.cell(m.name) for m in MAIN)] for each in estimates]

        methods = html_table(["predictor", *titles], rows(self.methods), settings_text(self.protocol))
        if not self.differences:
            return methods
        caption = f"* excludes 0. {self.note}"
        return methods + html_table(["difference", *titles], rows(self.differences, self.mark), caption)

    @property
    def _trained(self) -> list[Estimate]:
        return [method for method in self.methods if method.kind == "method"]


def compare(reports: dict[str, list[Report]], origins: dict[str, str] | None = None) -> Comparison:
    """Compares methods by name, each with the reports of its runs, all of one call of `score_all`.

    `origins` names, for a method `ORIGIN + POST` that was made from the runs of another, that other one. Differences
    are between every two methods, from these to each trivial baseline, and from what was made to its origin and to what
    was made likewise. ValueError where reports were not scored alike.
    """
    if not reports or not all(reports.values()):
        raise ValueError(f"expected at least one report a method, got { ({n: len(r) for n, r in reports.items()}) }")
    every = [report for each in reports.values() for report in each]
    _check_alike(every)
    how = every[0].protocol["intervals"]
    rng = np.random.default_rng(how["seed"])
    ours = [method for name, each in reports.items() for method in _methods(name, each, reports, origins or {})]
    trivial = [Method(scores.name, (scores,), kind="baseline") for scores in every[0].baselines]
    ceiling = [Method(scores.name, (scores,), kind="ceiling") for scores in (every[0].ceiling,) if scores]
    pairs = [(b, a) if b.origin == a.name != b.name else (a, b) for a, b in combinations(ours, 2) if _tells(a, b)]
    pairs.sort(key=lambda pair: pair[0].origin == pair[1].origin)  # methods first, then what processing changes
    shown = [method for method in ours if method.is_advised or method.origin == method.name]
    pairs += [(method, baseline) for method in shown for baseline in trivial]
    singles = [estimate([method], how["confidence"], rng) for method in (*ours, *trivial, *ceiling)]
    differences = [estimate(pair, how["confidence"], rng) for pair in pairs]
    protocol = {key: value for key, value in every[0].protocol.items() if key != "predictions"}
    protocol["methods"] = {name: [r.protocol["predictions"] for r in each] for name, each in reports.items()}
    return Comparison(tuple(singles), tuple(differences), protocol, reports)


def estimate(group: Sequence[Method], confidence: float, rng: np.random.Generator) -> Estimate:
    """The scores of one method, or of the first of two less those of the second, with intervals."""
    values, intervals, spreads = {}, {}, {}
    over = ARCHITECTURES
    for measure in group[0].runs[0].measures:
        each = [method.each(measure) for method in group]
        drawn = [method.resampled(measure) for method in group]
        values[measure] = float(each[0].mean() - (each[1].mean() if len(group) == 2 else 0))
        resampled = drawn[0] - (drawn[1] if len(group) == 2 else 0)
        spread, error, freedom = seed_error(group, each)
        if freedom:
            over = BOTH
            quantiles = stats.t.ppf((np.arange(len(resampled)) + 0.5) / len(resampled), freedom)
            resampled = resampled + error * rng.permutation(quantiles)
        if len(group) == 1:
            resampled = np.clip(resampled, MEASURES[measure].low, MEASURES[measure].high)
        intervals[measure], spreads[measure] = percentiles(resampled, confidence), spread
    names, runs = tuple(method.name for method in group), tuple(len(method.runs) for method in group)
    return Estimate(names, values, intervals, over, runs, spreads, group[0].kind)


def seed_error(group: Sequence[Method], each: Sequence[Array]) -> tuple[float, float, int]:
    """Standard deviation of single runs, standard error of the value from them, degrees of freedom (0: unknown).

    Trained methods share one standard deviation, pooled over them. Methods of one origin and equally many runs are
    paired run by run; of one origin and unequally many (an ensemble of the runs), nothing is known.
    """
    trained = [values for method, values in zip(group, each, strict=True) if method.kind == "method"]
    if len(trained) == 2 and group[0].origin == group[1].origin:
        trained = [trained[0] - trained[1]] if len(trained[0]) == len(trained[1]) else []
    freedom = sum(len(values) - 1 for values in trained)
    if not freedom:
        return float("nan"), 0.0, 0
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in trained)
    spread = float(np.sqrt(squares / freedom))
    return spread, spread * float(np.sqrt(sum(1 / len(values) for values in trained))), freedom


def _methods(
    name: str, each: Sequence[Report], reports: Mapping[str, Sequence[Report]], origins: Mapping[str, str]
) -> list[Method]:
    """The method, and before it what is recommended of it, unless that is there by itself."""
    own = Method(name, tuple(report.method for report in each), origins.get(name, name))
    advised, title = tuple(scores for report in each for scores in report.advised), f"{name} + {RECOMMENDED}"
    return [Method(title, advised, name), own] if len(advised) == len(each) and title not in reports else [own]


def _tells(a: Method, b: Method) -> bool:
    """Whether a difference is that of two methods, or of one processing."""
    processed = [method.name.removeprefix(method.origin) for method in (a, b)]
    return processed[0] == processed[1] or (a.origin == b.origin and "" in processed)


def _check_alike(reports: Sequence[Report]) -> None:
    first = reports[0].protocol
    for report in reports[1:]:
        for key in ("benchmark", "truth", "architectures", "intervals"):
            if report.protocol[key] != first[key]:
                raise ValueError(
                    f"{report.method.name} and {reports[0].method.name} were scored with another {key}: "
                    f"{report.protocol[key]} and {first[key]}; score them in one call"
                )

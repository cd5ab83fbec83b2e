"""Who wins which measure: predictions against the best trivial baseline of each, and whether that may be luck."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from oneshot.benchmarks.display import label
from oneshot.benchmarks.scoring.catalogue import MAIN, Measure
from oneshot.benchmarks.scoring.compare import Method, estimate
from oneshot.benchmarks.scoring.intervals import Interval
from oneshot.benchmarks.scoring.result import Report, Scores

BETTER, OPEN, WORSE = "better", "open", "worse"


@dataclass(frozen=True)
class Verdict:
    """What is recommended, else the predictions, less the best trivial baseline of a measure, paired by resample."""

    measure: Measure
    rival: str
    value: float
    """Of the rival."""
    difference: float
    interval: Interval
    says: str
    """`better` or `worse` where the interval excludes 0, else `open`."""

    @property
    def text(self) -> str:
        """Such as `+0.159 [0.090, 0.231] against parameters`."""
        low, high = self.interval
        return f"{self.difference:+.3f} [{low:.3f}, {high:.3f}] against {label(self.rival)}"


def verdicts(report: Report) -> list[Verdict]:
    """One for each main measure that is defined of the predictions and of a baseline."""
    found = [verdict(report, measure) for measure in MAIN]
    return [each for each in found if each is not None]


def verdict(report: Report, measure: Measure) -> Verdict | None:
    name, ours = measure.name, report.foremost
    rivals = [each for each in report.baselines if np.isfinite(each.measures[name]) and name in each.resampled]
    if not rivals or not np.isfinite(ours.measures[name]) or name not in ours.resampled:
        return None
    sign = -1 if measure.less_is_better else 1
    best = max(rivals, key=lambda each: sign * each.measures[name])
    how, pair = report.protocol["intervals"], (_as_method(ours, "method"), _as_method(best, "baseline"))
    found = estimate(pair, how["confidence"], np.random.default_rng(how["seed"]))
    low, high = found.intervals[name]
    sure = low > 0 or high < 0
    says = OPEN if not sure else BETTER if sign * found.values[name] > 0 else WORSE
    return Verdict(measure, best.name, best.measures[name], found.values[name], (low, high), says)


def in_words(found: list[Verdict]) -> str:
    """All verdicts in one sentence; nothing where there is none."""
    groups = {BETTER: "better in", OPEN: "not told apart in", WORSE: "worse in"}
    parts = []
    for says, words in groups.items():
        own = [f"{each.measure.title} ({each.text})" for each in found if each.says == says]
        parts += [f"{words} {', '.join(own)}"] if own else []
    return f"Against the best trivial baseline of each measure: {'; '.join(parts)}." if parts else ""


def not_won(report: Report) -> str:
    """Which main measures what is recommended, else the predictions, does not win, in one sentence."""
    name, found = label(report.foremost.name), verdicts(report)
    words = {OPEN: "not told apart from", WORSE: "worse than"}
    lost = [f"{each.measure.title} ({words[each.says]} {label(each.rival)})" for each in found if each.says != BETTER]
    return f"{name} does not win {', '.join(lost)}." if lost else f"{name} wins every main measure."


def _as_method(scores: Scores, kind: str) -> Method:
    return Method(scores.name, (scores,), kind=kind)

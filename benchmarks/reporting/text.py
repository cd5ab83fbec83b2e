"""A report in words and as rows of text."""

from __future__ import annotations

import numpy as np
from oneshot.benchmarks.display import in_line, label
from oneshot.benchmarks.reporting.verdict import in_words, verdicts
from oneshot.benchmarks.scoring.catalogue import MAIN, MEASURES, Measure
from oneshot.benchmarks.scoring.score import Report, Scores


def headline(report: Report, in_full: bool = True) -> str:
    """The result, with what it has to be compared with; `in_full` with who wins each measure."""
    tau = MEASURES["kendall_tau"]
    text = f"{tau.title} {value_text(report.method, tau)} with {report.protocol['truth']}"
    text += f" on {len(report.truth):,} architectures"
    defined = [s for s in report.baselines if np.isfinite(s.measures[tau.name])]
    if defined:
        strongest = max(defined, key=lambda scores: scores.measures[tau.name])
        text += f"; the best trivial baseline ({label(strongest.name)}) has {strongest.measures[tau.name]:.3f}"
    if report.ceiling:
        text += f"; the ceiling is {report.ceiling.measures[tau.name]:.3f}"
    won = in_words(verdicts(report)) if in_full else ""
    return " ".join([text + ".", *([won] if won else []), *(f"Note: {note}." for note in report.notes)])


def table_rows(report: Report, measures: tuple[Measure, ...] = MAIN) -> list[list[str]]:
    """The table as text, headings first: one row a measure, one column a predictor, the method's first."""
    head = ["measure", *(name for name, _ in report.predictors)]
    return [head, *([measure.title, *(value_text(s, measure) for s in report.everyone)] for measure in measures)]


def value_text(scores: Scores, measure: Measure) -> str:
    """A value with its interval, `undefined` where there is none."""
    return in_line(scores.measures[measure.name], scores.intervals[measure.name], measure.digits)

"""A report in words and as rows of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from oneshot.benchmarks.display import in_line, label
from oneshot.benchmarks.reporting.verdict import in_words, verdicts
from oneshot.benchmarks.scoring.catalogue import MAIN, MEASURES, Measure
from oneshot.benchmarks.scoring.result import Report, Scores, left_out


def headline(report: Report, in_full: bool = True) -> str:
    """The result, with what it has to be compared with; `in_full` with who wins each measure."""
    tau = MEASURES["kendall_tau"]
    text = f"{tau.title} {value_text(report.method, tau)}"
    if report.recommended:
        parts = " and ".join(label(name) for name in report.protocol["recommended"])
        text = f"Recommended (ranks of {parts} averaged): {tau.title} {value_text(report.recommended, tau)}"
        text += f"; {report.method.name} alone {value_text(report.method, tau)}"
    text += f" with {report.protocol['truth']} on {len(report.truth):,} architectures{left_out(report.protocol)}"
    defined = [s for s in report.baselines if np.isfinite(s.measures[tau.name])]
    if defined:
        strongest = max(defined, key=lambda scores: scores.measures[tau.name])
        text += f"; the best trivial baseline ({label(strongest.name)}) has {strongest.measures[tau.name]:.3f}"
    if report.ceiling:
        text += f"; the ceiling is {report.ceiling.measures[tau.name]:.3f}"
    won = in_words(verdicts(report)) if in_full else ""
    notes = (f"Note: {note}." for note in report.notes)
    return " ".join([text + ".", *([won] if won else []), *alike(report.protocol), *notes])


def alike(protocol: Mapping[str, Any]) -> list[str]:
    """A sentence on the trivial baselines that are shown by one of them, if there are such."""
    groups = [" and ".join(map(label, (name, *others))) for name, others in protocol.get("same_ranking", {}).items()]
    return [f"The same ranking: {'; '.join(groups)}."] if groups else []


def table_rows(report: Report, measures: tuple[Measure, ...] = MAIN) -> list[list[str]]:
    """The table as text, headings first: one row a measure, one column a predictor, the method's first."""
    head = ["measure", *(name for name, _ in report.predictors)]
    return [head, *([measure.title, *(value_text(s, measure) for s in report.everyone)] for measure in measures)]


def value_text(scores: Scores, measure: Measure) -> str:
    """A value with its interval, `undefined` where there is none."""
    return in_line(scores.measures[measure.name], scores.intervals[measure.name], measure.digits)

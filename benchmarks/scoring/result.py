"""What scoring gives: the scores of each predictor, and the report that holds them beside each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.display import compact, confidence, in_line, jsonable, label
from oneshot.benchmarks.scoring.catalogue import MAIN, MEASURES
from oneshot.benchmarks.scoring.intervals import Interval
from oneshot.benchmarks.scoring.measures import ImprovementCurve, PruningCurve

from oneshot.base.html import html_table

RECOMMENDED = "recommended"
"""The name of what we recommend beside the predictions that it is made of."""


@dataclass(frozen=True)
class Scores:
    """What one predictor reached; `undefined` says why a measure is nan."""

    name: str
    measures: dict[str, float]
    intervals: dict[str, Interval]
    undefined: dict[str, str]
    improvement: ImprovementCurve
    pruning: PruningCurve
    resampled: dict[str, Array] = field(default_factory=dict, repr=False, compare=False)
    """Each measure under every resample; those of two predictors are paired."""

    def to_dict(self) -> dict[str, Any]:
        """Measures at the top level, then intervals, reasons and curves, ready for JSON."""
        curves = {
            "improvement": _curve(self.improvement, "accuracy", "improvement"),
            "pruning": _curve(self.pruning, "kendall_tau", "spearman_rho", "pearson_r"),
        }
        document = {"name": self.name, **self.measures, "intervals": self.intervals, "undefined": self.undefined}
        return jsonable({**document, "curves": curves})


@dataclass(frozen=True)
class Report:
    """Predictions scored against ground truth: `method` beside `baselines` and `ceiling`, and how it was done."""

    protocol: dict[str, Any]
    method: Scores
    baselines: tuple[Scores, ...]
    ceiling: Scores | None
    predicted: Array = field(repr=False)
    truth: Array = field(repr=False)
    recommended: Scores | None = None
    """The method's ranks averaged with the space's best fact's; None where that cannot be, or was done before."""

    @property
    def measures(self) -> dict[str, float]:
        return self.method.measures

    @property
    def intervals(self) -> dict[str, Interval]:
        return self.method.intervals

    @property
    def notes(self) -> Sequence[str]:
        """What a reader of the numbers must know of the predictions, or of the truth."""
        return [*self.protocol["predictions"].get("notes", ()), *self.protocol.get("notes", ())]

    @property
    def everyone(self) -> tuple[Scores, ...]:
        """What is recommended, method, baselines and ceiling, in the order of tables and legends."""
        return (*self.advised, self.method, *self.baselines, *([self.ceiling] if self.ceiling else []))

    @property
    def advised(self) -> tuple[Scores, ...]:
        """What is recommended, if anything."""
        return (self.recommended,) if self.recommended else ()

    @property
    def foremost(self) -> Scores:
        """What a reader is told first, and what is held against the baselines: what is recommended, else the method."""
        return self.recommended or self.method

    @property
    def predictors(self) -> list[tuple[str, Scores]]:
        """Everyone beside the name that readers see."""
        advised = [(each.name, each) for each in self.advised]
        ceiling = [(f"ceiling: {self.ceiling.name}", self.ceiling)] if self.ceiling else []
        baselines = [(label(each.name), each) for each in self.baselines]
        return [*advised, (self.method.name, self.method), *baselines, *ceiling]

    def __repr__(self) -> str:
        tau, table = MEASURES["kendall_tau"], self.protocol["benchmark"]["name"]
        value = in_line(self.measures[tau.name], self.intervals[tau.name])
        return (
            f"<Report: {self.method.name} against {self.protocol['truth']} of {table}, {tau.title} {value}, "
            f"{len(self.truth):,} architectures>"
        )

    def _repr_html_(self) -> str:
        rows = [
            [name, *(compact(each.measures[m.name], each.intervals[m.name]) for m in MAIN)]
            for name, each in self.predictors
        ]
        return html_table(["predictor", *(m.title for m in MAIN)], rows, settings_text(self.protocol))

    def to_dict(self) -> dict[str, Any]:
        """One JSON document: the method's measures at the top level; undefined numbers are null."""
        return {
            **self.method.to_dict(),
            "recommended": self.recommended.to_dict() if self.recommended else None,
            "baselines": {scores.name: scores.to_dict() for scores in self.baselines},
            "ceiling": self.ceiling.to_dict() if self.ceiling else None,
            "protocol": jsonable(self.protocol),
        }


def left_out(protocol: Mapping[str, Any]) -> str:
    """How many architectures were left out because their truth was used, behind a comma; nothing where none was."""
    count = protocol["architectures"].get("left_out", 0)
    return f", {count:,} left out whose truth was used" if count else ""


def settings_text(protocol: Mapping[str, Any]) -> str:
    """What was scored against what, in one line."""
    chosen, table = protocol["architectures"], protocol["benchmark"]["name"]
    return (
        f"truth {protocol['truth']} of {table}, protocol {chosen['protocol']}, {chosen['scored']:,} architectures"
        f"{left_out(protocol)}; "
        f"brackets: {confidence(protocol)} intervals"
    )


def _curve(curve: ImprovementCurve | PruningCurve, *columns: str) -> dict[str, Any]:
    return {name: getattr(curve, name) for name in ("remaining", *columns)}

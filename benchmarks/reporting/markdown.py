"""Reports as Markdown, for a paper's repository or an issue: the same words and numbers as the page."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from oneshot.benchmarks.display import confidence, in_line, jsonable, label
from oneshot.benchmarks.reporting.text import headline, table_rows
from oneshot.benchmarks.reporting.verdict import verdicts
from oneshot.benchmarks.reporting.words import explained
from oneshot.benchmarks.scoring.catalogue import MEASURES
from oneshot.benchmarks.scoring.compare import Comparison, Estimate
from oneshot.benchmarks.scoring.result import Report, settings_text


def markdown(report: Report) -> str:
    """The report, with its figures as links to the files beside it."""
    won = [["measure", label(report.foremost.name), "best trivial baseline", "difference", ""]]
    for each in verdicts(report):
        value, own = each.measure.digits, report.foremost.measures[each.measure.name]
        won.append([each.measure.title, f"{own:.{value}f}", f"{each.value:.{value}f}", each.text, each.says])
    parts = [
        f"# {escaped(report.method.name)} against {escaped(report.protocol['benchmark']['name'])}",
        escaped(headline(report)),
        *([table(won)] if len(won) > 1 else []),
        f"Brackets are {confidence(report.protocol)} intervals over architectures.",
        table(table_rows(report, tuple(MEASURES.values()))),
        "\n".join(f"- **{escaped(name)}**: {escaped(meaning)}" for name, meaning in explained(report)),
        *(f"![{name}]({name}.png)" for name in ("improvement", "pruning", "scatter")),
        folded("Protocol", report.protocol),
    ]
    return "\n\n".join(parts) + "\n"


def comparison_markdown(comparison: Comparison) -> str:
    """The comparison, with its figures as links to the files beside it."""
    names = [escaped(name) for name in comparison.reports]
    differences = [_row(each, comparison.mark) for each in comparison.differences]
    head = ["", *(measure.title for measure in MEASURES.values())]
    parts = [
        f"# {', '.join(names)} against {escaped(comparison.protocol['benchmark']['name'])}",
        f"The first less the second; a star marks intervals ({confidence(comparison.protocol)}) that exclude 0. "
        f"{escaped(comparison.note)}",
        *([table(_turned([head, *differences]))] if differences else []),
        f"Scored with {escaped(settings_text(comparison.protocol))}.",
        table(_turned([head, *(_row(each) for each in comparison.methods)])),
        *(f"![{name}]({name}.png)" for name in ("differences", "improvement", "pruning")),
        folded("Protocol", comparison.protocol),
    ]
    return "\n\n".join(parts) + "\n"


def table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, headings first."""
    lines = [f"| {' | '.join(escaped(cell) for cell in row)} |" for row in rows]
    return "\n".join([lines[0], f"|{'---|' * len(rows[0])}", *lines[1:]])


def folded(title: str, document: Any) -> str:
    text = json.dumps(jsonable(document), indent=2, ensure_ascii=False).replace("```", "` ` `")
    return f"<details><summary>{title}</summary>\n\n```json\n{text}\n```\n\n</details>"


def escaped(text: str) -> str:
    """Foreign names as they are: no markup, no link, no cell of its own, no line of its own; numbers stay readable."""
    text = re.sub(r"([\\`*|])|(?<!\w)_|_(?!\w)", lambda found: "\\" + found[0], " ".join(text.split()))
    return text.replace("](", "]\\(").replace("][", "]\\[").replace("<", "&lt;")


def _row(estimate: Estimate, mark: bool = False) -> list[str]:
    def cell(name: str) -> str:
        value = estimate.values[name]
        star = "*" if len(estimate.names) == 2 and np.isfinite(value) and estimate.better(name) else ""
        return in_line(value, estimate.intervals[name], MEASURES[name].digits) + star

    return [estimate.label(mark), *(cell(name) for name in MEASURES)]


def _turned(rows: Sequence[Sequence[str]]) -> list[list[str]]:
    return [list(row) for row in zip(*rows, strict=True)]

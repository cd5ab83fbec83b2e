"""A report as files: JSON, figures, and one HTML page that needs nothing else; and as rows for a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.benchmarks.display import compact, confidence, jsonable, label
from oneshot.benchmarks.reporting.markdown import markdown
from oneshot.benchmarks.reporting.plots import improvement_figure, pruning_figure, save, scatter_figure
from oneshot.benchmarks.reporting.style import STYLE
from oneshot.benchmarks.reporting.text import alike, headline, table_rows
from oneshot.benchmarks.reporting.verdict import BETTER, OPEN, WORSE, verdicts
from oneshot.benchmarks.reporting.words import explained
from oneshot.benchmarks.scoring.catalogue import MAIN, MEASURES
from oneshot.benchmarks.scoring.result import Report

from oneshot.base.figures import INK
from oneshot.base.files import write_json, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

FIGURES = {
    "improvement": "The worst predicted are removed one by one: how good, truly, are those left?",
    "pruning": "The truly worst are removed one by one: do predictions still rank the good ones?",
    "scatter": "Predicted against true, one point an architecture.",
}


def write_report(report: Report, out_dir: str | Path) -> Path:
    """Writes report.json and .md, improvement, pruning and scatter as PNG and SVG, and report.html; returns the page.

    Each file is written whole or not at all, the page last. OSError where the folder cannot be written.
    """
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "report.json", report.to_dict())
    figures: dict[str, Figure] = {
        "improvement": improvement_figure(report),
        "pruning": pruning_figure(report),
        "scatter": scatter_figure(report),
    }
    drawings = {name: save(figure, out / name)[1].read_text(encoding="utf-8") for name, figure in figures.items()}
    write_text(out / "report.md", markdown(report))
    write_text(out / "report.html", page(report, drawings))
    return out / "report.html"


def page(report: Report, drawings: dict[str, str]) -> str:
    """One HTML document with the drawings (SVG documents by the names in `FIGURES`) inside."""
    head, *body = table_rows(report, tuple(MEASURES.values()))
    cells = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in head)
    rows = "".join(f"<tr>{html_row(row, head)}</tr>" for row in body)
    figures = "".join(
        f"<figure>{inlined(drawings[name])}<figcaption>{escape(caption)}</figcaption></figure>"
        for name, caption in FIGURES.items()
    )
    notes = [
        f"{scores.name}, {MEASURES[m].title}: {why}"
        for scores in report.everyone
        for m, why in scores.undefined.items()
    ]
    missing = f"<p>Undefined: {escape('; '.join(notes))}.</p>" if notes else ""
    title = f"{report.method.name} against {report.protocol['benchmark']['name']}"
    return document(
        title,
        f"""<p class="headline">{escape(headline(report, in_full=False))}</p>
{verdict_list(report)}
<h2>Measures</h2>
<p>Brackets are {confidence(report.protocol)} intervals over architectures.
{escape(" ".join(alike(report.protocol)))}</p>
<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>{missing}
<details><summary>What the names mean</summary><dl>{meanings(report)}</dl></details>
<h2>Figures</h2>{figures}
<details><summary>Protocol</summary>{definitions(report.protocol)}</details>""",
    )


def document(title: str, body: str) -> str:
    """An HTML document with a heading, that needs nothing else."""
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title><style>{STYLE}</style></head><body>
<h1>{escape(title)}</h1>
{body}
</body></html>
"""


def definitions(protocol: dict[str, Any]) -> str:
    """A protocol as an HTML list."""
    entries = "".join(f"<dt>{escape(k)}</dt><dd>{escape(v)}</dd>" for k, v in _flat(jsonable(protocol)))
    return f"<dl>{entries}</dl>"


def verdict_list(report: Report) -> str:
    """Of each main measure, whether the predictions beat the best trivial baseline, as an HTML list."""
    found = verdicts(report)
    if not found:
        return ""
    signs = {BETTER: "better", OPEN: "not told apart", WORSE: "worse"}
    rows = "".join(
        f'<li class="{each.says}"><strong>{signs[each.says]}</strong> {escape(each.measure.title)} '
        f"<small>{escape(each.text)}</small></li>"
        for each in found
    )
    caption = f"{label(report.foremost.name)}, against the best trivial baseline of each measure"
    caption = escape(f"{caption}; not told apart where the interval holds 0.")
    return f'<h2>Does it beat what needs no training?</h2><p>{caption}</p><ul class="verdicts">{rows}</ul>'


def meanings(report: Report) -> str:
    """Names and what they mean, as entries of an HTML list."""
    return "".join(f"<dt>{escape(name)}</dt><dd>{escape(meaning)}</dd>" for name, meaning in explained(report))


def html_row(row: Sequence[str], head: Sequence[str]) -> str:
    """Cells that know their heading, which a narrow page shows beside each."""
    first, *rest = row
    cells = "".join(
        f'<td data-of="{escape(name)}">{html_cell(cell)}</td>' for name, cell in zip(head[1:], rest, strict=True)
    )
    return f"<td>{html_cell(first)}</td>{cells}"


def rich_table(report: Report) -> Table:
    """The table for a terminal of 100 columns: one row a predictor, one column a main measure."""
    from rich.text import Text

    shown = report.protocol["architectures"]
    table = empty_table(
        "predictor", f"{confidence(report.protocol)} intervals over {len(report.truth):,} architectures"
    )
    table.title = f"truth {report.protocol['truth']}, protocol {shown['protocol']}"
    for name, scores in report.predictors:
        cells = [compact(scores.measures[m.name], scores.intervals[m.name]) for m in MAIN]
        ours = scores is report.method or scores is report.recommended
        table.add_row(Text(name), *map(Text, cells), style="bold" if ours else "")
    return table


def empty_table(first: str, caption: str) -> Table:
    """The columns of the main measures."""
    from rich.box import SIMPLE
    from rich.table import Table

    table = Table(box=SIMPLE, caption=f"brackets: {caption}", caption_justify="left", title_justify="left", padding=0)
    table.add_column(first, overflow="fold", min_width=16)
    for measure in MAIN:
        table.add_column(measure.heading, justify="right", no_wrap=True)
    return table


def html_cell(text: str) -> str:
    """A value with its interval below."""
    value, bracket, interval = text.partition(" [")
    return f"{escape(value)}<small>[{escape(interval)}</small>" if bracket else escape(value)


def inlined(svg: str) -> str:
    """The drawing without its XML head, its ink that of the page."""
    return re.sub(r"^.*?(?=<svg )", "", svg, count=1, flags=re.DOTALL).replace(INK, "currentColor")


def _flat(document: dict[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested entries as (dotted key, text)."""
    entries = []
    for key, value in document.items():
        if isinstance(value, dict):
            entries += _flat(value, f"{prefix}{key}.")
        else:
            entries.append((f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)))
    return entries

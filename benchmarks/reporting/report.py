"""A report as files: JSON, figures, and one HTML page that needs nothing else; and as rows for a terminal."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from oneshot.benchmarks.display import compact, confidence, in_line, jsonable, label
from oneshot.benchmarks.reporting.plots import improvement_figure, pruning_figure, save, scatter_figure
from oneshot.benchmarks.scoring.catalogue import MAIN, MEASURES, Measure
from oneshot.benchmarks.scoring.result import Report, Scores, left_out

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

STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5b6570; --paper: #fdfdfc; --line: #d9dee3; --mark: #eaf3fa; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e9ec; --soft: #9aa5b1; --paper: #15181c; --line: #343a41; --mark: #1b2a36; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.2rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; line-height: 1.25; overflow-wrap: anywhere; } h2 { font-size: 1.15rem; margin-top: 2rem; }
p, figcaption, small { color: var(--soft); }
.headline { font-size: 1.15rem; color: var(--ink); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .92rem; font-variant-numeric: tabular-nums; }
th, td { padding: .4rem .8rem .4rem 0; border-bottom: 1px solid var(--line); text-align: right; vertical-align: top; }
th:first-child, td:first-child { text-align: left; position: sticky; left: 0; background: var(--paper); }
td:nth-child(2) { background: var(--mark); padding-left: .8rem; } th:nth-child(2) { padding-left: .8rem; }
td small { display: block; white-space: nowrap; }
figure { margin: 1.5rem 0; overflow-x: auto; }
figure svg { width: 100%; min-width: 26rem; max-width: 46rem; height: auto; }
svg text { font-family: system-ui, sans-serif !important; }
dl { display: grid; grid-template-columns: minmax(0, 2fr) minmax(0, 5fr); gap: .2rem 1rem; font-size: .92rem; }
dt { color: var(--soft); overflow-wrap: anywhere; } dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 34rem) { body { padding: .8rem; } dl { display: block; } dd { margin-bottom: .5rem; } }
"""


def write_report(report: Report, out_dir: str | Path) -> Path:
    """Writes report.json, improvement, pruning and scatter as PNG and SVG, and report.html; returns the page.

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
    write_text(out / "report.html", page(report, drawings))
    return out / "report.html"


def page(report: Report, drawings: dict[str, str]) -> str:
    """One HTML document with the drawings (SVG documents by the names in `FIGURES`) inside."""
    head, *body = table_rows(report, tuple(MEASURES.values()))
    cells = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in head)
    rows = "".join(f"<tr>{''.join(f'<td>{html_cell(cell)}</td>' for cell in row)}</tr>" for row in body)
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
        f"""<p class="headline">{escape(headline(report))}</p>
<h2>Measures</h2>
<p>Brackets are {confidence(report.protocol)} intervals over architectures. Ranks are shares of the evaluated that are
truly better: 0 is the best; regret is the best evaluated less the best of the ten best predicted. Recommended are the
predictions' ranks averaged with those of the best count of the space. Trivial baselines need no training; the ceiling
is a second measurement of the truth. {escape(" ".join(alike(report.protocol)))}</p>
<div class="wide"><table><thead><tr>{cells}</tr></thead><tbody>{rows}</tbody></table></div>{missing}
<h2>Figures</h2>{figures}
<h2>Protocol</h2>{definitions(report.protocol)}""",
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


def headline(report: Report) -> str:
    """The result in one sentence, with what it has to be compared with."""
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
    return " ".join([text + ".", *alike(report.protocol), *(f"Note: {note}." for note in report.notes)])


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

"""A comparison as files (JSON, figures, one HTML page) and as tables for a terminal."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from oneshot.benchmarks.display import UNDEFINED, confidence
from oneshot.benchmarks.reporting.markdown import comparison_markdown
from oneshot.benchmarks.reporting.plots import TRIVIAL, improvement_figure, pruning_figure, save
from oneshot.benchmarks.reporting.report import definitions, document, empty_table, html_cell, inlined
from oneshot.benchmarks.scoring.catalogue import MAIN, MEASURES, Measure
from oneshot.benchmarks.scoring.compare import Comparison, Estimate
from oneshot.benchmarks.scoring.result import settings_text

from oneshot.base.figures import INK, METHOD, new_figure
from oneshot.base.files import write_json, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table


def write_comparison(comparison: Comparison, out_dir: str | Path) -> Path:
    """Writes comparison.json and .md, figures as PNG and SVG, and comparison.html, the last, which it returns."""
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "comparison.json", comparison.to_dict())
    drawings = {"Differences of Kendall's tau.": save(difference_figure(comparison), out / "differences")[1]}
    figures = {"improvement": improvement_figure, "pruning": pruning_figure}
    captions = {"improvement": "Mean truth of the best predicted.", "pruning": "Correlation of the truly best."}
    for name, figure in figures.items():
        drawings[captions[name]] = save(figure(comparison.reports), out / name)[1]
    texts = {caption: path.read_text(encoding="utf-8") for caption, path in drawings.items()}
    write_text(out / "comparison.md", comparison_markdown(comparison))
    write_text(out / "comparison.html", page(comparison, texts))
    return out / "comparison.html"


def page(comparison: Comparison, drawings: dict[str, str]) -> str:
    """One HTML document with the drawings (SVG documents by their captions) inside."""
    figures = "".join(
        f"<figure>{inlined(svg)}<figcaption>{escape(caption)}</figcaption></figure>"
        for caption, svg in drawings.items()
    )
    title = f"{', '.join(comparison.reports)} against {comparison.protocol['benchmark']['name']}"
    return document(
        title,
        f"""<h2>Differences</h2>
<p>The first less the second; a star marks intervals ({confidence(comparison.protocol)}) that exclude 0.
{escape(comparison.note)}</p>
{_html_table(comparison.differences, comparison.mark)}
<h2>Measures</h2>
<p>Scored with {escape(settings_text(comparison.protocol))}. Means over the runs, ± the standard deviation of single
runs. Trivial baselines need no training; the ceiling is a second measurement of the truth itself.</p>
{_html_table(comparison.methods)}
<h2>Figures</h2>{figures}
<details><summary>Protocol</summary>{definitions(comparison.protocol)}</details>""",
    )


def method_table(comparison: Comparison) -> Table:
    """The scores of everything compared, for a terminal of 100 columns."""
    from rich.text import Text

    shown = comparison.protocol["architectures"]
    caption = f"{confidence(comparison.protocol)} intervals, {shown['scored']:,} architectures; ± sd of single runs"
    table = empty_table("predictor", caption)
    table.title = f"truth {comparison.protocol['truth']}, protocol {shown['protocol']}"
    for method in comparison.methods:
        style = "bold" if method.kind == "method" else ""
        table.add_row(Text(method.label()), *(Text(method.cell(m.name)) for m in MAIN), style=style)
    return table


def difference_table(comparison: Comparison) -> Table:
    """The differences, for a terminal of 100 columns; a star where the interval excludes 0."""
    from rich.text import Text

    table = empty_table("difference", f"{confidence(comparison.protocol)} intervals; * excludes 0. {comparison.note}")
    for difference in comparison.differences:
        cells = [Text(difference.cell(measure.name)) for measure in MAIN]
        table.add_row(Text(difference.label(comparison.mark)), *cells)
    return table


def difference_figure(comparison: Comparison) -> Figure:
    """Every difference of Kendall's tau with its interval, those between methods in colour."""
    tau = MEASURES["kendall_tau"]
    shown = [d for d in comparison.differences if np.isfinite(d.values[tau.name])]
    figure, axes = new_figure(height=1.2 + 0.35 * len(shown))
    axes.grid(visible=False, axis="y")
    axes.axvline(0, color=INK, linewidth=0.8)
    for row, difference in enumerate(shown):
        low, high = difference.intervals[tau.name]
        color = METHOD if all(name in comparison.reports for name in difference.names) else TRIVIAL[0]
        axes.plot([low, high], [row, row], color=color, linewidth=1.6)
        axes.plot([difference.values[tau.name]], [row], "o", color=color)
    names = [difference.label().replace("$", r"\$") for difference in shown]
    axes.set_yticks(range(len(shown)), names, fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.spines[["left"]].set_visible(False)
    axes.set_xlabel(f"difference of {tau.title}")
    return figure


def _html_table(estimates: tuple[Estimate, ...], mark: bool = False) -> str:
    """One row a measure, one column an estimate."""
    if not estimates:
        return ""
    names = [estimate.label(mark) for estimate in estimates]
    head = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in ("measure", *names))
    body = "".join(
        f"<tr><td>{escape(measure.title)}</td>{''.join(_html_cell(e, measure, mark) for e in estimates)}</tr>"
        for measure in MEASURES.values()
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _html_cell(estimate: Estimate, measure: Measure, mark: bool) -> str:
    return f'<td data-of="{escape(estimate.label(mark))}">{_html_value(estimate, measure)}</td>'


def _html_value(estimate: Estimate, measure: Measure) -> str:
    value, (low, high) = estimate.values[measure.name], estimate.intervals[measure.name]
    if not np.isfinite(value):
        return UNDEFINED
    spread, pair = estimate.spread[measure.name], len(estimate.names) == 2
    runs = f" ± {spread:.3f}" if not pair and max(estimate.runs) > 1 else ""
    star = "*" if pair and estimate.better(measure.name) else ""
    interval = f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else ""
    return html_cell(f"{value:{'+' if pair else ''}.3f}{runs}{star}{interval}")

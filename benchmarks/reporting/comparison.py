"""A comparison as files (JSON, figures, one HTML page) and as tables for a terminal."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from oneshot.benchmarks.reporting.plots import TRIVIAL, improvement_figure, label, pruning_figure, save
from oneshot.benchmarks.reporting.report import (
    MAIN,
    TITLES,
    compact,
    definitions,
    document,
    empty_table,
    html_cell,
    inlined,
    percent,
)
from oneshot.benchmarks.scoring.compare import ARCHITECTURES, Comparison, Estimate

from oneshot.base.figures import INK, METHOD, new_figure
from oneshot.base.files import write_json, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from rich.table import Table

ALONE = "†"


def write_comparison(comparison: Comparison, out_dir: str | Path) -> Path:
    """Writes comparison.json, figures as PNG and SVG, and comparison.html; returns the page, which is written last."""
    out = Path(out_dir)
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "comparison.json", comparison.to_dict())
    drawings = {"Differences of Kendall's tau.": save(difference_figure(comparison), out / "differences")[1]}
    figures = {"improvement": improvement_figure, "pruning": pruning_figure}
    captions = {"improvement": "Mean truth of the best predicted.", "pruning": "Correlation of the truly best."}
    for name, figure in figures.items():
        drawings[captions[name]] = save(figure(comparison.reports), out / name)[1]
    texts = {caption: path.read_text(encoding="utf-8") for caption, path in drawings.items()}
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
<p>The first less the second; a star marks intervals ({percent(comparison.protocol)}) that exclude 0.
{escape(note(comparison))}</p>
{_html_table(comparison.differences)}
<h2>Measures</h2>
<p>Means over the runs, ± the standard deviation of single runs. Trivial baselines need no training; the ceiling is a
second measurement of the truth itself.</p>
{_html_table(comparison.methods)}
<h2>Figures</h2>{figures}
<h2>Protocol</h2>{definitions(comparison.protocol)}""",
    )


def note(comparison: Comparison) -> str:
    """Over what the intervals of the differences are."""
    alone = [d.over == ARCHITECTURES for d in comparison.differences]
    if all(alone):
        return (
            "Intervals are over architectures alone: without several runs of a method they do not show training luck."
        )
    text = "Intervals are over architectures and training seeds"
    return text + (f"; {ALONE} over architectures alone." if any(alone) else ".")


def method_table(comparison: Comparison) -> Table:
    """The scores of everything compared, for a terminal of 100 columns."""
    from rich.text import Text

    shown = comparison.protocol["architectures"]
    caption = f"{percent(comparison.protocol)} intervals, {shown['scored']:,} architectures; ± sd of single runs"
    table = empty_table("predictor", caption)
    table.title = f"truth {comparison.protocol['truth']}, protocol {shown['protocol']}"
    for method in comparison.methods:
        cells = [compact(method.values[m], method.intervals[m], method.spread[m]) for m in MAIN]
        style = "bold" if method.kind == "method" else ""
        table.add_row(Text(_name(method)), *map(Text, cells), style=style)
    return table


def difference_table(comparison: Comparison) -> Table:
    """The differences, for a terminal of 100 columns; a star where the interval excludes 0."""
    from rich.text import Text

    mark = len({difference.over for difference in comparison.differences}) > 1
    table = empty_table("difference", f"{percent(comparison.protocol)} intervals; * excludes 0. {note(comparison)}")
    for difference in comparison.differences:
        cells = [
            _starred(difference, m, compact(difference.values[m], difference.intervals[m], sign="+")) for m in MAIN
        ]
        table.add_row(Text(_name(difference, mark)), *map(Text, cells))
    return table


def difference_figure(comparison: Comparison) -> Figure:
    """Every difference of Kendall's tau with its interval, those between methods in colour."""
    shown = [d for d in comparison.differences if np.isfinite(d.values["kendall_tau"])]
    figure, axes = new_figure(height=1.2 + 0.35 * len(shown))
    axes.grid(visible=False, axis="y")
    axes.axvline(0, color=INK, linewidth=0.8)
    for row, difference in enumerate(shown):
        low, high = difference.intervals["kendall_tau"]
        color = METHOD if all(name in comparison.reports for name in difference.names) else TRIVIAL[0]
        axes.plot([low, high], [row, row], color=color, linewidth=1.6)
        axes.plot([difference.values["kendall_tau"]], [row], "o", color=color)
    names = [_name(difference).replace("$", r"\$") for difference in shown]
    axes.set_yticks(range(len(shown)), names, fontsize=9, color=INK)
    axes.invert_yaxis()
    axes.spines[["left"]].set_visible(False)
    axes.set_xlabel("difference of Kendall's tau")
    return figure


def _name(estimate: Estimate, mark: bool = False) -> str:
    """The names with the number of runs where that is not one; `mark` if the interval is over architectures alone."""
    names = [f"{n} (×{k})" if k > 1 else n for n, k in zip(estimate.names, estimate.runs, strict=True)]
    if estimate.kind == "ceiling":
        return f"ceiling: {names[0]}"
    return " vs ".join(map(label, names)) + (f" {ALONE}" if mark and estimate.over == ARCHITECTURES else "")


def _starred(estimate: Estimate, measure: str, text: str) -> str:
    value, line, interval = text.partition("\n")
    return f"{value}{'*' if estimate.better(measure) else ''}{line}{interval}"


def _html_table(estimates: tuple[Estimate, ...]) -> str:
    """One row a measure, one column an estimate."""
    if not estimates:
        return ""
    mark = len(estimates[0].names) == 2 and len({estimate.over for estimate in estimates}) > 1
    names = [_name(estimate, mark) for estimate in estimates]
    head = "".join(f"<th scope=col>{escape(cell)}</th>" for cell in ("measure", *names))
    body = "".join(
        f"<tr><td>{escape(title)}</td>{''.join(f'<td>{_html_value(e, m)}</td>' for e in estimates)}</tr>"
        for m, title in TITLES.items()
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _html_value(estimate: Estimate, measure: str) -> str:
    value, (low, high) = estimate.values[measure], estimate.intervals[measure]
    if not np.isfinite(value):
        return "undefined"
    spread = f" ± {estimate.spread[measure]:.3f}" if len(estimate.names) == 1 and max(estimate.runs) > 1 else ""
    sign = "+" if len(estimate.names) == 2 else ""
    star = "*" if len(estimate.names) == 2 and estimate.better(measure) else ""
    interval = f" [{low:.3f}, {high:.3f}]" if np.isfinite(low) else ""
    return html_cell(f"{value:{sign}.3f}{spread}{star}{interval}")

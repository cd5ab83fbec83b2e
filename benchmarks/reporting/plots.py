"""The figures of a report: improvement, correlation while pruning, predicted against true.

Figures are matplotlib objects without a window or global state. Several reports of one protocol (training seeds) become
one line, their mean, in a band of one standard deviation; several methods by name, a line each beside the ceiling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from oneshot.benchmarks.display import in_line, label
from oneshot.benchmarks.scoring.catalogue import MEASURES
from oneshot.benchmarks.scoring.measures import LEFT
from oneshot.benchmarks.scoring.result import Report, Scores

from oneshot.base.figures import COLOURS, INK, METHOD, OTHERS, legend_below, new_figure, styled
from oneshot.base.files import replacing

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRIVIAL = COLOURS[1:]
"""Okabe and Ito's palette, which colour-blind readers can tell apart; the trivial baselines also differ in dashes."""
DASHES = (
    (0, (5, 2)),
    (0, (2, 1.5)),
    (0, (6, 2, 1, 2)),
    (0, (8, 3)),
    (0, (1, 1.5)),
    (0, (4, 1, 1, 1, 1, 1)),
    (0, (3, 3)),
)
SCATTER_POINTS = 2000
ON_TOP = 3
SQUARE = (5.2, 4.6)
FENCE = 3.0
"""Interquartile ranges from the quartiles to Tukey's outer fences; what is further would press all others together."""
SIDES = {0: "o", -2: "v", 2: "^", -1: "<", 1: ">"}
"""Markers of points within the axes, below, above, left and right of them."""
TAU = MEASURES["kendall_tau"]

Reports = Report | Sequence[Report] | Mapping[str, Sequence[Report]]


def improvement_figure(reports: Reports) -> Figure:
    """`plot_improvement` as a figure of its own."""
    figure, axes = new_figure()
    plot_improvement(reports, axes)
    return figure


def pruning_figure(reports: Reports) -> Figure:
    """`plot_pruning` as a figure of its own."""
    figure, axes = new_figure()
    plot_pruning(reports, axes)
    return figure


def scatter_figure(report: Report) -> Figure:
    """`plot_ranks` as a figure of its own."""
    figure, axes = new_figure(*SQUARE)
    plot_ranks(report, axes)
    return figure


def plot_improvement(reports: Reports, axes: Axes | None = None) -> Axes:
    """Mean truth of the best predicted that are left, down to ten; normalised on the right (the paper's Fig. 4)."""
    runs, predictors = _drawn(reports)
    axes = styled(axes)
    last = LEFT if runs[0].method.improvement.remaining[0] > 2 * LEFT else 1
    for scores, style in predictors:
        shown = scores[0].improvement.remaining >= last
        _line(axes, scores, lambda s: s.improvement, "accuracy", style, shown)
    _architectures_left(axes, runs[0].method.improvement.remaining[0], last)
    axes.set_xlabel("architectures left, the best predicted (log scale)")
    axes.set_ylabel(f"mean truth of those left ({_unit(runs[0])})")
    mean, best = (
        float(np.mean(v)) for v in zip(*((r.truth.mean(), r.method.improvement.best) for r in runs), strict=True)
    )
    if best > mean:
        scale = best - mean
        both_ways: Any = (lambda v: (v - mean) / scale, lambda v: v * scale + mean)
        right = axes.secondary_yaxis("right", functions=both_ways)
        right.set_ylabel("improvement (0: mean of all, 1: best)")
        right.tick_params(colors=INK)
        right.yaxis.label.set_color(INK)
        right.spines["right"].set_visible(False)
    legend_below(axes)
    return axes


def plot_pruning(reports: Reports, axes: Axes | None = None) -> Axes:
    """Kendall's tau with the truth as the truly worst are removed (the paper's Fig. 3 bottom)."""
    runs, predictors = _drawn(reports)
    axes = styled(axes)
    axes.axhline(0, color=INK, linewidth=0.8, alpha=0.5)
    for scores, style in predictors:
        _line(axes, scores, lambda s: s.pruning, TAU.name, style)
    remaining = runs[0].method.pruning.remaining
    _architectures_left(axes, remaining[0], remaining[-1])
    axes.set_xlabel("architectures left, the truly best (log scale)")
    axes.set_ylabel(f"{TAU.title} with the truth")
    legend_below(axes)
    return axes


def plot_ranks(report: Report, axes: Axes | None = None) -> Axes:
    """Predicted against true, one point an architecture; of many, evenly spaced ones in the order of truth.

    The axes are those of the bulk; what lies beyond is a triangle at their border.
    """
    order = np.argsort(report.truth, kind="stable")
    shown = order[np.linspace(0, len(order) - 1, min(len(order), SCATTER_POINTS)).round().astype(int)]
    axes = styled(axes, *SQUARE)
    beyond = _scatter(axes, report, shown)
    axes.set_xlabel("predicted (as the predictor scales it)")
    axes.set_ylabel(f"truth ({_unit(report)})")
    tau = in_line(report.measures[TAU.name], report.intervals[TAU.name])
    words = f"\n{beyond:,} of them beyond the axes: triangles" if beyond else ""
    axes.set_title(f"{TAU.title} {tau}, {len(order):,} architectures{words}", fontsize=10, color=INK)
    return axes


def bulk(values: np.ndarray) -> tuple[float, float]:
    """The least and the most of what lies within Tukey's outer fences; where half are equal, of all that is finite."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return 0.0, 0.0
    low, high = np.quantile(finite, (0.25, 0.75))
    reach = FENCE * (high - low)
    inside = finite[(finite >= low - reach) & (finite <= high + reach)] if reach > 0 else finite
    return float(inside.min()), float(inside.max())


def save(figure: Figure, stem: str | Path) -> tuple[Path, Path]:
    """Writes STEM.png (white) and STEM.svg (transparent, text as text), each whole or not at all."""
    import matplotlib as mpl

    png, svg = (Path(f"{stem}{suffix}") for suffix in (".png", ".svg"))
    with replacing(png) as temporary:
        figure.savefig(temporary, format="png", dpi=160, facecolor="white")
    with replacing(svg) as temporary, mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": png.stem}):
        figure.savefig(temporary, format="svg", transparent=True, metadata={"Date": None})
    return png, svg


def verbatim(text: str) -> str:
    """The text for matplotlib, which takes dollars for formulas and hides labels that begin with an underscore."""
    return ("\u200b" + text if text.startswith("_") else text).replace("$", r"\$")


def _scatter(axes: Axes, report: Report, shown: np.ndarray) -> int:
    """Draw those of a report's points; how many of all are beyond the axes."""
    x, far_x = _within(report.predicted, axes.set_xlim)
    y, far_y = _within(report.truth, axes.set_ylim)
    sides = np.where(far_y != 0, 2 * far_y, far_x)
    look: dict[str, Any] = {"color": METHOD, "alpha": 0.7 if len(shown) <= 300 else 0.4, "linewidths": 0}
    for side, marker in SIDES.items():
        those = shown[sides[shown] == side]
        if len(those):
            axes.scatter(x[those], y[those], s=26 if side else 14, marker=marker, clip_on=not side, **look)
    return int((sides != 0).sum())


def _within(values: np.ndarray, limit: Callable[[float, float], tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """The values at the limits where they are beyond the bulk, -1 or 1 there; an axis without such is left alone."""
    low, high = bulk(values)
    far = (values > high).astype(int) - (values < low)
    if not far.any():
        return values, far
    margin = 0.05 * (high - low)
    return np.clip(values, *limit(low - margin, high + margin)), far


def _drawn(reports: Reports) -> tuple[list[Report], list[tuple[list[Scores], dict[str, Any]]]]:
    """All runs, and the scores of each predictor with how it is drawn, in the order of the legend."""
    if isinstance(reports, Mapping):
        runs = _checked([run for group in reports.values() for run in group])
        return runs, [*_methods(reports), *_ceiling(runs)]
    runs = _checked([reports] if isinstance(reports, Report) else list(reports))
    name = verbatim(runs[0].method.name) if len(runs) == 1 else f"mean of {len(runs)} runs ± 1 sd"
    look = {"color": METHOD, "linestyle": "-", "linewidth": 2.4, "label": name, "zorder": ON_TOP}
    return runs, [([run.method for run in runs], look), *_advised(runs), *_baselines(runs), *_ceiling(runs)]


def _checked(runs: list[Report]) -> list[Report]:
    if not runs:
        raise ValueError("expected at least one report to plot")
    for run in runs[1:]:
        if not np.array_equal(run.method.improvement.remaining, runs[0].method.improvement.remaining):
            raise ValueError(
                f"reports of {len(runs[0].truth)} and {len(run.truth)} architectures have no common curve; "
                "score all runs on equally many"
            )
    return runs


def _methods(groups: Mapping[str, Sequence[Report]]) -> list[tuple[list[Scores], dict[str, Any]]]:
    found = []
    for i, (name, runs) in enumerate(groups.items()):
        color, dash = (METHOD, *TRIVIAL)[i % (1 + len(TRIVIAL))], ("-", *DASHES)[i // (1 + len(TRIVIAL)) % len(DASHES)]
        look = {"color": color, "linestyle": dash, "linewidth": 1.8, "zorder": ON_TOP - i / 100}
        number = f" (×{len(runs)})" if len(runs) > 1 else ""
        found.append(([run.method for run in runs], {**look, "label": verbatim(name) + number}))
    return found


def _advised(runs: Sequence[Report]) -> list[tuple[list[Scores], dict[str, Any]]]:
    """What is recommended, where every run has it."""
    found = [each for run in runs for each in run.advised]
    look = {"color": INK, "linestyle": "-", "linewidth": 2.0, "label": found[0].name if found else "", "zorder": ON_TOP}
    return [(found, look)] if len(found) == len(runs) else []


def _baselines(runs: Sequence[Report]) -> list[tuple[list[Scores], dict[str, Any]]]:
    found = []
    for i, baseline in enumerate(runs[0].baselines):
        same = [run.baselines[i] for run in runs if len(run.baselines) > i and run.baselines[i].name == baseline.name]
        color, dash = TRIVIAL[i % len(TRIVIAL)], DASHES[(i + i // len(TRIVIAL)) % len(DASHES)]
        look = {"color": color, "linestyle": dash, "linewidth": 1.5}
        found.append((same, {**look, "label": verbatim(label(baseline.name))}))
    return found


def _ceiling(runs: Sequence[Report]) -> list[tuple[list[Scores], dict[str, Any]]]:
    ceilings = [run.ceiling for run in runs if run.ceiling is not None]
    if not ceilings:
        return []
    name = f"ceiling: {verbatim(ceilings[0].name)}"
    return [(ceilings, {"color": OTHERS, "linestyle": (0, (1, 1)), "linewidth": 2.0, "label": name})]


def _line(
    axes: Axes,
    scores: Sequence[Scores],
    curve: Callable[[Scores], Any],
    column: str,
    style: dict[str, Any],
    shown: np.ndarray | slice = slice(None),
) -> None:
    """The mean of one curve over the runs, in the band of their spread; runs may be cut at other sizes by ties."""
    at = curve(scores[0]).remaining
    rows = [np.interp(at, curve(s).remaining[::-1], getattr(curve(s), column)[::-1]) for s in scores]
    mean = np.mean(rows, axis=0)
    axes.plot(at[shown], mean[shown], **style)
    if len(rows) > 1:
        spread = np.std(rows, axis=0, ddof=1)
        low, high = (mean - spread)[shown], (mean + spread)[shown]
        axes.fill_between(at[shown], low, high, color=style["color"], alpha=0.18, linewidth=0)


def _architectures_left(axes: Axes, most: int, least: int) -> None:
    """A falling logarithmic axis with plain numbers."""
    from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

    axes.set_xscale("log")
    axes.set_xlim(most * 1.03, least * 0.97)
    ticks = [int(most), *(t for t in (step * 10**e for e in range(7) for step in (1, 3)) if least <= t < most * 0.6)]
    axes.xaxis.set_major_locator(FixedLocator(ticks))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    axes.xaxis.set_minor_formatter(NullFormatter())


def _unit(report: Report) -> str:
    """The truth column, in percent where its values can be nothing else."""
    return f"{verbatim(report.protocol['truth'])}{', %' if report.truth.max() > 1.5 else ''}"

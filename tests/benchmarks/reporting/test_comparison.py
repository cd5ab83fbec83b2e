"""A comparison as files and as tables of a terminal."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from oneshot.benchmarks.reporting.comparison import (
    difference_figure,
    difference_table,
    method_table,
    write_comparison,
)
from oneshot.benchmarks.scoring.catalogue import MAIN
from oneshot.benchmarks.scoring.compare import Comparison, compare
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.score import score_all
from oneshot.benchmarks.table import Benchmark
from rich.console import Console
from rich.table import Table


@pytest.fixture
def comparison(table: Benchmark, predicted: Predicted) -> Comparison:
    """Two runs of a method with a long, hostile name, and one of a far worse one."""
    rng = np.random.default_rng(0)
    noisy = [replace(predicted, accuracy=predicted.accuracy + rng.normal(0, sd, 40)) for sd in (0.001, 0.001, 5.0)]
    first, second, third = score_all(noisy, table, bootstraps=50)
    return compare({"<b>supernet</b> of $70 & more, quite a long name": [first, second], "noise": [third]})


def shown(table: Table, width: int = 100) -> str:
    console = Console(width=width, file=io.StringIO())
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_tables_fit_into_a_hundred_columns(comparison: Comparison) -> None:
    for table in (method_table(comparison), difference_table(comparison)):
        narrow, wide = shown(table), shown(table, 300)
        assert max(map(len, narrow.splitlines())) <= 100
        assert "…" not in narrow
        numbers = re.compile(r"[-+]?\d?\.\d{3}")
        assert numbers.findall(narrow) == numbers.findall(wide)


def test_every_predictor_and_difference_has_its_row(comparison: Comparison) -> None:
    text = shown(method_table(comparison), 200)
    tau = comparison.methods[3].values["kendall_tau"]
    assert f"{tau:.3f}".replace("0.", ".", 1) in text
    assert "quite a long name (×2)" in text
    assert "ceiling: digits_valid_20" in text
    assert "±" in text
    text = shown(difference_table(comparison), 200)
    for method in ("noise", "noise + recommended"):
        assert [text.count(f" {method} vs {fact}") for fact in ("parameters", "convolutions")] == [1, 1]
    assert text.count(" vs ") == 2 + 2 + 4 * 2
    assert "†" in text


def test_stars_mark_what_excludes_zero(comparison: Comparison) -> None:
    rows = [line for line in shown(difference_table(comparison), 200).splitlines() if " vs " in line]
    for row, difference in zip(rows, comparison.differences, strict=True):
        starred = [cell.endswith("*") for cell in re.findall(r"[-+]\d*\.\d{1,3}\*?(?=\s|$)", row)]
        measures = [measure.name for measure in MAIN]
        expected = [difference.better(m) is not None for m in measures if np.isfinite(difference.values[m])]
        assert starred == expected


def test_the_note_says_over_what_intervals_are(comparison: Comparison) -> None:
    assert "† over architectures alone" in comparison.note
    single = compare({name: reports[:1] for name, reports in comparison.reports.items()})
    assert "do not show training luck" in single.note
    assert "†" not in shown(difference_table(single))
    only = compare({"a": next(iter(comparison.reports.values()))})
    assert only.note == "Intervals are over architectures and training seeds."


def test_files_of_a_comparison(comparison: Comparison, tmp_path: Path) -> None:
    page = write_comparison(comparison, tmp_path / "out")
    stems = ["differences", "improvement", "pruning"]
    figures = [f"{stem}.{kind}" for stem in stems for kind in ("png", "svg")]
    texts = [f"comparison.{kind}" for kind in ("html", "json", "md")]
    assert sorted(p.name for p in page.parent.iterdir()) == sorted([*figures, *texts])
    assert json.loads((page.parent / "comparison.json").read_text()) == comparison.to_dict()
    text = page.read_text()
    HTMLParser().feed(text)
    assert text.count("<svg ") == 3
    assert "<b>supernet" not in text
    assert "&lt;b&gt;supernet&lt;/b&gt; of $70 &amp; more" in text
    for difference in comparison.differences:
        low, high = difference.intervals["kendall_tau"]
        assert np.isnan(low) or f"[{low:.3f}, {high:.3f}]" in text
    assert comparison.protocol["benchmark"]["sha256"] in text
    assert "Scored with truth digits_test_20 of small, protocol predicted, 40 architectures" in text


def test_the_figure_draws_every_difference(comparison: Comparison) -> None:
    axes = difference_figure(comparison).axes[0]
    points = [line for line in axes.lines if line.get_marker() == "o"]
    drawn = [float(np.asarray(line.get_xdata())[0]) for line in points]
    values = [difference.values["kendall_tau"] for difference in comparison.differences]
    assert drawn == [value for value in values if np.isfinite(value)]  # all cells have six convolutions
    assert len(axes.get_yticklabels()) == len(drawn) == 8

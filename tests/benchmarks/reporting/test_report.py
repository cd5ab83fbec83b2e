"""The report as files and as rows."""

from __future__ import annotations

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from oneshot.benchmarks.display import compact
from oneshot.benchmarks.reporting.report import headline, rich_table, table_rows, write_report
from oneshot.benchmarks.scoring.catalogue import MAIN, MEASURES
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.result import Report
from oneshot.benchmarks.scoring.score import score
from oneshot.benchmarks.table import Benchmark
from rich.console import Console

VOID = {"meta", "br", "img", "link", "input"}


@pytest.fixture
def report(table: Benchmark, predicted: Predicted) -> Report:
    return score(predicted, table, bootstraps=20)


class Balanced(HTMLParser):
    """Checks that tags close in order, and collects what is loaded from elsewhere."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.loaded: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v and not v.startswith("#")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.loaded += [v for k, v in attrs if k in ("src", "href", "xlink:href") and v and not v.startswith("#")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_is_a_folder_of_files(report: Report, tmp_path: Path) -> None:
    page = write_report(report, tmp_path / "deep" / "report")
    figures = [f"{name}.{kind}" for name in ("improvement", "pruning", "scatter") for kind in ("png", "svg")]
    texts = [f"report.{kind}" for kind in ("html", "json", "md")]
    assert sorted(path.name for path in page.parent.iterdir()) == sorted([*figures, *texts])
    assert json.loads((page.parent / "report.json").read_text()) == report.to_dict()


def test_the_page_stands_alone(report: Report, tmp_path: Path) -> None:
    text = write_report(report, tmp_path).read_text()
    parser = Balanced()
    parser.feed(text)
    assert not parser.open
    assert not parser.loaded
    assert text.count("<svg ") == 3
    assert not re.search(r"@import|url\((?!#)", text)
    assert "prefers-color-scheme: dark" in text
    assert "currentColor" in text
    references = set(re.findall(r'(?:url\(#|xlink:href="#)([^)"]+)', text))
    identities = re.findall(r'\bid="([^"]+)"', text)
    assert references
    assert all(identities.count(name) >= 1 for name in references)


def test_the_page_shows_every_number_and_the_protocol(report: Report, tmp_path: Path) -> None:
    text = write_report(report, tmp_path).read_text()
    for scores in report.everyone:
        for name, value in scores.measures.items():
            digits = 0 if name.endswith("rank_at_10_absolute") else 3
            assert (f"{value:.{digits}f}<" if np.isfinite(value) else "undefined") in text
    assert report.protocol["benchmark"]["sha256"] in text
    assert "predictions.protocol.seed" in text
    assert all(MEASURES[name].title.replace("'", "&#x27;") in text for name in report.measures)


def test_foreign_text_is_escaped(table: Benchmark, predicted: Predicted, tmp_path: Path) -> None:
    hostile = replace(predicted, name="<script>x</script>", protocol={"<b>": "<img src=x onerror=y>"})
    text = write_report(score(hostile, table, bootstraps=5), tmp_path).read_text()
    assert "<script" not in text
    assert "<img" not in text
    assert "<b>" not in text
    assert "&lt;script&gt;" in text


def test_rows_for_a_terminal(report: Report) -> None:
    head, *rows = table_rows(report)
    names = ["recommended", "noisy", "parameters", "convolutions", "ceiling: digits_valid_20"]
    assert head == ["measure", *names]
    assert [row[0] for row in rows] == [measure.title for measure in MAIN]
    low, high = report.intervals["kendall_tau"]
    assert rows[0][2] == f"{report.measures['kendall_tau']:.3f} [{low:.3f}, {high:.3f}]"
    assert "with digits_test_20 on 40 architectures; the best trivial baseline (parameters)" in headline(report)
    assert headline(report).startswith("Recommended (ranks of accuracy and live parameters averaged): Kendall's tau ")
    assert "; noisy alone 0." in headline(report)
    assert "The same ranking: parameters and multiply adds and live parameters" in headline(report)
    raw = replace(report, recommended=None)
    assert headline(raw).startswith(f"Kendall's tau {rows[0][2]} with digits_test_20")


def test_the_terminal_table_fits_into_a_hundred_columns(report: Report) -> None:
    renamed = replace(report, method=replace(report.method, name="a-file-with-quite-a-long-name-0.parquet"))
    table = rich_table(renamed)
    assert (table.row_count, len(table.columns)) == (len(report.everyone), len(MAIN) + 1)
    console = Console(width=100, file=io.StringIO())
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "…" not in text
    for scores in report.everyone:
        cell = compact(scores.measures["kendall_tau"], scores.intervals["kendall_tau"])
        assert all(line in text for line in cell.splitlines())
    assert "truth digits_test_20, protocol predicted" in text


def test_compact_numbers() -> None:
    nan = float("nan")
    assert compact(0.6056, (0.5806, 0.6304)) == ".606\n[.581 .630]"
    assert compact(-0.05, (-0.1, 0.0)) == "-.050\n[-.100 .000]"
    assert compact(0.05, (-1.25, 1.0), sign="+") == "+.050\n[-1.25 1.00]"
    assert compact(0.9996, (9.994, 12.34)) == "1.00\n[9.99 12.3]"
    assert compact(0.588, (0.4, 0.8), spread=0.0244) == ".588 ±.024\n[.400 .800]"
    assert compact(0.5, (nan, nan)) == ".500"
    assert compact(nan, (nan, nan)) == "undefined"


def test_undefined_measures_say_why(table: Benchmark, predicted: Predicted, tmp_path: Path) -> None:
    constant = score(replace(predicted, accuracy=np.ones(40)), table, bootstraps=5)
    assert table_rows(constant)[1][1] == "undefined"
    assert "the predictions are constant" in write_report(constant, tmp_path).read_text()


def test_an_unwritable_folder_is_an_error_without_partial_files(report: Report, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OSError, match="file"):
        write_report(report, tmp_path / "file" / "report")
    assert (tmp_path / "file").read_text() == "in the way"

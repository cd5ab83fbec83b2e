"""Who wins a measure, and whether the interval tells."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from oneshot.benchmarks.reporting.markdown import comparison_markdown, escaped, markdown
from oneshot.benchmarks.reporting.text import headline
from oneshot.benchmarks.reporting.verdict import BETTER, OPEN, WORSE, in_words, not_won, verdicts
from oneshot.benchmarks.reporting.words import MEASURES as WORDS
from oneshot.benchmarks.scoring.catalogue import MAIN, MEASURES
from oneshot.benchmarks.scoring.compare import compare
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.score import Report, score
from oneshot.benchmarks.table import Benchmark


def of(predicted: Predicted, table: Benchmark, accuracy: np.ndarray) -> Report:
    return score(replace(predicted, accuracy=accuracy), table, bootstraps=200)


@pytest.fixture
def truth(table: Benchmark, predicted: Predicted) -> np.ndarray:
    return table.values("digits_test_20")[table.rows_of(predicted.archs)]


def test_what_is_sure_and_what_is_not(table: Benchmark, predicted: Predicted, truth: np.ndarray) -> None:
    perfect = {v.measure.name: v for v in verdicts(of(predicted, table, truth))}
    assert set(perfect) <= {measure.name for measure in MAIN}
    assert perfect["kendall_tau"].says == BETTER
    assert perfect["kendall_tau"].interval[0] > 0
    assert "Kendall's tau (" not in not_won(of(predicted, table, truth))
    reversed_ = {v.measure.name: v for v in verdicts(of(predicted, table, -truth))}
    assert reversed_["kendall_tau"].says == WORSE
    assert reversed_["kendall_tau"].interval[1] < 0


def test_the_rival_is_the_best_of_each_measure(table: Benchmark, predicted: Predicted) -> None:
    report = score(predicted, table, bootstraps=50)
    assert report.recommended is not None
    for each in verdicts(report):
        values = {b.name: b.measures[each.measure.name] for b in report.baselines}
        best = min if each.measure.less_is_better else max
        assert each.value == best(v for v in values.values() if np.isfinite(v))
        assert values[each.rival] == each.value
        assert each.difference == pytest.approx(report.recommended.measures[each.measure.name] - each.value)
        assert each.says == OPEN or not each.interval[0] <= 0 <= each.interval[1]


def test_a_baseline_does_not_beat_itself(table: Benchmark, predicted: Predicted) -> None:
    """Predictions that are the parameters are nowhere better than them."""
    params = np.array([table.space.facts(table.space.parse(text))["parameters"] for text in predicted.archs], float)
    report = of(predicted, table, params)
    assert not [v for v in verdicts(report) if v.says == BETTER]
    assert "better in" not in headline(report)
    said = not_won(report)
    assert all(v.measure.title in said and v.rival.replace("_", " ") in said for v in verdicts(report))


def test_the_headline_says_all_of_it(table: Benchmark, predicted: Predicted) -> None:
    report = score(predicted, table, bootstraps=50)
    found = verdicts(report)
    assert in_words(found) in headline(report)
    for each in found:
        assert f"{each.measure.title} ({each.difference:+.3f}" in headline(report)
    assert in_words([]) == ""
    assert "Against" not in headline(score(predicted, table, bootstraps=5, baselines=False))


def test_the_same_content_as_markdown(table: Benchmark, predicted: Predicted) -> None:
    report = score(predicted, table, bootstraps=20)
    text = markdown(report)
    for each in report.everyone:
        value = each.measures["kendall_tau"]
        assert (f"{value:.3f}" if np.isfinite(value) else "undefined") in text
    assert report.protocol["benchmark"]["sha256"] in text
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert {line.replace("\\|", "").count("|") for line in rows} == {6, 7}
    both = comparison_markdown(compare({"a": [report], "b": [report]}))
    assert "a vs b" in both
    assert all(escaped(measure.title) in both for measure in MEASURES.values())


def test_foreign_names_are_no_markup(table: Benchmark, predicted: Predicted) -> None:
    hostile = replace(predicted, name="[x](javascript:1)|<script>\n# y", protocol={"a": "``` <b>"})
    text = markdown(score(hostile, table, bootstraps=5))
    words, _, code = text.partition("```json")
    assert "<script" not in words
    assert code.count("```") == 1
    assert "\n# y" not in words
    assert "[x]\\(javascript:1)\\|&lt;script>" in words


def test_every_measure_has_words() -> None:
    assert set(WORDS) <= set(MEASURES)
    assert {measure.name for measure in MAIN} <= set(WORDS)

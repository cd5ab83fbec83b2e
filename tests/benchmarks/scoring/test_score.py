"""Reports: what is compared with what, and what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oneshot.benchmarks.reporting.report import headline
from oneshot.benchmarks.scoring.consistency import consistency
from oneshot.benchmarks.scoring.measures import kendall_tau
from oneshot.benchmarks.scoring.predictions import Predicted, mixed_scales
from oneshot.benchmarks.scoring.protocols import FULL, protocol_named
from oneshot.benchmarks.scoring.score import CURVE_POINTS, score, score_all
from oneshot.benchmarks.table import Benchmark, find_table, write
from oneshot.evaluators.base import Prediction, Predictions

from oneshot.spaces.nasbench201 import ALL, CONV

KEYS = [
    "kendall_tau",
    "spearman_rho",
    "pearson_r",
    "kendall_tau_top10",
    *(f"precision_at_{percent}" for percent in (1, 5, 10)),
    *(f"improvement_at_10{kind}" for kind in ("", "_evaluated")),
    "regret_at_10",
    "improvement_at_10_absolute",
    *(f"{end}_rank_at_10{kind}" for kind in ("", "_absolute") for end in ("best", "worst")),
]


class Balanced(HTMLParser):
    """Tags close in order."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag != "br":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_a_report_compares_method_baselines_and_ceiling(table: Benchmark, predicted: Predicted) -> None:
    report = score(predicted, table, bootstraps=50)
    frame = table.query(list(predicted.archs))
    assert report.measures["kendall_tau"] == pytest.approx(
        kendall_tau(predicted.accuracy, frame["digits_test_20"].to_numpy())
    )
    assert [scores.name for scores in report.baselines] == ["parameters", "convolutions"]
    alike = report.protocol["same_ranking"]
    assert sorted([*alike, *alike["parameters"], *alike["convolutions"]]) == sorted(CONV.facts((0,) * 6))
    params = np.array([CONV.facts(CONV.parse(text))["parameters"] for text in predicted.archs])
    assert report.baselines[0].measures["kendall_tau"] == pytest.approx(
        kendall_tau(params, frame["digits_test_20"].to_numpy())
    )
    assert report.ceiling is not None
    assert report.ceiling.name == "digits_valid_20"
    assert report.ceiling.measures["kendall_tau"] > report.measures["kendall_tau"]
    low, high = report.intervals["kendall_tau"]
    assert low < report.measures["kendall_tau"] < high
    best_of_table = table.values("digits_test_20").max()
    assert report.protocol["best_of_table"] == best_of_table == report.method.improvement.best


def test_the_document_is_json_with_fixed_keys(table: Benchmark, predicted: Predicted) -> None:
    document = score(predicted, table, bootstraps=20).to_dict()
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert [key for key in document if key in KEYS] == KEYS
    for scores in (document, document["ceiling"], *document["baselines"].values()):
        assert sorted(scores["intervals"]) == sorted(KEYS)
        assert set(scores["curves"]) == {"improvement", "pruning"}
    protocol = document["protocol"]
    assert protocol["predictions"] == {"name": "noisy", "space": CONV.name, "protocol": {"seed": 1}}
    assert protocol["benchmark"]["sha256"] == table.sha256
    assert protocol["architectures"]["scored"] == 40
    assert protocol["intervals"]["resamples"] == 20
    assert (protocol["truth"], protocol["ceiling"]) == ("digits_test_20", "digits_valid_20")


def test_every_kind_of_prediction_is_scored_alike(table: Benchmark, predicted: Predicted, tmp_path: Path) -> None:
    frame = pd.DataFrame({"arch": predicted.archs, "accuracy": predicted.accuracy})
    frame.to_parquet(tmp_path / "p.parquet")
    archs = tuple(map(CONV.parse, predicted.archs))
    returned = Predictions(CONV, archs, tuple(Prediction(100 * v, 0.0, 9) for v in predicted.accuracy), {"seed": 1})
    kinds = [predicted, frame, tmp_path / "p.parquet", str(tmp_path / "p.parquet"), returned]
    expected = score(predicted, table, bootstraps=20)
    reports = [*(score(each, table, bootstraps=20) for each in kinds), *score_all(kinds, table, bootstraps=20)]
    for report in reports:
        assert report.measures == pytest.approx(expected.measures)
        np.testing.assert_array_equal(report.truth, expected.truth)
    assert reports[4].protocol["predictions"] == {"name": "predictions", "space": CONV.name, "protocol": {"seed": 1}}
    assert consistency(kinds[:2], bootstraps=5).mean["kendall_tau"] == pytest.approx(1)
    with pytest.raises(ValueError, match=r"expected predictions of an evaluator, a data frame .*, or a file, got int"):
        score_all([predicted, 3], table)  # pyright: ignore


def test_a_report_shows_itself_in_a_notebook(table: Benchmark, predicted: Predicted) -> None:
    report = score(replace(predicted, name="<b>mine</b>"), table, bootstraps=20)
    tau, (low, high) = report.measures["kendall_tau"], report.intervals["kendall_tau"]
    assert repr(report) == (
        f"<Report: <b>mine</b> against digits_test_20 of small, Kendall's tau {tau:.3f} [{low:.3f}, {high:.3f}], "
        "40 architectures>"
    )
    html = report._repr_html_()
    Balanced().feed(html)
    assert "<b>" not in html
    assert html.count("<tr>") == 1 + len(report.everyone)
    assert f"{tau:.3f}".removeprefix("0") in html
    for words in (
        "recommended",
        "ceiling: digits_valid_20",
        "truth digits_test_20 of small",
        "95% intervals",
    ):
        assert words in html


def test_undefined_numbers_are_null_with_a_reason(table: Benchmark, predicted: Predicted) -> None:
    document = score(replace(predicted, accuracy=np.ones(40)), table, bootstraps=10).to_dict()
    assert document["kendall_tau"] is None
    assert document["intervals"]["kendall_tau"] == [None, None]
    assert document["undefined"]["kendall_tau"] == "the predictions are constant"
    assert document["improvement_at_10"] == pytest.approx(0)


def test_order_scale_and_seed(table: Benchmark, predicted: Predicted) -> None:
    report = score(predicted, table, bootstraps=30)
    turned = replace(predicted, archs=predicted.archs[::-1], accuracy=100 * predicted.accuracy[::-1])
    again = score(turned, table, bootstraps=30)
    assert again.measures == pytest.approx(report.measures)
    assert again.protocol["architectures"] == report.protocol["architectures"]
    assert score(predicted, table, bootstraps=30).to_dict() == report.to_dict()
    assert score(predicted, table, bootstraps=30, seed=1).intervals != report.intervals


def test_columns_can_be_chosen(table: Benchmark, predicted: Predicted) -> None:
    report = score(predicted, table, truth="digits_valid_20", ceiling="digits_test_20", baselines=False, bootstraps=5)
    assert report.baselines == ()
    assert report.protocol["truth"] == "digits_valid_20"
    assert score(predicted, table, truth="seconds", bootstraps=5).ceiling is None
    for truth, ceiling in (("accuracy", None), (None, "accuracy")):
        with pytest.raises(ValueError, match="has no column 'accuracy'"):
            score(predicted, table, truth=truth, ceiling=ceiling)


def test_predictions_of_a_smaller_space_are_scored_within_it(
    tmp_path: Path, table: Benchmark, predicted: Predicted
) -> None:
    archs = [ALL.parse(text) for text in table.strings]
    values = table.values("digits_test_20")
    outside = [(0,) * 6, (1,) * 6]
    wide = write(tmp_path / "wide.parquet", [*archs, *outside], {"x_test_1": [*values, 99, 98]}, ALL, {})
    assert score(predicted, wide, bootstraps=5).protocol["best_of_table"] == values.max()
    assert score(replace(predicted, space=None), wide, bootstraps=5).protocol["best_of_table"] == 99


def test_other_spaces_are_refused_by_both_names(tmp_path: Path, predicted: Predicted, table: Benchmark) -> None:
    zeros = write(tmp_path / "zeros.parquet", [(0,) * 6], {"x_test_1": [1.0]}, ALL, {})
    for space, benchmark in (("nasbench201-conv", zeros), ("darts", table)):
        with pytest.raises(
            ValueError, match=f"is of the space '{space}', the benchmark .* of '{benchmark.space.name}'"
        ):
            score(replace(predicted, space=space), benchmark)


def test_architectures_without_truth_are_named(tmp_path: Path, table: Benchmark, predicted: Predicted) -> None:
    with pytest.raises(ValueError, match="is no NAS-Bench-201 string"):
        score(Predicted(["x", *predicted.archs[1:]], predicted.accuracy), table)
    few = write(tmp_path / "few.parquet", table.archs[:20], {"x_test_1": np.arange(20)}, CONV, {})
    with pytest.raises(ValueError, match=r"architectures are not among the 20 of few .*\|nor_conv"):
        score(predicted, few)
    values = np.where(np.arange(64) == table.strings.index(predicted.archs[0]), np.nan, table.values("seconds"))
    holes = write(tmp_path / "holes.parquet", table.archs, {"x_test_1": values}, CONV, {})
    with pytest.raises(
        ValueError, match=r"has no finite 'x_test_1' of 1 of 40 architectures, the first of them '\|nor"
    ):
        score(predicted, holes)


def test_a_protocol_chooses_and_is_recorded(table: Benchmark) -> None:
    every = Predicted(table.strings[::-1], table.values("seconds")[::-1], CONV.name, {}, "all")
    report = score(every, table, protocol=protocol_named("random-30", seed=7), bootstraps=5)
    rows = protocol_named("random-30", seed=7).rows(table, table.values("digits_test_20"))
    np.testing.assert_array_equal(report.truth, table.values("digits_test_20")[rows])
    np.testing.assert_array_equal(report.predicted, table.values("seconds")[rows])
    recorded = report.protocol["architectures"]
    assert (recorded["protocol"], recorded["seed"], recorded["scored"]) == ("random-30", 7, 30)
    assert report.protocol["best_of_table"] == table.values("digits_test_20").max()
    whole = score(every, table, protocol=FULL, bootstraps=5)
    assert whole.protocol["architectures"]["which"] == "every row of the table"
    assert score(every, table, bootstraps=5).protocol["architectures"]["protocol"] == "predicted"


def test_a_protocol_needs_its_architectures(table: Benchmark, predicted: Predicted) -> None:
    message = "protocol full scores 64 architectures of small, 24 of them are missing in noisy, such as '|nor_conv"
    with pytest.raises(ValueError, match=message.replace("|", r"\|")):
        score(predicted, table, protocol=FULL)


def test_several_files_are_scored_where_all_predict(table: Benchmark, predicted: Predicted) -> None:
    shuffled = Predicted(table.strings[:50][::-1], table.values("seconds")[:50][::-1], None, {}, "other")
    first, second = score_all([predicted, shuffled], table, bootstraps=5)
    common = sorted({*predicted.archs} & {*table.strings[:50]}, key=table.strings.index)
    assert first.protocol["architectures"] == second.protocol["architectures"]
    np.testing.assert_array_equal(first.truth, table.query(common)["digits_test_20"])
    np.testing.assert_array_equal(second.predicted, table.query(common)["seconds"])
    assert first.baselines == second.baselines
    apart = [Predicted(table.strings[part], np.arange(10.0)) for part in (slice(0, 10), slice(8, 18))]
    with pytest.raises(ValueError, match="the 2 files predict 2 architectures in common, expected at least 3"):
        score_all(apart, table)
    with pytest.raises(ValueError, match="one search space, got noisy of 'nasbench201-conv' and b of 'nasbench201'"):
        score_all([predicted, replace(predicted, space="nasbench201", name="b")], table)


def test_one_architecture_in_two_spellings(table: Benchmark) -> None:
    texts = [*table.strings[:5], f" {table.strings[2]} "]
    same = Predicted(texts, np.array([1.0, 2, 3, 4, 5, 3]))
    assert len(score(same, table, bootstraps=5).truth) == 5
    with pytest.raises(
        ValueError, match=r"rows 3 and 6 of .* are one architecture of small, .* predictions, 3.0 and 6.0"
    ):
        score(replace(same, accuracy=np.arange(1.0, 7)), table)


def test_any_numeric_column_can_be_the_truth(real_data: Path) -> None:
    table = find_table("nasbench201", real_data)
    own = Predicted(table.strings, table.values("cifar10_test_200"), table.space.name)
    report = score(own, table, truth="cifar10_test_12", bootstraps=20, baselines=False)
    assert (report.protocol["truth"], report.protocol["ceiling"]) == ("cifar10_test_12", "cifar10_valid_12")
    assert report.measures["kendall_tau"] == pytest.approx(kendall_tau(own.accuracy, table.values("cifar10_test_12")))


def test_fewer_than_three_are_no_ranking(table: Benchmark) -> None:
    with pytest.raises(ValueError, match="at least 3 architectures, got 2"):
        score(Predicted(table.strings[:2], np.array([1.0, 2.0])), table)
    seven = score(Predicted(table.strings[:7], np.arange(7.0)), table, bootstraps=20)
    assert np.isfinite(seven.measures["kendall_tau"])
    assert seven.method.undefined["improvement_at_10"] == "needs 10 architectures, got 7"


def test_the_published_table_within_its_own_ceiling(real_data: Path) -> None:
    table = find_table("nasbench201", real_data)
    own = Predicted(table.strings, table.values("cifar10_valid_12"), table.space.name)
    with pytest.raises(ValueError, match=r"nasbench201 declares no truth, and cifar10_test_200, .* could each be it"):
        score(own, table)
    report = score(own, table, truth="cifar10_test_200", bootstraps=100)
    assert report.ceiling is not None
    assert report.ceiling.measures["kendall_tau"] == pytest.approx(0.8939, abs=5e-5)
    assert {s.name: round(s.measures["kendall_tau"], 4) for s in report.baselines}["parameters"] == 0.5778
    assert report.protocol["architectures"]["which"] == "every row of the table"
    assert len(report.method.improvement.remaining) <= CURVE_POINTS + 10
    assert report.method.improvement.remaining[-10:].tolist() == list(range(10, 0, -1))
    for scores in report.everyone:
        low, high = scores.intervals["kendall_tau"]
        assert 0.003 < high - low < 0.03 or scores is report.ceiling
        assert low < scores.measures["kendall_tau"] < high


def test_mixed_fractions_and_percentages_are_said(table: Benchmark, predicted: Predicted) -> None:
    percent = np.linspace(20, 95, len(predicted.archs))
    mixed = np.where(np.arange(len(percent)) % 2, percent / 100, percent)
    with pytest.warns(UserWarning, match="accuracies look like fractions"):
        report = score(replace(predicted, accuracy=mixed, name="mine"), table, bootstraps=20)
    (note,) = report.notes
    assert note.startswith(f"mine: {len(percent) // 2} of {len(percent)} accuracies look like fractions")
    assert report.to_dict()["protocol"]["predictions"]["notes"] == [note]
    assert note in headline(report)


@pytest.mark.parametrize(
    "values",
    [[20.0, 50, 95], [0.2, 0.5, 0.95], [1.0, 1.0, 73.5, 60], [0.83, 0.83, 47.3, 30.1], [0.1, 2.0, 50], [-0.5, 50, 90]],
)
def test_one_scale_is_no_mixture(values: list[float]) -> None:
    """Networks that guess among a hundred classes or more have an accuracy of one percent or less."""
    assert mixed_scales(np.array(values)) is None

"""Post-processings against slow rules; each is recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from oneshot.benchmarks.scoring.features import Given, read_scores
from oneshot.benchmarks.scoring.measures import kendall_tau
from oneshot.benchmarks.scoring.postprocess import ensemble, fuse, isomorphs, post_named
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.score import score_all
from oneshot.benchmarks.table import find_table
from scipy import stats

from oneshot.spaces.nasbench201 import ALL, CONV


@pytest.fixture(scope="module")
def runs() -> list[Predicted]:
    """Three runs over the same 200 cells."""
    rng = np.random.default_rng(0)
    every = list(ALL)
    texts = [ALL.format(every[i]) for i in rng.choice(len(every), 200, replace=False)]
    return [Predicted(texts, rng.random(200), ALL.name, {"seed": i}, f"run{i}") for i in range(3)]


def test_isomorphs_get_the_mean_of_their_class(runs: list[Predicted]) -> None:
    processed = isomorphs(runs, ALL)
    for run, after in zip(runs, processed, strict=True):
        forms = [ALL.canonical(ALL.parse(text)) for text in run.archs]
        slow = [np.mean([v for v, f in zip(run.accuracy, forms, strict=True) if f == form]) for form in forms]
        np.testing.assert_allclose(after.accuracy, slow)
        assert after.archs == run.archs
        assert not np.allclose(after.accuracy, run.accuracy)
        assert after.protocol["post"] == [{"name": "isomorphs", "classes": len(set(forms)), "of": 200}]
        assert after.name == f"{run.name} + isomorphs"
    again = isomorphs(processed, ALL)
    np.testing.assert_allclose(again[0].accuracy, processed[0].accuracy)


def test_an_ensemble_is_the_mean_where_all_predict(runs: list[Predicted]) -> None:
    (whole,) = ensemble(runs, ALL)
    np.testing.assert_allclose(whole.accuracy, np.mean([run.accuracy for run in runs], axis=0))
    other = replace(runs[1], archs=runs[1].archs[::-1][:150], accuracy=runs[1].accuracy[::-1][:150])
    (part,) = ensemble([runs[0], other], ALL)
    assert list(part.archs) == list(runs[0].archs[50:])
    np.testing.assert_allclose(part.accuracy, (runs[0].accuracy + runs[1].accuracy)[50:] / 2)
    assert part.protocol["post"] == [{"name": "ensemble", "of": 2, "runs": ["run0", "run1"]}]
    assert [run["seed"] for run in part.protocol["runs"]] == [0, 1]


def test_an_ensemble_needs_runs_with_common_architectures(runs: list[Predicted]) -> None:
    with pytest.raises(ValueError, match=r"at least two runs of one method, got 1 \(run0\)"):
        ensemble(runs[:1], ALL)
    apart = [
        replace(runs[0], archs=runs[0].archs[part], accuracy=np.ones(100)) for part in (slice(100), slice(100, 200))
    ]
    with pytest.raises(ValueError, match="no architecture in common"):
        ensemble(apart, ALL)


def test_fusion_is_the_mean_of_two_ranks(runs: list[Predicted]) -> None:
    (fused,) = fuse("parameters")(runs[:1], ALL)
    params = np.array([ALL.facts(ALL.parse(text))["parameters"] for text in fused.archs])
    slow = [
        100 * ((runs[0].accuracy < a).sum() + 0.5 + ((params < p).sum() + (params <= p).sum()) / 2) / 2 / 200
        for a, p in zip(runs[0].accuracy, params, strict=True)
    ]
    np.testing.assert_allclose(fused.accuracy, slow)
    assert fused.protocol["post"] == [
        {"name": "fuse:parameters", "ranks": {"accuracy": 1.0, "parameters": 1.0}, "among": 200}
    ]
    assert kendall_tau(fused.accuracy, params) > 0.3
    with pytest.raises(ValueError, match="nasbench201 has no fact 'size'; it has parameters, multiply_adds, live"):
        fuse("size")(runs, ALL)


def test_names_chain_in_their_order(runs: list[Predicted]) -> None:
    (both,) = post_named("isomorphs+ensemble")(runs, ALL)
    (step,) = ensemble(isomorphs(runs, ALL), ALL)
    np.testing.assert_allclose(both.accuracy, step.accuracy)
    assert [each["name"] for each in both.protocol["post"]] == ["isomorphs", "ensemble"]
    (fused,) = post_named("ensemble+fuse:params")(runs, ALL)
    assert [each["name"] for each in fused.protocol["post"]] == ["ensemble", "fuse:parameters"]
    assert stats.rankdata(fused.accuracy).std() > 0


@pytest.mark.parametrize("name", ["", "mean", "fuse", "fuse:", "isomorphs:3", "isomorphs+", "ensemble fuse:params"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown post-processing .*; expected isomorphs, ensemble, .* or correct:N"):
        post_named(name)


def test_nothing_changes_what_it_is_given(runs: list[Predicted]) -> None:
    before = [(run.accuracy.copy(), dict(run.protocol)) for run in runs]
    post_named("isomorphs+ensemble+fuse:params")(runs, ALL)
    for run, (accuracy, protocol) in zip(runs, before, strict=True):
        np.testing.assert_array_equal(run.accuracy, accuracy)
        assert run.protocol == protocol


def test_architectures_that_are_alone_in_their_class_keep_their_prediction() -> None:
    run = Predicted([CONV.format(arch) for arch in CONV], np.arange(64.0))
    classes = [CONV.canonical(arch) for arch in CONV]
    alone = [classes.count(form) == 1 for form in classes]
    assert any(alone)
    np.testing.assert_array_equal(isomorphs([run], CONV)[0].accuracy[alone], run.accuracy[alone])


def test_golden_gain_of_averaging_short_trainings_over_isomorphs(real_data: Path) -> None:
    table = find_table("nasbench201", real_data)
    truth = table.values("cifar10_test_200")
    early = Predicted(table.strings, table.values("cifar10_valid_12"), ALL.name)
    (averaged,) = isomorphs([early], ALL)
    gain = kendall_tau(averaged.accuracy, truth) - kendall_tau(early.accuracy, truth)
    assert gain == pytest.approx(0.0025, abs=5e-5)
    assert averaged.protocol["post"][0]["classes"] == 4930


def test_what_is_recommended_is_said_with_its_parts(runs: list[Predicted]) -> None:
    (found,) = post_named("recommended")(runs[:1], ALL)
    (same,) = post_named("ranks:accuracy,live")(runs[:1], ALL)
    np.testing.assert_array_equal(found.accuracy, same.accuracy)
    assert found.protocol["post"][0]["ranks"] == {"accuracy": 1.0, "live_parameters": 1.0}
    (weighted,) = post_named("ranks:accuracy=1e9,live=1")(runs[:1], ALL)
    np.testing.assert_array_equal(np.argsort(weighted.accuracy), np.argsort(runs[0].accuracy))
    for name, message in (
        ("ranks:accuracy=x", "expected different NAME=WEIGHT"),
        ("ranks:accuracy,accuracy", "expected different NAME=WEIGHT"),
        ("ranks:accuracy=0", "the weight of accuracy must be more than 0"),
        ("correct:0", "expected a number of truths"),
        ("correct:many", "expected a number of truths"),
    ):
        with pytest.raises(ValueError, match=message):
            post_named(name)
    with pytest.raises(ValueError, match="recommended of run0: accuracy ranks nothing: all 200 are 1"):
        post_named("recommended")([replace(runs[0], accuracy=np.ones(200))], ALL)


def test_the_loss_goes_with_all_that_is_done(runs: list[Predicted]) -> None:
    with pytest.raises(ValueError, match="run0 has no validation losses"):
        post_named("loss")(runs, ALL)
    losses = np.random.default_rng(9).random((2, 200))
    two = [replace(run, loss=loss) for run, loss in zip(runs, losses, strict=False)]
    (found,) = post_named("ensemble+loss")(two, ALL)
    np.testing.assert_allclose(found.accuracy, -losses.mean(0))
    (averaged,) = post_named("isomorphs+loss")(two[:1], ALL)
    (whole,) = isomorphs([replace(two[0], accuracy=-losses[0])], ALL)
    np.testing.assert_allclose(averaged.accuracy, whole.accuracy)
    assert (two[0].loss == losses[0]).all()


def test_a_correction_leaves_out_the_truths_that_it_used(real_data: Path) -> None:
    table = find_table("nasbench201", real_data)
    rng = np.random.default_rng(0)
    rows = rng.choice(len(table), 300, replace=False)
    truth = table.values("cifar10_test_200")
    noisy, strings = truth[rows] + rng.normal(0, 20, 300), [table.strings[row] for row in rows.tolist()]
    run = Predicted(strings, noisy, ALL.name, loss=rng.random(300))
    given = Given(truth=lambda strings: truth[table.rows_of(strings)])
    (found,) = post_named("correct:40", given)([run], ALL)
    assert len(found.used) == 40
    assert sorted([*found.archs, *found.used]) == sorted(run.archs)
    dead = [i for i, text in enumerate(found.archs) if ALL.bucket(ALL.parse(text)) is None]
    assert 0 < len(dead) < 40
    assert found.accuracy[dead].max() < np.delete(found.accuracy, dead).min()
    step = found.protocol["post"][0]
    assert (step["truths"], step["confidence"]) == (40, 0.9)
    assert 0.8 < step["interval_coverage"] <= 1
    raw, corrected = score_all([run, found], table, truth="cifar10_test_200", baselines=False, bootstraps=20)
    assert (raw.protocol["architectures"]["scored"], raw.protocol["architectures"]["left_out"]) == (260, 40)
    assert corrected.measures["kendall_tau"] > raw.measures["kendall_tau"] + 0.2
    with pytest.raises(ValueError, match="needs ground truth"):
        post_named("correct:40")([run], ALL)
    with pytest.raises(ValueError, match=r"correct:9 of predictions: a correction by \d+ features .* got 9"):
        post_named("correct:9", given)([run], ALL)
    with pytest.raises(ValueError, match=r"correct:400 of predictions: 29\d architectures have a truth"):
        post_named("correct:400", given)([run], ALL)


def test_given_scores_take_part_by_their_names(runs: list[Predicted], tmp_path: Path) -> None:
    path = tmp_path / "free.csv"
    lines = [f"{text},{value}" for text, value in zip(runs[1].archs, runs[1].accuracy, strict=True)]
    path.write_text("arch,accuracy\n" + "\n".join(lines))
    given = Given(read_scores([f"free={path}"]))
    (found,) = post_named("ranks:accuracy,free", given)(runs[:1], ALL)
    both = [stats.rankdata(run.accuracy) for run in runs[:2]]
    np.testing.assert_allclose(found.accuracy, 100 * (np.mean(both, axis=0) - 0.5) / 200)
    path.write_text("arch,accuracy\n" + "\n".join(lines[:50]))
    with pytest.raises(ValueError, match="the score free lacks 150 of 200 architectures"):
        post_named("ranks:accuracy,free", Given(read_scores([f"free={path}"])))(runs[:1], ALL)
    path.write_text("arch,accuracy\n" + "\n".join(f"{text},7" for text in runs[1].archs))
    with pytest.raises(ValueError, match="the score flat ranks nothing: all 200 are 7"):
        read_scores([f"flat={path}"])
    for word in ("x", "=x", "accuracy=x", "a+b=x"):
        with pytest.raises(ValueError, match="expected --scores NAME=FILE"):
            read_scores([word])

"""Recommended orders, and evaluators that average ranks, seeds and truths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oneshot.benchmarks.scoring.measures import kendall_tau
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.ranks import averaged, facts_of
from oneshot.benchmarks.table import Benchmark, find_table, write
from oneshot.evaluators.base import Prediction, Predictions
from oneshot.evaluators.corrected import CorrectedEvaluator, Truths, first_to_train
from oneshot.evaluators.ensemble import EnsembleEvaluator
from oneshot.evaluators.recommended import RankEvaluator, advise
from oneshot.evaluators.scores import FileScores

from oneshot.samplers.uniform import distinct
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL, CONV
from oneshot.testing import EvaluatorContract

ARCHS = distinct(ALL, 200, np.random.default_rng(0))
DATA = {"configuration": {"dataset": "digits"}}


class Scores:
    """What Noisy says, as scores far below zero."""

    space, protocol = ALL, {"evaluator": "scores", "quantity": "toy score", **DATA}

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        values = tuple(Prediction.scored(value - 1e4, 8) for value in Noisy(0)(archs).accuracy.tolist())
        return Predictions(ALL, tuple(archs), values, self.protocol)


class Noisy:
    """Says, of 1000 images, how many convolutions there are, and something by chance; of one architecture nothing."""

    def __init__(self, seed: int, fails: Arch | None = None) -> None:
        self.seed, self.fails, self.space = seed, fails, ALL

    @property
    def protocol(self) -> dict[str, Any]:
        return {"evaluator": "noisy", "seed": self.seed, **DATA}

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        values = []
        for arch in archs:
            luck = np.random.default_rng((self.seed, *ALL.check(arch))).integers(0, 100)
            right = 30 * sum(i in (2, 3) for i in arch) + 500 + int(luck)
            values.append(Prediction(right / 10, 2.0 - right / 1000, 1000))
            if arch == self.fails:
                values[-1] = Prediction.failed("it diverged", 1000)
        return Predictions(ALL, tuple(archs), tuple(values), self.protocol)


class TestRanks(EvaluatorContract):
    @pytest.fixture
    def evaluator(self) -> RankEvaluator:
        return RankEvaluator(Noisy(0), reference=50)

    @pytest.fixture
    def archs(self) -> list[Arch]:
        return [*ARCHS[:5], (0,) * 6]


class TestEnsemble(EvaluatorContract):
    @pytest.fixture
    def evaluator(self) -> EnsembleEvaluator:
        return EnsembleEvaluator([Noisy(0), Noisy(1)])

    @pytest.fixture
    def archs(self) -> list[Arch]:
        return ARCHS[:5]


def test_an_order_is_that_of_averaged_ranks_and_failures_are_last() -> None:
    accuracy = Noisy(0)(ARCHS).accuracy
    accuracy[7] = np.nan
    found = advise(ALL, ARCHS, accuracy)
    kept = [i for i in range(200) if i != 7]
    columns = {"accuracy": accuracy[kept], **facts_of(ALL, [ARCHS[i] for i in kept])}
    expected = averaged(columns, {"accuracy": 1.0, "live_parameters": 1.0})
    np.testing.assert_allclose(found.value[kept], expected)
    assert found.order[-1] == 7
    assert (np.diff(found.value[list(found.order[:-1])]) <= 0).all()
    np.testing.assert_allclose(np.mean([*found.parts.values()], axis=0)[kept], expected)
    flat = advise(ALL, ARCHS, np.ones(200))  # counts alone
    assert flat.weights == {"live_parameters": 1.0}


def test_weights_name_accuracy_loss_facts_and_others() -> None:
    many = RankEvaluator(Noisy(0), {"loss": 2, "live_depth": 1, "second": 1}, {"second": Noisy(1)}, reference=60)
    among = {"loss": -Noisy(0)(many.sample).loss, "second": Noisy(1)(many.sample).accuracy}
    own = {"loss": -Noisy(0)(ARCHS).loss, "second": Noisy(1)(ARCHS).accuracy, **facts_of(ALL, ARCHS)}
    among |= facts_of(ALL, many.sample)
    expected = averaged(own, many.weights, among)
    np.testing.assert_allclose(many(ARCHS).accuracy, expected)
    assert many.protocol["ranks"] == {"loss": 2, "live_depth": 1, "second": 1}
    with pytest.raises(ValueError, match="nasbench201 has no fact 'size'"):
        RankEvaluator(Noisy(0), {"size": 1.0})
    with pytest.raises(ValueError, match="the weight of loss must be more than 0, got 0"):
        RankEvaluator(Noisy(0), {"loss": 0.0})
    failing = RankEvaluator(Noisy(0, fails=ARCHS[3]), reference=60, seed=1)
    assert list(failing(ARCHS[:5]).failures.values()) == ["it diverged"]


def test_an_ensemble_is_the_mean_of_its_members() -> None:
    both = [Noisy(seed)(ARCHS) for seed in (0, 1)]
    found = EnsembleEvaluator([Noisy(0), Noisy(1, fails=ARCHS[2])])(ARCHS)
    rest = [i for i in range(200) if i != 2]
    np.testing.assert_allclose(found.accuracy[rest], np.mean([each.accuracy for each in both], axis=0)[rest])
    np.testing.assert_allclose(found.loss[rest], np.mean([each.loss for each in both], axis=0)[rest])
    assert list(found.failures) == [ARCHS[2]]
    with pytest.raises(ValueError, match="at least two evaluators of one space, got nasbench201"):
        EnsembleEvaluator([Noisy(0)])


@pytest.fixture
def few(tmp_path: Path) -> Benchmark:
    """The shipped truths of 60 architectures, 2 of them among those without a live path."""
    table = find_table("nasbench201-digits")
    living = [arch for arch in table.archs if ALL.bucket(arch) is not None][:58]
    archs = [*living, *[arch for arch in table.archs if ALL.bucket(arch) is None][:2]]
    truth = table.values("digits_test")[table.rows_of(archs)]
    return write(tmp_path / "few.parquet", archs, {"digits_test": truth, "other_test": truth}, ALL, {})


def test_a_correction_predicts_the_truth(few: Benchmark) -> None:
    truths = Truths.of(few, "digits_test")
    assert truths.dataset == "digits"
    evaluator = CorrectedEvaluator(Noisy(0, fails=ARCHS[0]), truths, ARCHS)
    table = find_table("nasbench201-digits")
    rest = [arch for arch in table.archs if arch not in truths.archs]
    truth = table.values("digits_test")[table.rows_of(rest)]
    predictions, found = evaluator(rest), evaluator.corrected(rest)
    assert kendall_tau(predictions.accuracy, truth) > 0.3
    assert evaluator.protocol["model"]["truths"] == 58
    living = ~np.isnan(found.low)
    assert 0.8 < np.mean((found.low <= truth)[living] & (truth <= found.high)[living]) <= 1
    deviations = np.array([value.standard_error for value in predictions.values])
    np.testing.assert_allclose(deviations[living], found.deviation[living], rtol=0.2)
    assert dict(evaluator(rest[:3])) == dict(evaluator(rest[2::-1]))
    assert list(evaluator(ARCHS[:2]).failures) == [ARCHS[0]]
    assert len(evaluator([])) == 0


def test_what_to_train_next_is_new_and_gains_most(few: Benchmark) -> None:
    truths = Truths.of(few, "digits_test")
    evaluator = CorrectedEvaluator(Noisy(0), truths, ARCHS)
    known = {ALL.canonical(arch) for arch in truths.archs}
    gains = dict(zip(ARCHS, evaluator.corrected(ARCHS).gain, strict=True))
    following = evaluator.next(ARCHS, 6)
    forms = [ALL.canonical(arch) for arch in following]
    assert len(set(forms)) == 6
    assert not known & set(forms)
    fresh = [gain for arch, gain in gains.items() if ALL.canonical(arch) not in known]
    assert gains[following[0]] == max(fresh)
    unsure = evaluator.next(ARCHS, 1, "uncertainty")
    deviations = dict(zip(ARCHS, evaluator.corrected(ARCHS).deviation, strict=True))
    assert deviations[unsure[0]] == max(v for arch, v in deviations.items() if ALL.canonical(arch) not in known)
    with pytest.raises(ValueError, match="by gain or uncertainty, got 'luck'"):
        evaluator.next(ARCHS, 1, "luck")


def test_the_first_to_train_are_spread_over_the_recommended() -> None:
    accuracy = Noisy(0)(ARCHS).accuracy
    found = first_to_train(ALL, ARCHS, accuracy, 10)
    places = [advise(ALL, ARCHS, accuracy).order.index(ARCHS.index(arch)) for arch in found]
    assert places == sorted(places)
    assert places[0] < 20 < 150 < places[-1]
    assert all(ALL.bucket(arch) is not None for arch in found)
    with pytest.raises(ValueError, match="at least 300 different architectures with a live path"):
        first_to_train(ALL, ARCHS, accuracy, 300)


def test_truths_that_do_not_fit_are_refused(few: Benchmark, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="other_test of few was measured on other, the predictions are made on digits"):
        CorrectedEvaluator(Noisy(0), Truths.of(few, "other_test"), ARCHS)
    truths = Truths.of(few, "digits_test")
    with pytest.raises(ValueError, match="expected at least 64, got"):
        CorrectedEvaluator(Noisy(0), truths, ARCHS[:20])
    some = replace(truths, archs=truths.archs[:5], percent=truths.percent[:5])
    with pytest.raises(ValueError, match=r"by \d+ features .* takes at least 1\d truths .* got 5"):
        CorrectedEvaluator(Noisy(0), some, ARCHS)(ARCHS[:1])
    own = write(tmp_path / "conv.parquet", list(CONV)[:20], {"test": np.arange(20) + 50.0}, CONV, {})
    with pytest.raises(ValueError, match="expected truths of nasbench201, got nasbench201-conv"):
        CorrectedEvaluator(Noisy(0), Truths.of(own), ARCHS)
    odd = write(tmp_path / "odd.parquet", ARCHS[:3], {"test": np.array([-1.0, 5, 6])}, ALL, {})
    with pytest.raises(ValueError, match="test of odd holds no accuracies from 0 to 100"):
        Truths.of(odd)


def test_truths_of_several_tables_are_joined(few: Benchmark, tmp_path: Path) -> None:
    truths = Truths.of(few, "digits_test")
    more = write(tmp_path / "more.parquet", ARCHS[:3], {"digits_test": np.array([0.5, 0.6, 0.7])}, ALL, {})
    both = Truths.joined([truths, Truths.of(more), Truths.of(more)])
    assert len(both.archs) == len({*truths.archs, *ARCHS[:3]})
    values = dict(zip(both.archs, both.percent, strict=True))
    new = [arch for arch in ARCHS[:3] if arch not in truths.archs]
    assert {values[arch] for arch in new} <= {50.0, 60.0, 70.0}
    assert values[truths.archs[0]] == truths.percent[0]
    assert both.protocol["name"] == ["few", "more", "more"]
    with pytest.raises(ValueError, match="got nasbench201, digits of few and nasbench201, other of few"):
        Truths.joined([truths, Truths.of(few, "other_test")])


def test_scores_of_a_file_take_part_on_their_own_scale(few: Benchmark) -> None:
    truths = Truths.of(few, "digits_test")
    every = [*dict.fromkeys([*ARCHS, *truths.archs, *find_table("nasbench201-digits").archs])]
    table = find_table("nasbench201-digits")
    known = dict(zip(table.archs, table.values("digits_test"), strict=True))
    oracle = Predicted([ALL.format(a) for a in every], np.array([1e6 - 100 * known.get(a, 50.0) for a in every]))
    reference = [arch for arch in table.archs if arch not in truths.archs]
    evaluator = CorrectedEvaluator(Noisy(0), truths, reference, {"oracle": FileScores("oracle", oracle, ALL)})
    truth = np.array([known[arch] for arch in reference])
    assert kendall_tau(evaluator(reference).accuracy, truth) > 0.8  # less was better, which the model finds out
    assert evaluator.protocol["others"]["oracle"]["evaluator"] == "file"
    with pytest.raises(ValueError, match="the score oracle lacks 1 of 2 architectures, such as"):
        FileScores("oracle", oracle, ALL)([ARCHS[0], next(arch for arch in ALL if arch not in every)])


def test_scores_beside_accuracies_and_in_their_place(few: Benchmark) -> None:
    """Ranks need no accuracy; a mean of accuracies does, and a loss there is none."""
    scores, accuracies = Scores(), Noisy(0)
    both = RankEvaluator(accuracies, {"accuracy": 1, "second": 1}, {"second": scores})
    alone = RankEvaluator(scores, {"accuracy": 1})
    assert np.isfinite(both(ARCHS).accuracy).all()
    assert kendall_tau(alone(ARCHS).accuracy, accuracies(ARCHS).accuracy) == pytest.approx(1, abs=0.02)
    truths, reference = Truths.of(few, "digits_test"), find_table("nasbench201-digits").archs
    for evaluator, others in ((accuracies, {"second": scores}), (scores, None)):
        assert np.isfinite(CorrectedEvaluator(evaluator, truths, reference, others)(ARCHS[:3]).accuracy).all()
    with pytest.raises(ValueError, match="a toy score has no loss to rank by"):
        RankEvaluator(scores, {"loss": 1})
    with pytest.raises(ValueError, match="an ensemble is the mean of accuracies, got toy score"):
        EnsembleEvaluator([accuracies, scores])

"""Architectures whose logits are not finite: an error of theirs, never a number, and nothing to anybody else."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from oneshot.benchmarks.scoring.predictions import as_predicted, read_predictions
from oneshot.evaluators.base import Prediction, Predictions
from oneshot.evaluators.racing import race
from oneshot.evaluators.remote import RemoteEvaluator
from oneshot.evaluators.store import Stored
from oneshot.evaluators.supernet import Slices, SupernetEvaluator

from oneshot.data.source import Images
from oneshot.samplers.uniform import distinct
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.validation import score
from tests.evaluators.service.serving import ARCHS, Counting, Served, accuracy, failed, listening

BAD, GOOD = (3, 1, 2, 4, 3, 2), (1, 1, 2, 4, 3, 2)
WORDS = "its logits are not finite on 64 of 64 images"


@pytest.fixture
def evaluator(few: tuple[Images, Images]) -> SupernetEvaluator:
    """Of a network in which the 3x3 convolution of the first edge is NaN, and nothing else."""
    torch.manual_seed(0)
    net = NasBench201Net(ALL, 4, 1).to(memory_format=torch.channels_last)  # pyright: ignore
    with torch.no_grad():
        net.get_parameter("blocks.0.edges.0.options.3.conv.weight").fill_(math.nan)
    return SupernetEvaluator(net, ALL, *few, norm="batch")


def test_an_architecture_fails_alone(evaluator: SupernetEvaluator) -> None:
    archs = [*distinct(ALL, 24, np.random.default_rng(1)), BAD, GOOD]
    found = evaluator(archs)
    for arch, value in found:
        if arch[0] == 3:
            assert (value.error, value.images) == (WORDS, 64)
            assert math.isnan(value.accuracy)
            assert math.isnan(value.loss)
        else:
            assert value == evaluator([arch]).values[0]
    assert list(found.failures) == [arch for arch in archs if arch[0] == 3]
    with pytest.raises(FloatingPointError, match=rf"^{len(found.failures)} of 26 .* have no prediction: .*{WORDS}"):
        found.check()
    evaluator([GOOD]).check()
    assert " without a prediction: " in found._repr_html_()
    assert "with nan" not in repr(evaluator([BAD]))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_an_image_is_not_right_where_a_logit_is_not_finite(value: float) -> None:
    logits = torch.zeros(3, 4)
    logits[1, 2] = value
    right, _, undefined = score(logits, torch.tensor([0, 2, 1]))
    assert (right.tolist(), int(undefined)) == ([True, False, False], 1)


def test_what_failed_is_not_kept_and_asked_for_again(evaluator: SupernetEvaluator, tmp_path: Path) -> None:
    stored = Stored(evaluator, tmp_path / "p.sqlite")
    for _ in range(2):
        found = stored([BAD, GOOD])
        assert [value.error for value in found.values] == [WORDS, None]
        assert set(stored.known([BAD, GOOD])) == {GOOD}


def test_a_race_leaves_it_behind(evaluator: SupernetEvaluator) -> None:
    archs = [(i, *rest) for i in (1, 3) for rest in [(1, 2, 4, 3, 2), (1, 2, 3, 3, 2), (3, 2, 4, 3, 2)]]
    evaluator = SupernetEvaluator(evaluator.net, ALL, evaluator.valid, evaluator.valid, "ema-2", batch_size=16)  # pyright: ignore
    found = race(Slices(evaluator), ALL, archs, 3, 64, 16)
    assert [arch[0] for arch in found.best] == [1, 1, 1]
    every = race(Slices(evaluator), ALL, archs, 6, 64, 16)
    assert [arch[0] for arch in every.best] == [1, 1, 1, 3, 3, 3]


@pytest.mark.parametrize("suffix", ["csv", "parquet", "json"])
def test_files_say_why_and_scoring_leaves_it_out(tmp_path: Path, suffix: str) -> None:
    archs = (BAD, GOOD, (2, 1, 2, 4, 3, 2))
    values = (Prediction.failed(WORDS, 64), Prediction(50.0, 1.5, 64), Prediction(25.0, 2.5, 64))
    predictions = Predictions(ALL, archs, values, {"evaluator": "supernet"})
    path = tmp_path / f"p.{suffix}"
    predictions.save(path)
    if suffix == "json":
        row = json.loads(path.read_text())["predictions"][0]
        assert (row["accuracy"], row["error"]) == (None, WORDS)
    else:
        frame = pd.read_csv(path) if suffix == "csv" else pd.read_parquet(path)
        assert frame.accuracy.isna().tolist() == [True, False, False]
        assert frame.error[0] == WORDS
    for found in (read_predictions(path), as_predicted(predictions)):
        assert found.accuracy.tolist() == [50.0, 25.0]
        assert "1 of 3 architectures without a prediction were left out" in found.notes[0]


def test_whole_predictions_have_no_column_of_errors() -> None:
    whole = Predictions(ALL, (GOOD,), (Prediction(50.0, 1.5, 64),), {})
    assert list(whole.frame()) == ["arch", "accuracy", "loss", "images", "standard_error"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 100.5])
def test_no_prediction_has_a_number_that_is_no_accuracy(value: float) -> None:
    with pytest.raises(ValueError, match="an accuracy must be a percentage from 0 to 100, got"):
        Prediction(value, 0.5, 100)


class Failing(Counting):
    """Has no prediction of one architecture."""

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        found = super().__call__(archs)
        values = tuple(Prediction.failed(WORDS, 64) if arch == ARCHS[1] else value for arch, value in found)
        return Predictions(ALL, tuple(archs), values, self.protocol)


def test_over_http_it_is_an_entry_of_its_own(tmp_path: Path) -> None:
    served = Served(tmp_path, Failing())
    answer = served.post([ALL.format(arch) for arch in ARCHS[:3]])
    assert answer.status_code == 200
    first, second, third = answer.json()["predictions"]
    assert second == {"arch": ALL.format(ARCHS[1]), "indices": list(ARCHS[1]), "images": 64, "error": WORDS}
    assert [first["accuracy"], third["accuracy"]] == [accuracy(ARCHS[0]), accuracy(ARCHS[2])]
    failed(served.get(f"/v1/predictions/{','.join(map(str, ARCHS[1]))}"), 422, "no prediction of |")
    ranking = served.get("/v1/ranking").json()
    assert ranking["known"] == 2


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    with listening(Served(tmp_path, Failing()).app) as url:
        yield url


def test_a_client_hears_of_it(address: str) -> None:
    found = RemoteEvaluator(address)(ARCHS[:3])
    assert [value.error for value in found.values] == [None, WORDS, None]
    assert found.failures == {ARCHS[1]: WORDS}

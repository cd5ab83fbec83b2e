"""What every evaluator keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
import torch

from oneshot.registry import EVALUATORS, SKELETONS
from oneshot.space import Arch


def small_score(name: str, space: str, **settings: Any) -> Any:
    """The evaluator registered as `name` on small networks of a space: of these settings those that it has."""
    asked = {"batch": 8, "reference": 4, "dataset": "digits", "image_size": 8, **settings}
    kind, sizes = EVALUATORS[name], {"channels": 8, "cells": 1}
    own, networks = ({f.name for f in fields(each)} for each in (kind, SKELETONS[space]))
    given = {key: value for key, value in sizes.items() if key in networks}
    return kind(**{key: value for key, value in asked.items() if key in own}).make(space, given)


class EvaluatorContract:
    """Of `evaluator`, asked for `archs`: at least three different ones, which it can answer."""

    def test_one_row_an_architecture_in_order(self, evaluator: Any, archs: Sequence[Arch]) -> None:
        predictions = evaluator(archs)
        assert predictions.archs == tuple(archs)
        assert len(predictions) == len(archs)
        assert len(evaluator([])) == 0
        assert np.isfinite(predictions.predicted).all()
        for value in predictions.values if predictions.quantity.is_accuracy else ():
            assert 0 <= value.accuracy <= 100
            assert np.isfinite(value.loss)
            assert value.accuracy * value.images / 100 == pytest.approx(round(value.accuracy * value.images / 100))

    def test_independent_of_company_and_order(self, evaluator: Any, archs: Sequence[Arch]) -> None:
        together = dict(evaluator(archs))
        assert dict(evaluator(archs[::-1])) == together
        assert all(evaluator([arch]).values == (together[arch],) for arch in archs[:2])

    def test_repeated_architectures_get_the_same(self, evaluator: Any, archs: Sequence[Arch]) -> None:
        first, _, third = evaluator([archs[0], archs[1], archs[0]]).values
        assert first == third

    def test_protocol_is_json_and_complete(self, evaluator: Any, archs: Sequence[Arch]) -> None:
        document = evaluator(archs[:1]).document()
        assert json.loads(json.dumps(document, allow_nan=False)) == document
        assert document["space"] == evaluator.space.name
        assert "evaluator" in document["protocol"]

    def test_refuses_what_the_space_does_not_allow(self, evaluator: Any, archs: Sequence[Arch]) -> None:
        with pytest.raises(ValueError, match=f"is no architecture of {evaluator.space.name}"):
            evaluator([archs[0], (99,) * len(archs[0])])


class ScoreContract(EvaluatorContract):
    """Of what is registered as `name`, whose `evaluator` is its `small_score` on networks of `space`."""

    def test_scores_are_no_accuracies(self, evaluator: Any, archs: Sequence[Arch]) -> None:
        found = evaluator(archs)
        assert not found.quantity.is_accuracy
        assert found.columns == ["arch", found.quantity.column, "images"]
        assert found.frame()[found.quantity.column].tolist() == found.predicted.tolist()
        with pytest.raises(ValueError, match="no accuracies"):
            assert found.accuracy is None

    def test_the_seed_alone_decides(self, name: str, space: str, evaluator: Any, archs: Sequence[Arch]) -> None:
        before, found = torch.get_rng_state(), evaluator(archs).values
        assert torch.equal(torch.get_rng_state(), before)
        torch.manual_seed(99)
        assert small_score(name, space)(archs).values == found

    def test_the_parts_are_means_over_initialisations(self, name: str, space: str, archs: Sequence[Arch]) -> None:
        three, seeds = small_score(name, space, initialisations=3), range(3)
        batch = three.networks.batch(three.settings.images, three.settings.seed)
        each = [
            three.settings.parts(three.networks.subject(archs[0], batch, seed, three.settings.fan_in)) for seed in seeds
        ]
        for part, value in three.measured(archs[0]).items():
            assert value == pytest.approx(np.mean([parts[part] for parts in each]), rel=1e-12)

    def test_its_settings_refuse_what_cannot_be(self, name: str) -> None:
        with pytest.raises(ValueError, match="batch must be at least"):
            EVALUATORS[name](batch=0)

    def test_it_is_listed(self, name: str) -> None:
        assert name in EVALUATORS

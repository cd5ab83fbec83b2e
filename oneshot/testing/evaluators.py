"""What every evaluator keeps."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from oneshot.space import Arch


class EvaluatorContract:
    """Of `evaluator`, asked for `archs`: at least three different ones, which it can answer."""

    def test_one_row_an_architecture_in_order(self, evaluator: Any, archs: Sequence[Arch]) -> None:
        predictions = evaluator(archs)
        assert predictions.archs == tuple(archs)
        assert len(predictions) == len(archs)
        assert len(evaluator([])) == 0
        for value in predictions.values:
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

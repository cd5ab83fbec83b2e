"""What goes in is strict; what goes out is what the models describe."""

from __future__ import annotations

import math
from typing import Any

import pytest
from oneshot.evaluators.base import Prediction
from oneshot.evaluators.service.ranking import Known
from oneshot.evaluators.service.schema import Question, Record, record
from pydantic import ValidationError

from oneshot.spaces.nasbench201 import ALL
from tests.evaluators.service.serving import ARCHS, STRINGS


@pytest.mark.parametrize("asked", [[], ["a"], [[0, 1]], ["a", [], [10**30]]])
def test_questions(asked: Any) -> None:
    assert Question(architectures=asked).architectures == asked


@pytest.mark.parametrize(
    "content",
    [{}, {"architectures": None}, {"architectures": "a"}, {"architectures": [1]}, {"architectures": [[1.0]]},
     {"architectures": [["1"]]}, {"architectures": [[True]]}, {"architectures": [], "more": 1}],
)  # fmt: skip
def test_no_questions(content: Any) -> None:
    with pytest.raises(ValidationError):
        Question.model_validate(content)


def test_a_record_is_what_the_model_describes() -> None:
    known = Known(ALL)
    known.add(known.rows(ARCHS[:3], [Prediction(value, 0.25, 400) for value in (50.0, 75.0, 75.0)]))
    rows = [record(known.by_text[text], known) for text in STRINGS[:3]]
    for row in rows:
        assert Record.model_validate(row).model_dump() == {
            **row,
            "indices": list(row["indices"]),
            "interval": list(row["interval"]),
        }
    assert [row["rank"] for row in rows] == [3, 1, 1]
    assert [row["better_than"] for row in rows] == [0, 1, 1]
    assert rows[0]["standard_error"] == pytest.approx(100 * math.sqrt(0.25 / 400))
    low, high = rows[1]["interval"]
    assert 70 < low < 75 < high < 80


def test_an_infinite_loss_is_none() -> None:
    """One network that diverged must not make the ranking unanswerable."""
    known = Known(ALL)
    known.add(known.rows(ARCHS[:1], [Prediction(10.0, math.inf, 400)]))
    row = record(known.by_text[STRINGS[0]], known)
    assert row["loss"] is None
    assert Record.model_validate(row).loss is None

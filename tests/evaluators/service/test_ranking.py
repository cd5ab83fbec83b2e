"""Ranks against sorting, and Wilson's interval against its table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oneshot.evaluators.base import Prediction
from oneshot.evaluators.service.ranking import Known, interval
from oneshot.evaluators.store import Stored
from oneshot.evaluators.table import TableEvaluator

from oneshot.spaces.nasbench101 import ALL as NASBENCH101
from oneshot.spaces.nasbench201 import ALL
from tests.evaluators.service.serving import ARCHS, STRINGS, Counting, accuracy, table


def predictions(archs: list) -> list[Prediction]:
    return [Prediction(accuracy(arch), 0.5, 400) for arch in archs]


@pytest.mark.parametrize("size", [1, 7, 200])
def test_ranks_are_those_of_sorting(size: int) -> None:
    known = Known(ALL)
    for start in range(0, len(ARCHS), size):
        part = ARCHS[start : start + size]
        known.add(known.rows(part, predictions(part)))
    values = np.array([accuracy(arch) for arch in ARCHS])
    assert len(known) == len(ARCHS)
    assert [known.rank(v) for v in values] == [1 + int((values > v).sum()) for v in values]
    assert [row.prediction.accuracy for row in known.best(50)] == sorted(values, reverse=True)[:50]
    known.add(known.rows(ARCHS[:5], predictions(ARCHS[:5])))
    assert len(known) == len(ARCHS)
    assert known.rank(-1.0) == len(ARCHS) + 1


def test_what_is_measured_is_beside_it(tmp_path: Path) -> None:
    truth = table(tmp_path, ARCHS[:50])
    known = Known(ALL, TableEvaluator(truth))
    known.add(known.rows(ARCHS[:60], predictions(ARCHS[:60])))
    rows, predicted, true = known.measured()
    assert len(rows) == 50
    assert (np.diff(predicted) <= 0).all()
    by_text = dict(zip(truth.strings, 100 * truth.values("digits_test"), strict=True))
    assert true.tolist() == pytest.approx([by_text[row.text] for row in rows])
    assert [known.by_text[text].truth for text in STRINGS[50:60]] == [None] * 10


def test_a_file_is_read_once_for_each_architecture(tmp_path: Path) -> None:
    store = Stored(Counting(), tmp_path / "p.sqlite")
    store(ARCHS[:4])
    Stored(Counting(protocol="another"), tmp_path / "p.sqlite")(ARCHS[4:8])
    assert store.count() == 4
    known = Known(ALL)
    known.add(known.unseen(store.everything()))
    assert sorted(known.by_text) == sorted(STRINGS[:4])
    Stored(Counting(), tmp_path / "p.sqlite")(ARCHS[2:6])
    assert sorted(row.text for row in known.unseen(store.everything())) == sorted(STRINGS[4:6])


def test_architectures_with_one_string_are_one() -> None:
    arch = NASBENCH101.parse("conv1x1~0|output~1")
    idle = next(
        other
        for place in range(len(arch))
        for option in range(len(NASBENCH101.decisions[place].options))
        if (other := (*arch[:place], option, *arch[place + 1 :])) != arch
        and NASBENCH101.allows(other)
        and NASBENCH101.cell(other) == NASBENCH101.cell(arch)
    )
    known = Known(NASBENCH101)
    known.add(known.rows([arch, arch, idle], [Prediction(50.0, 0.5, 400)] * 3))
    assert len(known) == len({NASBENCH101.format(a) for a in (arch, idle)})
    assert known.find(idle) is not None
    assert known.rank(50.0) == 1


@pytest.mark.parametrize(
    ("correct", "images", "low", "high"),
    [(0, 10, 0.0, 27.7533), (10, 10, 72.2467, 100.0), (81, 263, 25.5291, 36.6166), (15, 148, 6.2386, 16.0534)],
)
def test_wilsons_interval(correct: int, images: int, low: float, high: float) -> None:
    """The last two are Newcombe's examples (1998, Table I: .2553 to .3662 and .0624 to .1605)."""
    found = interval(Prediction(100 * correct / images, 0.5, images))
    assert found == pytest.approx((low, high), abs=5e-3)

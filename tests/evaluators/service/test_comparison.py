"""Known predictions against ground truth, by hand and thinned."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oneshot.benchmarks.scoring.measures import kendall_tau
from oneshot.benchmarks.scoring.ranks import shares
from oneshot.benchmarks.table import write
from oneshot.evaluators.base import Prediction
from oneshot.evaluators.service.comparison import CURVE, POINTS, compare
from oneshot.evaluators.service.ranking import Known
from oneshot.evaluators.table import TableEvaluator

from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL

MANY = [arch for arch, _ in zip(ALL, range(2000), strict=False)]


def known(folder: Path, archs: list[Arch], predicted: list[float], truth: list[float]) -> Known:
    table = write(folder / "t.parquet", archs, {"digits_test": np.array(truth)}, ALL, {})
    found = Known(ALL, TableEvaluator(table))
    found.add(found.rows(archs, [Prediction(value, 0.5, 400) for value in predicted]))
    return found


def test_four_by_hand(tmp_path: Path) -> None:
    """Five pairs of six agree, one does not: tau is (5 - 1) / 6. The two best by prediction hold the second best."""
    document = compare(known(tmp_path, MANY[:4], [90.0, 80.0, 70.0, 60.0], [0.8, 0.9, 0.5, 0.25]))
    assert document["kendall_tau"] == pytest.approx(4 / 6)
    assert document["kendall_tau_recommended"] is None  # none has a live path: the counts are the same
    assert (document["count"], document["column"]) == (4, "t digits_test")
    assert document["points"] == [[90.0, 80.0], [80.0, 90.0], [70.0, 50.0], [60.0, 25.0]]
    assert document["remaining"] == [4, 3, 2, 1]
    mean = (80 + 90 + 50 + 25) / 4
    means = [mean, (80 + 90 + 50) / 3, 85.0, 80.0]
    assert document["improvement"] == pytest.approx([(value - mean) / (90 - mean) for value in means])


def test_what_is_recommended_has_a_tau_of_its_own(tmp_path: Path) -> None:
    archs, truth = MANY[::97][:20], np.arange(20) / 20
    predicted = np.random.default_rng(0).permutation(np.arange(50.0, 70.0))
    document = compare(known(tmp_path, archs, predicted.tolist(), truth.tolist()))
    both = shares(predicted) + shares(np.array([ALL.facts(arch)["live_parameters"] for arch in archs]))
    assert document["kendall_tau_recommended"] == pytest.approx(kendall_tau(both, truth))


def test_many_are_thinned_evenly_from_best_to_worst(tmp_path: Path) -> None:
    predicted = [100 - i / 20 for i in range(len(MANY))]
    document = compare(known(tmp_path, MANY, predicted, [value / 100 for value in predicted]))
    assert document["kendall_tau"] == pytest.approx(1)
    assert len(document["points"]) == POINTS
    assert [p[0] for p in document["points"]][:: POINTS - 1] == pytest.approx([predicted[0], predicted[-1]])
    steps = -np.diff([p[0] for p in document["points"]])
    assert 0.05 - 1e-9 <= steps.min() <= steps.max() <= 0.1 + 1e-9
    left = document["remaining"]
    assert (left[0], left[-1]) == (len(MANY), 1)
    assert len(left) <= CURVE
    assert len(document["improvement"]) == len(left)


def test_without_order_there_is_no_tau(tmp_path: Path) -> None:
    document = compare(known(tmp_path, MANY[:5], [50.0] * 5, [0.1, 0.2, 0.3, 0.4, 0.5]))
    assert document["kendall_tau"] is None
    assert all(value is None or np.isfinite(value) for value in document["improvement"])


def test_what_cannot_be_compared(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="start it with --benchmark"):
        compare(Known(ALL))
    with pytest.raises(ValueError, match="at least 3 predictions of architectures that were measured, got 2"):
        compare(known(tmp_path, MANY[:2], [1.0, 2.0], [0.1, 0.2]))

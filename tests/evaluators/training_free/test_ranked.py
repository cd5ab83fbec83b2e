"""Ranks among a fixed sample: no company, no order lost, and in the limit the papers' ranks."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from oneshot.evaluators.training_free.az_nas import AzNas
from oneshot.evaluators.training_free.ranked import Scale
from scipy.stats import rankdata, spearmanr

from oneshot.registry import SPACES
from oneshot.samplers.uniform import distinct
from oneshot.testing import small_score

ALL = SPACES["nasbench201"]


def test_a_scale_is_the_share_below_and_strictly_monotonous() -> None:
    values = np.random.default_rng(0).normal(size=50)
    scale = Scale(values.tolist())
    assert [scale(value) for value in sorted(values)] == pytest.approx([k / 51 for k in range(1, 51)])
    asked = [*np.linspace(-100, 100, 999), *values]
    found = [scale(value) for value in sorted(asked)]
    assert 0 < found[0] < found[-1] < 1
    assert all(a < b for a, b in pairwise(found))


def test_equal_values_share_their_mean_rank() -> None:
    scale = Scale([1.0, 2.0, 2.0, 2.0])
    assert (scale(1.0), scale(2.0)) == pytest.approx((1 / 5, 3 / 5))
    assert Scale([3.0, 3.0])(4.0) > Scale([3.0, 3.0])(3.0)


def test_it_is_the_sum_of_log_ranks_among_the_sample() -> None:
    """Of the sample itself, as the paper has it, but for one place more."""
    evaluator = small_score("az-nas", "nasbench201", reference=12)
    evaluator.prepare()
    archs = distinct(ALL, 12, np.random.default_rng(0))
    parts = [evaluator.measured(arch) for arch in archs]
    ranks = sum(np.log(rankdata([each[name] for each in parts]) / 13) for name in parts[0])
    assert evaluator(archs).predicted == pytest.approx(ranks)


def test_the_sample_decides_and_the_protocol_says_so() -> None:
    archs = distinct(ALL, 6, np.random.default_rng(5))
    few, more = (small_score("az-nas", "nasbench201", reference=count) for count in (3, 24))
    assert few.protocol["settings"]["reference"] == 3
    assert few.protocol != more.protocol
    assert spearmanr(few(archs).predicted, more(archs).predicted)[0] > 0.5  # pyright: ignore[reportOperatorIssue]


def test_a_sample_of_nothing_readable_is_refused() -> None:
    with pytest.raises(ValueError, match="reference must be at least 2"):
        AzNas(reference=1)

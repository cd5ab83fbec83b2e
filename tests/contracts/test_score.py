"""What every score of untrained networks keeps, on networks of each kind."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from oneshot.evaluators.base import Evaluator

from oneshot.registry import EVALUATORS, SPACES
from oneshot.samplers.uniform import distinct
from oneshot.space import Arch
from oneshot.testing import ScoreContract, small_score


@pytest.fixture
def space() -> str:
    return "nasbench201"


@pytest.fixture
def evaluator(name: str, space: str) -> Evaluator:
    return small_score(name, space)


@pytest.fixture
def archs(space: str) -> list[Arch]:
    return distinct(SPACES[space], 3, np.random.default_rng(0))


@pytest.mark.parametrize("name", list(EVALUATORS))
class TestScore(ScoreContract): ...


SEEN = {"synflow": "whose logits double"}
"""What scores say of ShuffleNet's networks, of which some activations are SiLU and some weights come from sigmoids."""


@pytest.mark.parametrize("space", ["nasbench101", "darts", "fairnas", "shufflenet", "nasnet"])
@pytest.mark.parametrize("name", list(EVALUATORS))
def test_networks_of_every_space_are_read_or_refused(name: str, space: str, archs: list[Arch]) -> None:
    side = 32 if space in ("fairnas", "shufflenet") else 8
    found = small_score(name, space, image_size=side, dataset="noise", batch=4, reference=2)(archs[:1])
    (value,) = found.values
    if value.error is None:
        assert np.isfinite(found.predicted).all()
    else:
        assert space == "shufflenet"
        assert re.match(f"{name} .*{SEEN[name]}", value.error)


@pytest.mark.parametrize("name", list(EVALUATORS))
def test_each_names_its_paper(name: str) -> None:
    kind: Any = EVALUATORS[name]
    assert re.search(r"arXiv \d{4}\.\d{5}", kind.__doc__)

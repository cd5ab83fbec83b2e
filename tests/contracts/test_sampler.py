"""What every sampler keeps."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from oneshot.runs.config import Config
from oneshot.runs.run import SAMPLERS
from oneshot.samplers.base import Sampler
from oneshot.space import Space
from oneshot.spaces import SPACES


def _with_defaults(make: Callable[[Space, Config], Sampler], space: Space) -> Sampler:
    return make(space, Config())


MAKERS = {name: partial(_with_defaults, make) for name, make in SAMPLERS.items()}


REFUSED = {
    ("fair", "nasbench101"): "forbids some",
    ("balanced", "nasbench101"): "enumerates its space",
    ("balanced", "fairnas"): "enumerates its space",
    ("balanced", "shufflenet"): "enumerates its space",
    ("balanced", "nasnet"): "enumerates its space",
} | {("exact-edges", name): "draws NAS-Bench-101 cells" for name in SPACES if name != "nasbench101"}
PAIRS = [(make, space) for make in MAKERS for space in SPACES]


@pytest.mark.parametrize(("make", "space"), REFUSED)
def test_spaces_that_a_sampler_cannot_draw_from_are_refused(make: str, space: str) -> None:
    with pytest.raises(ValueError, match=REFUSED[make, space]):
        MAKERS[make](SPACES[space])


@pytest.mark.parametrize(
    ("make", "space"),
    [pytest.param(MAKERS[m], SPACES[s], id=f"{s}-{m}") for m, s in PAIRS if (m, s) not in REFUSED],
)
class TestSampler:
    def test_draws_allowed_architectures_of_python_ints(self, make: Callable[[Space], Sampler], space: Space) -> None:
        sampler = make(space)
        archs = sampler.draw(4 * sampler.group, np.random.default_rng(0))
        assert len(archs) == 4 * sampler.group
        assert all(space.allows(arch) and all(type(i) is int for i in arch) for arch in archs)

    def test_all_randomness_is_the_generators(self, make: Callable[[Space], Sampler], space: Space) -> None:
        sampler = make(space)
        n = 30 * sampler.group
        first = sampler.draw(n, np.random.default_rng(7))
        assert sampler.draw(n, np.random.default_rng(7)) == first
        assert make(space).draw(n, np.random.default_rng(7)) == first
        assert sampler.draw(n, np.random.default_rng(8)) != first

    def test_small_draws_continue_a_large_one(self, make: Callable[[Space], Sampler], space: Space) -> None:
        """The same distribution whether drawn step by step or at once: every option of every site turns up."""
        sampler, rng = make(space), np.random.default_rng(0)
        archs = [arch for _ in range(200) for arch in sampler.draw(sampler.group, rng)]
        for decision, column in zip(space.decisions, zip(*archs, strict=True), strict=True):
            assert set(column) == set(range(len(decision.options)))

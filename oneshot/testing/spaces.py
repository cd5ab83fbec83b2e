"""What every search space keeps."""

from __future__ import annotations

import dataclasses
import pickle
import time
from itertools import islice

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from oneshot.samplers.uniform import Uniform
from oneshot.space import Arch, Space

FIXTURES = [HealthCheck.function_scoped_fixture]
"""A space may be one; it is never changed."""


def some(space: Space, n: int = 40) -> list[Arch]:
    return Uniform(space).draw(n, np.random.default_rng(0))


def texts(space: Space) -> st.SearchStrategy[str]:
    """Anything, what is written in the characters of the space, and its own strings with a piece of another put in."""
    own = st.sampled_from([space.format(arch) for arch in some(space, 8)])
    characters = "".join(sorted({c for arch in some(space, 8) for c in space.format(arch)})) + "-+~|, 09\n"
    places = st.integers(0, 200)
    spliced = st.builds(
        lambda text, start, end, other, piece: text[:start] + other[:piece] + text[end:], own, places, places,
        st.one_of(own, st.text(max_size=20), st.text(characters, max_size=20)), places,
    )  # fmt: skip
    return st.one_of(st.text(max_size=120), st.text(characters, max_size=300), spliced)


class SpaceContract:
    """Of `space`."""

    def test_is_frozen_hashable_and_picklable(self, space: Space) -> None:
        assert pickle.loads(pickle.dumps(space)) == space
        assert len({space, space}) == 1
        with pytest.raises(dataclasses.FrozenInstanceError):
            space.name = "other"  # pyright: ignore[reportAttributeAccessIssue]

    def test_strings_round_trip_and_are_distinct(self, space: Space) -> None:
        archs = list(dict.fromkeys(some(space)))
        strings = [space.format(arch) for arch in archs]
        assert [space.parse(text) for text in strings] == archs
        assert len(set(strings)) == len(archs)

    def test_canonical_is_an_idempotent_member(self, space: Space) -> None:
        for arch in some(space):
            representative = space.canonical(arch)
            assert space.allows(representative)
            assert space.canonical(representative) == representative

    def test_every_choice_is_wired_or_is_nothing(self, space: Space) -> None:
        """What a site runs is decided by one choice each, and no decision is idle."""
        wires = [wire for site in space.wiring for wire in site]
        assert {d for d, _, _ in wires} == set(range(len(space.decisions)))
        for options, site in zip(space.site_options, space.wiring, strict=True):
            assert sorted(option for _, _, option in site) == list(range(len(options)))
        for arch in some(space, 5):
            assert all(weight == 1.0 for gate in space.gates(arch) for _, weight in gate)

    def test_costs_and_the_architecture_that_weights_stand_for(self, space: Space) -> None:
        assert space.cost(some(space, 1)[0]).params > 0
        weights = [[1.0 / len(d.options)] * len(d.options) for d in space.decisions]
        assert len(space.strongest(weights)) == len(space.decisions)

    def test_enumeration_is_lazy_ordered_and_allowed(self, space: Space) -> None:
        first = list(islice(space, 100))
        assert first == sorted(set(first))
        assert all(space.allows(arch) for arch in first)

    def test_only_one_architecture_is_left(self, space: Space) -> None:
        arch = some(space)[0]
        alone = space.only(arch)
        assert alone.size == 1
        assert alone.format(next(iter(alone))) == space.format(arch)

    def test_facts_have_the_same_names_everywhere(self, space: Space) -> None:
        assert len({tuple(space.facts(arch)) for arch in some(space)}) == 1

    def test_what_is_live_is_no_more_than_all(self, space: Space) -> None:
        """And what predictions are averaged with is a fact, of a space that has facts."""
        for facts in map(space.facts, some(space, 10)):
            assert not facts or space.baseline in facts
            for name in ("parameters", "multiply_adds"):
                assert facts.get(f"live_{name}", 0.0) <= facts.get(name, 0.0)

    @pytest.mark.parametrize("odd", [(), (0,), (-1,) * 99, (99,) * 6, "abcdef", (0.5,) * 6])
    def test_no_architecture(self, space: Space, odd: tuple) -> None:
        assert not space.allows(odd)
        for refuses in (space.check, space.format, space.canonical, space.only):
            with pytest.raises(ValueError, match="is no architecture of"):
                refuses(odd)

    @pytest.mark.parametrize(
        "text", ["", "nonsense", "|none~0|", "|none~0|+|none~0|none~1|+|none~0|none~1|what~2|", "+" * 9]
    )
    def test_no_string(self, space: Space, text: str) -> None:
        with pytest.raises(ValueError, match=r"expected|takes one of"):
            space.parse(text)

    @settings(max_examples=150, derandomize=True, deadline=None, suppress_health_check=FIXTURES)
    @given(data=st.data())
    def test_any_string_is_an_architecture_or_refused(self, space: Space, data: st.DataObject) -> None:
        text = data.draw(texts(space))
        before = time.process_time()
        try:
            arch = space.parse(text)
        except ValueError:
            pass
        else:
            assert space.allows(arch)
            assert space.parse(space.format(arch)) == arch
        assert time.process_time() - before < 1

    @settings(max_examples=100, derandomize=True, deadline=None, suppress_health_check=FIXTURES)
    @given(data=st.data())
    def test_any_indices_are_an_architecture_or_refused(self, space: Space, data: st.DataObject) -> None:
        most = max(len(decision.options) for decision in space.decisions)
        arch = tuple(data.draw(st.lists(st.integers(-1, most), max_size=len(space.decisions) + 1)))
        if space.allows(arch):
            assert space.format(space.parse(space.format(arch))) == space.format(arch)
        else:
            with pytest.raises(ValueError, match="is no architecture of"):
                space.format(arch)

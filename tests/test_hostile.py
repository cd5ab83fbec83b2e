"""A bounded sample of `tests.hostile`, and texts that hypothesis makes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from oneshot.registry import SPACES
from tests import hostile


@pytest.mark.parametrize("seed", [1, 2])
def test_strings_are_refused_or_read(seed: int) -> None:
    told = hostile.strings(2000, seed)
    assert sum(told.values()) == 2000
    assert told["refused"] > 1500


def test_files_are_refused_or_read() -> None:
    told = hostile.files(150, 1)
    assert min(told["refused"], told["taken"]) > 5


def test_requests_get_an_answer_that_is_no_failure_of_ours() -> None:
    told = hostile.requests(200, 1)
    assert sum(told.values()) == 200
    assert max(told) < 500


@settings(max_examples=150, derandomize=True, deadline=None, database=None)
@given(text=st.text(max_size=60), name=st.sampled_from(sorted(SPACES)))
def test_any_text_is_refused_or_read(text: str, name: str) -> None:
    assert hostile.tried(SPACES[name], text) in ("refused", "taken")

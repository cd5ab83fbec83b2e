"""The collector of cycles does not look at what stood at the start, nor again at much that has lasted."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator

import pytest
from oneshot.evaluators.service import pauses


class Node:
    def __init__(self) -> None:
        self.me = self


@pytest.fixture
def settled() -> Iterator[None]:
    with pauses.short():
        pauses.settle()
        yield


def test_what_stood_at_the_start_is_let_be(settled: None) -> None:
    assert gc.get_freeze_count() > 1000
    assert len(gc.get_objects()) < 1000


def test_garbage_is_still_found(settled: None) -> None:
    node = weakref.ref(Node())
    gc.collect()
    assert node() is None


def test_much_that_lasts_is_let_be_as_it_grows(settled: None) -> None:
    kept = [[i] for i in range(2 * pauses.MANY)]
    gc.collect()
    assert len(gc.get_objects()) < pauses.MANY
    frozen = gc.get_freeze_count()
    few = [[i] for i in range(1000)]
    gc.collect()
    assert gc.get_freeze_count() <= frozen
    assert (len(kept), len(few)) == (2 * pauses.MANY, 1000)


def test_all_is_as_before_in_the_end() -> None:
    before = sys.getswitchinterval(), list(gc.callbacks)
    with pauses.short():
        pauses.settle()
        assert sys.getswitchinterval() < before[0]
    assert (sys.getswitchinterval(), gc.callbacks) == before
    assert gc.get_freeze_count() == 0

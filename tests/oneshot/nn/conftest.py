"""Threads of PyTorch, and of the loops beside it, for tests that change their number."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch


@pytest.fixture
def _threads() -> Iterator[None]:
    """As many afterwards as before."""
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@pytest.fixture(params=[1, 2])
def _one_thread_and_two(request: pytest.FixtureRequest, _threads: None) -> None:
    torch.set_num_threads(request.param)

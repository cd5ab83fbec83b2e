"""What every network skeleton keeps, for each space that is registered."""

from __future__ import annotations

import pytest

from oneshot.registry import SPACES
from oneshot.testing import SkeletonContract


@pytest.mark.parametrize("name", list(SPACES))
class TestSkeleton(SkeletonContract): ...

"""What every search space keeps."""

from __future__ import annotations

import pytest

from oneshot.registry import SPACES
from oneshot.testing import SpaceContract


@pytest.mark.parametrize("space", SPACES.values(), ids=list(SPACES))
class TestSpace(SpaceContract): ...

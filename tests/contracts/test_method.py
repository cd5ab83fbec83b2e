"""What every method keeps."""

from __future__ import annotations

import pytest

from oneshot.registry import METHODS
from oneshot.testing import MethodContract


@pytest.mark.parametrize("name", list(METHODS))
class TestMethod(MethodContract): ...

"""What every method keeps."""

from __future__ import annotations

import pytest

from oneshot.registry import METHODS
from oneshot.testing import MethodContract

BRIEF = {"hm-nas": {"warm_start": 1, "mask_epochs": 1, "fine_tune_epochs": 2}}


@pytest.mark.parametrize("name", list(METHODS))
class TestMethod(MethodContract):
    brief = BRIEF

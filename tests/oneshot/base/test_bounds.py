import math
from types import SimpleNamespace

import pytest

from oneshot.base.bounds import check_least, check_most
from oneshot.runs.config import Chosen, settings_type


def test_a_value_at_its_bound_is_allowed() -> None:
    check_least(SimpleNamespace(width=1, rate=0.0, other=-5), width=1, rate=0)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (0, "width must be at least 1, got 0"),
        (0.5, "width must be a finite number of at least 1, got 0.5"),
        (math.inf, "width must be a finite number of at least 1, got inf"),
        (math.nan, "width must be a finite number of at least 1, got nan"),
    ],
)
def test_what_is_wrong_is_named(value: float, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        check_least(SimpleNamespace(first=3, width=value), first=3, width=1)


def test_what_nobody_means_is_refused() -> None:
    check_most(SimpleNamespace(channels=16), channels=16)
    with pytest.raises(ValueError, match=r"^channels must be at most 4,096, got 1,000,000$"):
        check_most(SimpleNamespace(channels=10**6), channels=4096)


@pytest.mark.parametrize("name", ["nasbench201", "nasbench101", "fairnas", "shufflenet", "nasnet"])
@pytest.mark.parametrize("value", [10**6, 10**30])
def test_networks_beyond_every_memory_are_refused(name: str, value: int) -> None:
    for setting in ("channels", "cells"):
        if hasattr(settings_type("space", name)(), setting):
            with pytest.raises(ValueError, match=rf"{setting} must (be at most|lie below)"):
                Chosen(name, {setting: value}, "space").settings  # noqa: B018

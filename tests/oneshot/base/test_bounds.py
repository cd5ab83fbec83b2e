import math
from types import SimpleNamespace

import pytest

from oneshot.base.bounds import check_least


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

"""The catalogue of search spaces: the one place that turns a name into a space. Imports no torch."""

from oneshot.space import Space
from oneshot.spaces.fairnas import ALL as FAIRNAS
from oneshot.spaces.nasbench101 import ALL as NASBENCH101
from oneshot.spaces.nasbench201 import ALL, CONV, NO_ZERO
from oneshot.spaces.nasnet import ALL as NASNET
from oneshot.spaces.shufflenet import ALL as SHUFFLENET

SPACES: dict[str, Space] = {
    space.name: space for space in (ALL, NO_ZERO, CONV, NASBENCH101, FAIRNAS, SHUFFLENET, NASNET)
}
"""Larger spaces before their restrictions, so that the first that parses a string is the most general."""


def space_named(name: str) -> Space:
    """The space of that name; ValueError lists the names."""
    if name not in SPACES:
        raise ValueError(f"unknown search space {name!r}; expected one of {', '.join(SPACES)}")
    return SPACES[name]

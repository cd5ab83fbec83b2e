"""The ShuffleNetV2 space: its size, its strings, published costs, and costs by hand."""

from __future__ import annotations

from functools import partial
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneshot.cost import Cost
from oneshot.samplers.uniform import distinct
from oneshot.spaces.shufflenet import ALL, OPTIONS, STRIDED, WIDTHS, ShuffleNet, cost, layers, scaled, shufflenet

ARCHS = st.tuples(*[st.integers(0, 3)] * 20)


def test_the_space_of_the_paper() -> None:
    assert (len(ALL.decisions), ALL.size, ALL.is_product, ALL.is_enumerable) == (20, 4**20, True, False)
    assert ALL.operations((0, 1, 2, 3) * 5) == OPTIONS * 5 == ("shuffle3", "shuffle5", "shuffle7", "xception") * 5


def test_sizes_of_images() -> None:
    """Channels and height of what goes into each layer, and into the head."""
    side, sizes = 112, []
    for layer in layers():
        sizes.append((layer.channels_in, side))
        side //= layer.stride
    expected = [(16, 112), *[(68, 56)] * 4, *[(168, 28)] * 4, *[(336, 14)] * 8, *[(672, 7)] * 3]
    assert sizes == expected
    assert (layers()[-1].channels_out, side) == (672, 7)


@given(ARCHS)
def test_strings_round_trip(arch: tuple[int, ...]) -> None:
    assert ALL.parse(ALL.format(arch)) == arch == ALL.canonical(arch)
    assert ALL.only(arch).format((0,) * 20) == ALL.format(arch)


def test_odd_strings_are_refused() -> None:
    text = ALL.format((0,) * 20)
    with pytest.raises(
        ValueError, match=r"operation 'shuffle9' .* is not in shufflenet; layer 19 takes one of shuffle3"
    ):
        ALL.parse(text[:-1] + "9")
    with pytest.raises(ValueError, match="expected 20 options joined by '-', got 21"):
        ALL.parse(text + "-xception")


def test_restrictions_are_spaces_of_this_kind_and_nothing_else_is() -> None:
    small = shufflenet(("shuffle3", "xception"), "small")
    assert small.size == 2**20
    assert small.facts((0, 1) * 10) == ALL.facts((0, 3) * 10)
    with pytest.raises(ValueError, match=r"unknown options \['skip'\]"):
        shufflenet(("shuffle3", "skip"))
    with pytest.raises(ValueError, match=r"has 20 decisions .* got 3 decisions"):
        ShuffleNet("short", ALL.decisions[:3])


def test_the_published_network_of_these_widths() -> None:
    """ShuffleNetV2+ Large: 360M multiply-adds, 6.7M parameters; it has squeeze-and-excitations by stage."""
    found = ALL.cost((0, 0, 3, 1, 1, 1, 0, 0, 2, 0, 2, 1, 1, 0, 2, 0, 2, 1, 3, 2))
    assert found.params == pytest.approx(6.7e6, rel=0.01)
    assert found.mflops == pytest.approx(360, abs=0.5)


def test_the_papers_network_is_an_ordinary_one_of_the_space() -> None:
    """Table 3: 365M multiply-adds and 6.7M parameters."""
    facts = [ALL.facts(arch) for arch in distinct(ALL, 300, np.random.default_rng(0))]
    for name, value in (("multiply_adds", 365), ("parameters", 6.7e6)):
        assert np.quantile([fact[name] for fact in facts], 0.1) < value < np.quantile([f[name] for f in facts], 0.9)


def test_cost_by_hand() -> None:
    """The narrowest network, first of shuffle7 and then of xception alone, on 4x4 images."""
    widths = [1, *(scaled(width, 1) for width in WIDTHS)]
    assert widths == [1, *[4] * 4, *[10] * 4, *[20] * 8, *[42] * 4]
    dense = (80 * 20 + 20 + 20 * 80 + 80) + 80 * 80 + 80 * 7 + 7
    found = []
    for xception in (False, True):
        params, multiplies, side = 27 + 2 + 42 * 80 + 160 + dense, 27 * 4 + 42 * 80 + dense, 2
        for i, (c, d) in enumerate(pairwise(widths)):
            before, side = side, 1 if i in STRIDED else side
            if i in STRIDED:
                k = 9 if xception else 49
                params += (k * c + 2 * c) + (c * c + 2 * c)
                multiplies += (k * c + c * c) * side**2
            else:
                c = c // 2
            m, o = d // 2, d - c
            s = max(1, o // 4)
            params += (o * s + s) + (s * o + o) + (m * o + 2 * o)
            multiplies += (o * s + s) + (s * o + o) + m * o * side**2
            if xception:
                params += (9 * c + 2 * c) + (c * m + 2 * m) + (9 * m + 2 * m) + (m * m + 2 * m) + (9 * m + 2 * m)
                multiplies += (9 * c + c * m + 9 * m + m * m + 9 * m) * side**2
            else:
                params += (c * m + 2 * m) + (49 * m + 2 * m)
                multiplies += c * m * before**2 + 49 * m * side**2
        found.append(Cost(params, multiplies / 1e6))
    sizes = {"channels": 1, "classes": 7, "image_size": 4}
    assert [cost((name,) * 20, **sizes) for name in ("shuffle7", "xception")] == found
    known = partial(ALL.cost, cells=3, **sizes)
    assert known is not None
    assert known((2,) * 20) == found[0]

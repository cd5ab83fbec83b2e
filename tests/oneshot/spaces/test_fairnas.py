"""FairNAS: its size, its strings, and costs by hand."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from oneshot.cost import Cost
from oneshot.samplers.uniform import distinct
from oneshot.spaces.fairnas import ALL, OPTIONS, STRIDED, WIDTHS, FairNas, cost, fairnas, kernel_and_expansion, layers


def test_the_space_of_the_paper() -> None:
    assert (len(ALL.decisions), ALL.size, ALL.is_product, ALL.is_enumerable) == (19, 6**19, True, False)
    assert set(map(kernel_and_expansion, OPTIONS)) == {(k, e) for k in (3, 5, 7) for e in (3, 6)}


def test_input_sizes_are_those_of_table_4() -> None:
    """Channels and height of what goes into each cell, and into the head."""
    side, sizes = 112, []
    for layer in layers():
        sizes.append((layer.channels_in, side))
        side //= layer.stride
    expected = [(16, 112), (32, 56), (32, 56), *[(40, 28)] * 4, *[(80, 14)] * 4, *[(96, 14)] * 4, *[(192, 7)] * 4]
    assert sizes == expected
    assert (layers()[-1].channels_out, side) == (320, 7)


def test_strings() -> None:
    arch = tuple(i % 6 for i in range(19))
    text = "k3e3-k5e3-k7e3-k3e6-k5e6-k7e6-" * 3 + "k3e3"
    assert ALL.format(arch) == text
    assert ALL.parse(text) == arch
    with pytest.raises(ValueError, match=r"operation 'k9e3' .* is not in fairnas; layer 18 takes one of k3e3"):
        ALL.parse(text[:-4] + "k9e3")


def test_restrictions_are_fairnas_spaces_and_nothing_else_is() -> None:
    small = fairnas(("k3e3", "k7e6"), "fairnas-small")
    assert small.size == 2**19
    assert small.only((0, 1) * 9 + (0,)).facts((0,) * 19) == small.facts((0, 1) * 9 + (0,))
    with pytest.raises(ValueError, match=r"unknown options \['skip'\]"):
        fairnas(("k3e3", "skip"))
    with pytest.raises(ValueError, match=r"FairNAS has 19 decisions .* got 3 decisions"):
        FairNas("short", ALL.decisions[:3])


@pytest.mark.parametrize("odd", ["k4e3", "k3e0", "3x3_e3", "k3", "k3e3 "])
def test_odd_options_are_refused(odd: str) -> None:
    with pytest.raises(ValueError, match="expected an odd kernel and an expansion"):
        kernel_and_expansion(odd)


def test_cost_by_hand() -> None:
    """Every width 1 (channels=1 of 16 rounds most of them up) and all blocks k3e3, on 4x4 images."""
    widths = [1, *(max(1, round(w / 16)) for w in WIDTHS)]
    assert widths == [1, 2, 2, *[2] * 4, *[5] * 4, *[6] * 4, *[12] * 4, 20]
    params = 27 * 2 + 4 + (9 * 2 + 4) + (2 * 1 + 2)  # stem: 3 -> 2, depthwise on 2, 2 -> 1
    multiplies = (27 * 2 + 9 * 2 + 2 * 1) * 4
    side = 2
    for i, (c, d) in enumerate(pairwise(widths)):
        params += (c * 3 * c + 6 * c) + (9 * 3 * c + 6 * c) + (3 * c * d + 2 * d)
        multiplies += 3 * c * c * side**2
        side = 1 if i in STRIDED else side
        multiplies += (9 * 3 * c + 3 * c * d) * side**2
    params += 20 * 80 + 160 + 80 * 7 + 7
    multiplies += 20 * 80 + 80 * 7 + 7
    assert cost(("k3e3",) * 19, channels=1, classes=7, image_size=4) == Cost(params, multiplies / 1e6)


def test_random_architectures_have_the_parameters_that_the_paper_says() -> None:
    """Section 3.1.2: typically 2.5M to 3.5M."""
    params = [ALL.facts(arch)["parameters"] for arch in distinct(ALL, 300, np.random.default_rng(0))]
    assert 2.4e6 < np.quantile(params, 0.05) < np.quantile(params, 0.95) < 3.5e6
    assert ALL.facts((0,) * 19)["multiply_adds"] < ALL.facts((5,) * 19)["multiply_adds"]

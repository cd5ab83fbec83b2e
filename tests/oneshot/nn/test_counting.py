"""Costs counted on networks equal the formulas."""

from __future__ import annotations

import numpy as np
import pytest

from oneshot.gates import fixed
from oneshot.nn.counting import counted
from oneshot.samplers.uniform import distinct
from oneshot.space import Arch
from oneshot.spaces.nasbench101 import ALL as CELLS
from oneshot.spaces.nasbench101 import cost as cells_cost
from oneshot.spaces.nasbench201 import ALL, cost
from oneshot.supernets.nasbench101 import NasBench101Net
from oneshot.supernets.nasbench201 import NasBench201Net


@pytest.mark.parametrize("arch", [(3, 2, 3, 2, 4, 3), (2,) * 6, (3, 3, 4, 1, 2, 2)])
@pytest.mark.parametrize(("channels", "cells", "classes", "size"), [(4, 2, 10, 16), (3, 1, 7, 8)])
def test_formula_is_what_a_stand_alone_network_does(
    arch: Arch, channels: int, cells: int, classes: int, size: int
) -> None:
    net = NasBench201Net(ALL.only(arch), channels, cells, classes, affine=True)
    got, expected = counted(net, fixed(ALL, (0,) * 6), size), cost(ALL.operations(arch), channels, cells, classes, size)
    assert got.params == expected.params
    assert got.mflops == pytest.approx(expected.mflops)
    assert net.training


def test_a_supernet_counts_only_what_runs() -> None:
    net = NasBench201Net(ALL, 4, 1)
    arch = ALL.parse("|none~0|+|none~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|")
    alone = NasBench201Net(ALL.only((0,) * 5 + (0,)), 4, 1)
    extra = 4 * 4 + 8 * 8 + 16 * 16
    fixed_part = sum(p.numel() for p in alone.parameters())
    assert counted(net, fixed(ALL, arch), 8).params == fixed_part + extra


def test_a_sliced_path_does_as_much_as_its_own_network() -> None:
    """The parameters of the supernet's modules are more: they are as wide as any architecture asks for."""
    whole = NasBench101Net(CELLS, 8, 1)
    for arch in distinct(CELLS, 20, np.random.default_rng(0)):
        alone = NasBench101Net(CELLS.only(arch), 8, 1)
        got = counted(whole, fixed(CELLS, arch), 8)
        expected = counted(alone, fixed(alone.space, (0,) * 26), 8)
        assert got.mflops == expected.mflops == pytest.approx(cells_cost(CELLS.cell(arch), 8, 1, 10, 8).mflops)
        assert got.params >= expected.params

"""The FairNAS skeleton: every row of the paper's Table 4, and costs counted on networks."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from oneshot.gates import fixed
from oneshot.nn.counting import counted
from oneshot.samplers.uniform import distinct
from oneshot.spaces.fairnas import ALL, cost, fairnas
from oneshot.supernets.fairnas import FairNasNet

ARCHS = [(0,) * 19, (5,) * 19, *distinct(ALL, 2, np.random.default_rng(0))]


def params(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_table_4_row_by_row() -> None:
    """arXiv 2104.11522."""
    net = FairNasNet(ALL)
    assert params(net.stem) == 1_824
    assert [params(block) for block in net.blocks] == [
        34_800, 83_040, 90_048, 121_080, 121_080, 121_080, 164_760, 414_960, 414_960, 414_960,
        449_712, 580_896, 580_896, 580_896, 830_880, 2_157_120, 2_157_120, 2_157_120, 2_822_208,
    ]  # fmt: skip
    assert params(net.head) == 540_260
    assert params(net) == 14_839_700


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize(("channels", "classes", "size"), [(4, 10, 32), (3, 7, 27)])
def test_formula_is_what_a_stand_alone_network_does(arch: tuple, channels: int, classes: int, size: int) -> None:
    net = FairNasNet(ALL.only(arch), channels, classes)
    expected = cost(ALL.operations(arch), channels, classes, size)
    got = counted(net, fixed(net.space, (0,) * 19), size)
    assert got.params == expected.params == params(net)
    assert got.mflops == pytest.approx(expected.mflops, rel=1e-12)


def test_a_path_of_the_supernet_costs_what_its_network_does() -> None:
    net = FairNasNet(ALL, 4, 10)
    for arch in ARCHS:
        got, expected = counted(net, fixed(ALL, arch), 32), cost(ALL.operations(arch), 4, 10, 32)
        assert (got.params, got.mflops) == (expected.params, pytest.approx(expected.mflops))


def test_images_are_halved_five_times() -> None:
    net, sides = FairNasNet(fairnas(("k3e3",)), 2, 10), []
    for block in net.blocks:
        block.get_submodule("options.0").register_forward_hook(lambda m, i, o: sides.append(o.shape[2]))
    assert net(torch.randn(2, 3, 64, 64), fixed(net.space, (0,) * 19)).shape == (2, 10)
    assert sides == [16, 16, *[8] * 4, *[4] * 8, *[2] * 5]


def test_dropout_is_for_training_alone() -> None:
    net, x = FairNasNet(fairnas(("k3e3",)), 2, 10, dropout=0.5).eval(), torch.randn(2, 3, 32, 32)
    gates = fixed(net.space, (0,) * 19)
    assert torch.equal(net(x, gates), net(x, gates))
    for module in net.modules():
        module.train(isinstance(module, nn.Dropout))
    assert not torch.equal(net(x, gates), net(x, gates))


@pytest.mark.parametrize("odd", [{"channels": 0}, {"classes": 0}, {"dropout": 1.0}])
def test_sizes_must_be_possible(odd: dict) -> None:
    with pytest.raises(ValueError, match=r"channels and classes must be positive and dropout in \[0, 1\), got"):
        FairNasNet(ALL, **odd)

"""DropBlock on identities: what is dropped, how much of it, and where."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from oneshot.base import distributed
from oneshot.nn.contexts.base import Dependence
from oneshot.nn.contexts.bias import Bias
from oneshot.nn.dropblock import block_mask, dropped, identities
from oneshot.nn.operations import Skip
from oneshot.nn.separable import FactorizedReduce
from oneshot.spaces.nasbench201 import ALL
from oneshot.spaces.nasnet import ALL as NASNET
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.supernets.nasnet import NasNetNet, NasNetSkeleton

SKIPS = ALL.gates((1,) * 6)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(("block", "side"), [(1, 8), (3, 8), (3, 16), (7, 32), (7, 4)])
def test_about_so_much_is_dropped(block: int, side: int) -> None:
    """A little less where squares overlap (arXiv 1810.12890, section 3.1)."""
    mask = block_mask(torch.Size((400, 8, side, side)), 0.1, block, generator())
    assert set(mask.unique().tolist()) == {0.0, 1.0}
    assert 0.085 < float((mask == 0).float().mean()) < 0.105


def test_squares_are_dropped() -> None:
    mask = block_mask(torch.Size((800, 1, 9, 9)), 0.02, 3, generator())
    alone = [one[0] for one in mask if int((one == 0).sum()) == 9]
    assert len(alone) > 20
    for one in alone:
        rows, columns = (one == 0).nonzero().T
        assert rows.unique().numel() == columns.unique().numel() == 3
        assert int(rows.max() - rows.min()) == int(columns.max() - columns.min()) == 2
    assert {int(one.argmin()) for one in alone} >= {0, 6, 54, 60}  # squares may touch every corner


def test_only_identities_that_can_be_chosen_are_dropped() -> None:
    net = NasBench201Net(ALL, 2, 1)
    assert [type(module) for module in identities(net)] == [Skip] * 18
    kinds = [type(module) for module in identities(NasNetNet(NASNET, NasNetSkeleton(channels=2, cells=1)))]
    assert kinds.count(FactorizedReduce) == 2 * 8  # edges that leave the inputs of the reduction cells
    net.eval()
    x = torch.randn(4, 3, 8, 8)
    with torch.no_grad():
        skips, convolutions = net(x, SKIPS), net(x, ALL.gates((3,) * 6))
        with dropped(net, 0.5, 2, 0):
            assert not torch.allclose(net(x, SKIPS), skips)
            assert torch.equal(net(x, ALL.gates((3,) * 6)), convolutions)
        assert torch.equal(net(x, SKIPS), skips)
        with dropped(net, 0.0, 2, 0):
            assert torch.equal(net(x, SKIPS), skips)


def test_what_is_left_is_not_scaled_up_and_gradients_are_those_that_are_left() -> None:
    """Equations 4 and 5."""
    net = nn.Sequential(nn.Identity())
    net.register_parameter("one", nn.Parameter(torch.ones(())))
    x, weight = (
        torch.randn(64, 2, 8, 8, dtype=torch.float64),
        torch.tensor(0.3, dtype=torch.float64, requires_grad=True),
    )
    with dropped(net, 0.2, 1, 5):
        y = weight * net(x)
    mask = block_mask(x.shape, 0.2, 1, generator(5))
    assert torch.equal(y, weight * (x * mask))
    (gradient,) = torch.autograd.grad(y.sum(), weight)
    assert torch.allclose(gradient, (x * mask).sum())


def test_a_seed_gives_the_same_and_each_process_its_share(monkeypatch: pytest.MonkeyPatch) -> None:
    net = nn.Sequential(nn.Identity())
    x = torch.ones(6, 2, 8, 8)

    def drawn(x: torch.Tensor, seed: int = 3) -> torch.Tensor:
        with dropped(net, 0.3, 2, seed):
            return net(x)

    whole = drawn(x)
    assert torch.equal(whole, drawn(x))
    assert not torch.equal(whole, drawn(x, 4))
    monkeypatch.setattr(distributed, "world", lambda: 2)
    for rank in range(2):
        monkeypatch.setattr(distributed, "rank", lambda rank=rank: rank)
        assert torch.equal(drawn(x[rank::2]), whole[rank::2])


def test_identities_behind_a_bias_are_dropped_too() -> None:
    """A bias is handed through an identity without asking it, unless somebody watches."""
    net = NasBench201Net(ALL, 2, 1, dependence=Dependence(Bias, 2)).eval()
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.startswith("contexts"):
                p.normal_()
        x = torch.randn(2, 3, 8, 8)
        whole = net(x, SKIPS)
        with dropped(net, 1 - 1e-9, 1, 0):
            nothing = net(x, SKIPS)
        assert not torch.allclose(whole, nothing)
        assert torch.allclose(nothing, net(torch.zeros_like(x), SKIPS) * 0 + nothing[:1], atol=1e-5)

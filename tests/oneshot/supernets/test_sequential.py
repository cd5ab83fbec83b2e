"""The sequential skeleton: what runs, what is equal, and what does not fit."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from oneshot.gates import fixed, mixture
from oneshot.nn.mobile import inverted_residuals
from oneshot.nn.operations import Operations, Skip
from oneshot.spaces.sequential import Layer, sequential
from oneshot.supernets.sequential import SequentialNet

SPACE = sequential("own", ("k3e2", "k5e2"), layers=3)
LAYERS = (Layer(4, 4), Layer(4, 6, 2), Layer(6, 6))


def head(channels: int) -> nn.Module:
    return nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 5))


def network(operations: Operations | None = None) -> SequentialNet:
    operations = operations or inverted_residuals(kernels=(3, 5), expansions=(2,))
    return SequentialNet(SPACE, operations, LAYERS, nn.Conv2d(3, 4, 3, padding=1), head(6))


def test_a_path_is_the_composition_of_its_operations() -> None:
    net, x = network().eval(), torch.randn(2, 3, 8, 8)
    for arch in SPACE:
        y = net.stem(x)
        for block, option in zip(net.blocks, arch, strict=True):
            y = block.options[option](y)  # pyright: ignore
        assert torch.equal(net(x, fixed(SPACE, arch)), net.head(y))


def test_only_what_is_chosen_gets_gradients_and_statistics() -> None:
    net = network()
    net(torch.randn(4, 3, 8, 8), fixed(SPACE, (0, 1, 0))).sum().backward()
    trained = {tuple(n.split(".")[:4]) for n, p in net.named_parameters() if p.grad is not None and "blocks" in n}
    assert trained == {("blocks", str(i), "options", str(o)) for i, o in enumerate((0, 1, 0))}
    seen = {tuple(n.split(".")[:4]) for n, b in net.named_buffers() if n.endswith("tracked") and b > 0}
    assert seen == trained


def test_a_one_hot_mixture_equals_the_fixed_path() -> None:
    net, x = network(), torch.randn(4, 3, 8, 8)
    hot = [F.one_hot(torch.tensor(i), 2).float() for i in (1, 0, 1)]
    assert torch.allclose(net(x, mixture(SPACE, hot)), net(x, fixed(SPACE, (1, 0, 1))), atol=1e-5)


def test_operations_of_ones_own() -> None:
    """Any table of makers will do: here a skip, and a plain convolution."""
    own: Operations = {"k3e2": lambda i, o, s: nn.Conv2d(i, o, 3, s, 1), "k5e2": lambda i, o, s: Skip()}
    net = SequentialNet(SPACE, own, [Layer(4, 4)] * 3, nn.Conv2d(3, 4, 1), head(4))
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(net(x, fixed(SPACE, (1, 1, 1))), net.head(net.stem(x)))


def test_layers_must_fit_the_space_and_each_other() -> None:
    with pytest.raises(ValueError, match="own needs 3 layers, got 2"):
        SequentialNet(SPACE, inverted_residuals(), LAYERS[:2], nn.Identity(), nn.Identity())
    with pytest.raises(ValueError, match="layer 2 must take the 6 channels of layer 1, got 4"):
        SequentialNet(SPACE, inverted_residuals(), (*LAYERS[:2], Layer(4, 4)), nn.Identity(), nn.Identity())
    with pytest.raises(ValueError, match="no operation named k3e2, k5e2; there are k3e3"):
        SequentialNet(SPACE, inverted_residuals(), LAYERS, nn.Identity(), nn.Identity())

"""The ShuffleNetV2 skeleton: costs counted on networks, what runs, and a short training."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from oneshot.data.source import Images
from oneshot.gates import fixed
from oneshot.methods.single_path import SinglePath
from oneshot.nn.counting import counted
from oneshot.samplers.uniform import Uniform, distinct
from oneshot.space import Arch
from oneshot.spaces.shufflenet import ALL, cost, shufflenet
from oneshot.supernets.shufflenet import ShuffleNetNet
from oneshot.training.callbacks import OnEpoch
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

ARCHS = [(0,) * 20, (3,) * 20, *distinct(ALL, 2, np.random.default_rng(0))]
ONE = (0,) * 20


def params(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize(("channels", "classes", "size"), [(4, 10, 32), (3, 7, 27)])
def test_formula_is_what_a_stand_alone_network_does(arch: Arch, channels: int, classes: int, size: int) -> None:
    net = ShuffleNetNet(ALL.only(arch), channels, classes)
    expected = cost(ALL.operations(arch), channels, classes, size)
    got = counted(net, fixed(net.space, ONE), size)
    assert got.params == expected.params == params(net)
    assert got.mflops == pytest.approx(expected.mflops, rel=1e-12)


def test_a_stand_alone_network_is_a_path_of_the_supernet() -> None:
    whole, x = ShuffleNetNet(ALL, 4, 10), torch.randn(4, 3, 32, 32)
    for arch in ARCHS:
        alone = ShuffleNetNet(ALL.only(arch), 4, 10)
        alone.stem.load_state_dict(whole.stem.state_dict())
        alone.head.load_state_dict(whole.head.state_dict())
        for mine, theirs, option in zip(alone.blocks, whole.blocks, arch, strict=True):
            mine.options[0].load_state_dict(theirs.options[option].state_dict())  # pyright: ignore
        for training in (True, False):
            whole.train(training)
            alone.train(training)
            assert torch.equal(alone(x, fixed(alone.space, ONE)), whole(x, fixed(ALL, arch)))
        got, expected = counted(whole, fixed(ALL, arch), 32), cost(ALL.operations(arch), 4, 10, 32)
        assert (got.params, got.mflops) == (expected.params, pytest.approx(expected.mflops))


def test_only_what_is_chosen_is_computed() -> None:
    net, ran = ShuffleNetNet(ALL, 2, 10), list[tuple[int, int]]()
    for layer, block in enumerate(net.blocks):
        for option, operation in enumerate(block.options):  # pyright: ignore
            operation.register_forward_hook(lambda m, i, o, key=(layer, option): ran.append(key))
    net(torch.randn(2, 3, 32, 32), fixed(ALL, ARCHS[2])).sum().backward()
    assert ran == list(enumerate(ARCHS[2]))
    trained = {tuple(n.split(".")[1:4:2]) for n, p in net.named_parameters() if p.grad is not None and "blocks" in n}
    assert trained == {(str(layer), str(option)) for layer, option in ran}


def test_images_are_halved_five_times() -> None:
    net, sides = ShuffleNetNet(shufflenet(("shuffle3",)), 2, 10), []
    for block in net.blocks:
        block.get_submodule("options.0").register_forward_hook(lambda m, i, o: sides.append(o.shape[2]))
    assert net(torch.randn(2, 3, 64, 64), fixed(net.space, ONE)).shape == (2, 10)
    assert sides == [*[16] * 4, *[8] * 4, *[4] * 8, *[2] * 4]


def test_a_supernet_trains_on_cifar10(cifar_few: tuple[Images, Images]) -> None:
    net, losses = ShuffleNetNet(ALL, 4, 10).to(memory_format=torch.channels_last), list[float]()  # pyright: ignore
    recipe = Recipe(epochs=16, batch_size=32, learning_rate=0.2, shift=0, flip=False)
    train(
        net,
        SinglePath(ALL, Uniform(ALL)),
        *cifar_few,
        recipe,
        callbacks=[OnEpoch(lambda row: losses.append(row["loss"]))],
    )
    assert sum(losses[-4:]) / 4 < sum(losses[:4]) / 4 - 0.08


@pytest.mark.parametrize("odd", [{"channels": 0}, {"classes": 0}, {"dropout": 1.0}])
def test_sizes_must_be_possible(odd: dict) -> None:
    with pytest.raises(ValueError, match=r"channels and classes must be positive and dropout in \[0, 1\), got"):
        ShuffleNetNet(ALL, **odd)

"""The NASNet-like skeleton: an independent twin, costs counted on networks, what runs, and a short training."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import fixed, mixture
from oneshot.methods.single_path import SinglePath
from oneshot.nn.counting import counted
from oneshot.samplers.uniform import Uniform, distinct
from oneshot.space import Arch
from oneshot.spaces.cells import EDGES, layout, live_edges
from oneshot.spaces.nasnet import ALL, nasnet
from oneshot.supernets.nasnet import NasNetNet, NasNetSkeleton
from oneshot.training.callbacks import OnEpoch
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

ONE = (0,) * 28
KNOWN = [
    ALL.parse("none|sep_conv_3x3~0|max_pool_3x3~3|skip_connect~3/skip_connect~1|dil_conv_3x3~0|sep_conv_3x3~2|none"),
    ALL.parse("none|none|none|sep_conv_5x5~0/none|none|none|none"),
    ALL.parse("sep_conv_3x3~2|sep_conv_3x3~3|none|none/none|none|none|none".replace("~2", "~0").replace("~3", "~2")),
    ONE,
]
ARCHS = [*KNOWN, *distinct(ALL, 4, np.random.default_rng(0))]


def sized(channels: int, cells: int) -> NasNetSkeleton:
    return NasNetSkeleton(channels=channels, cells=cells)


def params(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def convolutions(module: nn.Module) -> list[Any]:
    return [m for m in module.modules() if isinstance(m, nn.Conv2d)]


def normed(x: Tensor) -> Tensor:
    return F.batch_norm(x, None, None, training=True)


def halved(x: Tensor, module: nn.Module) -> Tensor:
    """Two 1x1 convolutions, of the pixels at even and at odd places."""
    first, second = convolutions(module)
    x = F.relu(x)
    parts = [F.conv2d(x[:, :, i::2, i::2], conv.weight) for i, conv in enumerate((first, second))]
    return normed(torch.cat(parts, 1))


def operation(name: str, x: Tensor, module: nn.Module, stride: int) -> Tensor:
    """Without any module's forward, statistics of the batch."""
    if name == "none":
        return torch.zeros_like(x[:, :, ::stride, ::stride])
    if name == "skip_connect":
        return halved(x, module) if stride == 2 else x
    if name == "avg_pool_3x3":
        return F.avg_pool2d(x, 3, stride, 1, count_include_pad=False)
    if name == "max_pool_3x3":
        return F.max_pool2d(x, 3, stride, 1)
    convs, dilation = convolutions(module), 2 if name == "dil_conv_3x3" else 1
    assert [c.weight.shape[2] for c in convs] == [int(name[-1]), 1] * (1 if dilation == 2 else 2)
    for depthwise, pointwise in zip(convs[::2], convs[1::2], strict=True):
        pad, groups = int(name[-1]) // 2 * dilation, len(depthwise.weight)
        x = F.conv2d(F.relu(x), depthwise.weight, None, stride, pad, dilation, groups)
        x, stride = normed(F.conv2d(x, pointwise.weight)), 1
    return x


def twin(net: NasNetNet, x: Tensor, arch: Arch) -> Tensor:
    """Every edge computed, `none` as zeros: right where every node of every cell is reached."""
    names = ALL.operations(arch)
    before = last = net.stem(x)
    cell: Any
    for cell, reduces in zip(net.blocks, layout(net.settings.cells), strict=True):
        nodes: list[Tensor] = []
        for source, projection in zip((before, last), cell.projections.values(), strict=True):
            if source.shape[2] > last.shape[2]:
                nodes.append(halved(source, projection))
            else:
                nodes.append(normed(F.conv2d(F.relu(source), convolutions(projection)[0].weight)))
        for target in range(2, 6):
            total: Any = 0
            for edge, (source, end) in enumerate(EDGES):
                if end == target:
                    option, stride = arch[edge + 14 * reduces], 2 if reduces and source < 2 else 1
                    module = cell.edges[str(edge)].options[option]
                    total = total + operation(names[edge + 14 * reduces], nodes[source], module, stride)
            nodes.append(total)
        before, last = last, torch.cat(nodes[2:], 1)
    return net.classifier(last.mean((2, 3)))


@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
def test_forward_and_gradients_equal_the_twin(memory: torch.memory_format) -> None:
    """On architectures that reach every node; in double precision, as pooling the maximum jumps."""
    net = NasNetNet(ALL, sized(2, 1)).double().to(memory_format=memory)  # pyright: ignore[reportCallIssue]
    x = torch.randn(4, 3, 16, 16).double().contiguous(memory_format=memory)
    archs = [
        arch for arch in distinct(ALL, 30, np.random.default_rng(1)) if all(arch[i] or arch[i + 1] for i in (0, 14))
    ]
    for arch in archs[:4]:
        net.zero_grad()
        y = net(x, fixed(ALL, arch))
        y.square().sum().backward()
        got = {name: p.grad for name, p in net.named_parameters()}
        net.zero_grad()
        z = twin(net, x, arch)
        z.square().sum().backward()
        assert torch.allclose(y, z), ALL.format(arch)
        for name, p in net.named_parameters():
            if got[name] is None or p.grad is None:
                assert "norm" in name or "layers" in name or (got[name] is None and p.grad is None), name
            else:
                assert torch.allclose(got[name], p.grad, rtol=1e-6, atol=1e-9), name  # pyright: ignore


@pytest.mark.parametrize("arch", ARCHS)
@pytest.mark.parametrize(("channels", "cells", "classes", "size"), [(4, 2, 10, 16), (3, 1, 7, 8)])
def test_formula_is_what_a_stand_alone_network_does(
    arch: Arch, channels: int, cells: int, classes: int, size: int
) -> None:
    net = NasNetNet(ALL.only(arch), sized(channels, cells), classes, affine=True)
    expected = ALL.cost(arch, channels=channels, cells=cells, classes=classes, image_size=size)
    got = counted(net, fixed(net.space, ONE), size)
    assert got.params == expected.params == params(net)
    assert got.mflops == pytest.approx(expected.mflops, rel=1e-12)


@pytest.mark.parametrize("affine", [True, False])
def test_a_stand_alone_network_is_a_path_of_the_supernet(affine: bool) -> None:
    whole, x = NasNetNet(ALL, sized(4, 1), affine=affine), torch.randn(4, 3, 16, 16)
    state = whole.state_dict()
    for arch in ARCHS:
        alone = NasNetNet(ALL.only(arch), sized(4, 1), affine=affine)
        for name, tensor in alone.state_dict().items():
            found = re.match(r"blocks\.(\d+)\.edges\.(\d+)\.options\.", name)
            if found:
                option = arch[int(found[2]) + 14 * layout(1)[int(found[1])]]
                name = f"{found[0]}{option}{name[found.end() + 1 :]}"
            tensor.copy_(state[name])
        for training in (True, False):
            whole.train(training)
            alone.train(training)
            assert torch.equal(alone(x, fixed(alone.space, ONE)), whole(x, fixed(ALL, arch)))
        if affine:
            got, expected = counted(whole, fixed(ALL, arch), 16), ALL.cost(arch, channels=4, cells=1, image_size=16)
            assert (got.params, got.mflops) == (expected.params, pytest.approx(expected.mflops))


def test_only_what_is_live_is_computed() -> None:
    net, ran = NasNetNet(ALL, sized(2, 2)), list[tuple[int, int, int]]()
    for number, cell in enumerate(net.blocks):
        for edge, block in cell.edges.items():  # pyright: ignore
            for option, module in enumerate(block.options):
                key = (number, int(edge), option)
                module.register_forward_hook(lambda m, i, o, key=key: ran.append(key))
    for arch in ARCHS:
        ran.clear()
        net(torch.randn(2, 3, 8, 8), fixed(ALL, arch))
        live = live_edges([name != "none" for name in ALL.operations(arch)], 2)
        kinds = layout(2)
        expected = [(k, edge, arch[edge + 14 * kinds[k]]) for k, edges in enumerate(live) for edge in edges]
        assert ran == expected


def test_nodes_that_nothing_reaches_are_zeros() -> None:
    """One edge alone: three quarters of what the last cell gives are zeros; without any edge, all of it."""
    net, seen = NasNetNet(ALL, sized(2, 1)), list[Tensor]()
    net.classifier.register_forward_hook(lambda m, inputs, output: seen.append(inputs[0]))
    x = torch.randn(2, 3, 8, 8)
    net(x, fixed(ALL, KNOWN[1])).sum().backward()
    assert seen[0][:, :24].eq(0).all()
    assert seen[0][:, 24:].ne(0).any(1).all()
    assert torch.equal(net(x, fixed(ALL, ONE)), net.classifier.bias.expand(2, -1))


def test_a_one_hot_mixture_equals_the_fixed_path() -> None:
    small = nasnet(("none", "skip_connect", "sep_conv_3x3"), "small")
    net, x = NasNetNet(small, sized(2, 1)), torch.randn(4, 3, 8, 8)
    arch = (2, 1, 0, 2, 1, 0, 0, 2, 1, 1, 2, 0, 0, 1) * 2
    hot = [F.one_hot(torch.tensor(i), 3).float() for i in arch]
    assert torch.allclose(net(x, mixture(small, hot)), net(x, fixed(small, arch)), atol=1e-5)


def test_parameters_of_the_supernet() -> None:
    """At C=16, eight cells: projections, and on an edge two of each separable convolution, a dilated one."""
    total, before, last, width = 27 * 48 + 96, 48, 48, 16
    for reduces in layout(2):
        width *= 2 if reduces else 1
        edge = 2 * ((9 + 25 + 49) * width + 3 * width**2) + 9 * width + width**2
        total += before * width + last * width + 14 * edge + 8 * width**2 * reduces
        before, last = last, 4 * width
    assert params(NasNetNet(ALL)) == total + last * 10 + 10 == 2_479_866


def test_a_supernet_trains_on_cifar10(cifar_few: tuple[Images, Images]) -> None:
    """On every fourth pixel of every fourth row."""
    images, valid = (replace(part, pixels=part.pixels[:, ::4, ::4].contiguous()) for part in cifar_few)
    net, losses = NasNetNet(ALL, sized(4, 1)).to(memory_format=torch.channels_last), list[float]()  # pyright: ignore
    recipe = Recipe(epochs=24, batch_size=32, learning_rate=0.02, gradient_clip=5.0, shift=0, flip=False)
    train(
        net,
        SinglePath(ALL, Uniform(ALL)),
        images,
        valid,
        recipe,
        callbacks=[OnEpoch(lambda row: losses.append(row["loss"]))],
    )
    assert sum(losses[-4:]) / 4 < sum(losses[:4]) / 4 - 0.1


def test_sizes_must_be_positive() -> None:
    with pytest.raises(ValueError, match="cells must be at least 1, got 0"):
        sized(16, 0)
    with pytest.raises(ValueError, match="classes must be positive, got 0"):
        NasNetNet(ALL, classes=0)
    with pytest.raises(ValueError, match="bottleneck must divide the 6 channels, got 4"):
        NasNetSkeleton(channels=6, bottleneck=4)
    with pytest.raises(ValueError, match="drop_path must be at least 0 and below 1, got 1"):
        NasNetSkeleton(drop_path=1.0)

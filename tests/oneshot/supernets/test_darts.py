"""DARTS's search network, and what EnTranNAS adds: shared features, a bottleneck, engine and transit cells."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.gates import ENGINES, engines, fixed, in_cells, mixture
from oneshot.nn.counting import counted
from oneshot.nn.operations import Skip
from oneshot.samplers.uniform import Uniform
from oneshot.space import Space
from oneshot.spaces.cells import EDGES, NONE, layout, of_kind
from oneshot.spaces.darts import ALL, EXTENDED_ALL, EXTENDED_SUBSETS, SUBSETS
from oneshot.spaces.nasbench201 import ALL as NASBENCH201
from oneshot.supernets.darts import DartsSkeleton
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.supernets.nasnet import NasNetNet


def made(space: Space = ALL, classes: int = 10, alone: bool = False, **settings: Any) -> NasNetNet:
    torch.manual_seed(0)
    return DartsSkeleton(**{"channels": 4, "cells": 1, **settings}).make(space, classes, alone)


def images(n: int = 4, size: int = 8) -> Tensor:
    return torch.randn(n, 3, size, size).contiguous(memory_format=torch.channels_last)


def softmaxes(space: Space, seed: int = 0) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(len(d.options), generator=generator).softmax(0).requires_grad_() for d in space.decisions]


def params(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def calls(net: NasNetNet) -> Counter[tuple[int, str, int]]:
    """Counts from now on how often each option of each block runs: (cell, block, option)."""
    ran: Counter[tuple[int, str, int]] = Counter()
    for number, cell in enumerate(net.blocks):
        for key, block in cell.edges.items():  # pyright: ignore
            for option, module in enumerate(block.options):
                place = (number, key, option)
                module.register_forward_hook(lambda m, i, o, place=place: ran.update([place]))
    return ran


def test_the_published_search_network() -> None:
    """1.930618M parameters at C=16 and eight cells, as DARTS's released search prints."""
    net = made(channels=16, cells=2)
    assert params(net) == 1_930_618
    assert [bool(reduces) for reduces in net.layout] == [False, False, True, False, False, True, False, False]
    norms = [m for m in net.blocks.modules() if isinstance(m, nn.BatchNorm2d)]
    assert not any(norm.affine for norm in norms)


def unshared(net: NasNetNet) -> NasNetNet:
    """The same weights on every edge that leaves a node."""
    twin, own = made(sharing=False), net.state_dict()
    for name, tensor in twin.state_dict().items():
        parts = name.split(".")
        if "edges" in parts:
            parts[3] = f"from {EDGES[int(parts[3])][0]}"
        tensor.copy_(own[".".join(parts)])
    return twin


def test_shared_features_are_equation_6() -> None:
    """The same as a network of unshared operations that have the same weights, with the same gradients."""
    net = made(sharing=True)
    twin, x = unshared(net), images()
    weights = softmaxes(ALL)
    shared, plain = net(x, mixture(ALL, weights)), twin(x, mixture(ALL, weights))
    torch.testing.assert_close(shared, plain, rtol=1e-4, atol=1e-4)
    found, expected = (torch.autograd.grad(y.square().sum(), weights) for y in (shared, plain))
    for got, wanted in zip(found, expected, strict=True):
        torch.testing.assert_close(got, wanted, rtol=1e-3, atol=1e-3)


def test_a_shared_operation_runs_once_a_cell() -> None:
    net = made(sharing=True)
    ran = calls(net)
    net(images(), mixture(ALL, softmaxes(ALL)))
    assert set(ran.values()) == {1}
    assert len(ran) == 5 * 5 * (len(ALL.decisions[0].options) - 1)  # cells, nodes that are read, all but zero
    assert params(net) < params(made(sharing=False))


@pytest.mark.parametrize("sharing", [False, True])
@pytest.mark.parametrize("space", [ALL, SUBSETS, EXTENDED_ALL], ids=lambda space: space.name)
def test_a_path_alone_is_a_path_of_the_supernet(space: Space, sharing: bool) -> None:
    """Also where operations are shared by edges that have different ones."""
    net, x = made(space, sharing=sharing, bottleneck=2), images()
    arch = Uniform(space).draw(1, np.random.default_rng(0))[0]
    alone = made(space.only(arch), sharing=sharing, bottleneck=2)
    state, copied = net.state_dict(), alone.state_dict()
    options = [[o[i] for i, _ in gate] for o, gate in zip(space.site_options, space.gates(arch), strict=True)]
    for name in copied:
        parts = name.split(".")
        if "edges" in parts:  # blocks.CELL.edges.BLOCK.options.OPTION
            own = of_kind(options, net.layout[int(parts[1])])
            leaving = [e for e, (a, _) in enumerate(EDGES) if f"from {a}" == parts[3]] if sharing else [int(parts[3])]
            named = list(dict.fromkeys(o for e in leaving for o in own[e] if o != NONE))
            every = space.site_options[0]
            parts[5] = str(every.index(named[int(parts[5])]))
        copied[name].copy_(state[".".join(parts)])
    expected = net(x, fixed(space, arch))
    torch.testing.assert_close(alone(x, fixed(alone.space, (0,) * len(arch))), expected, rtol=1e-5, atol=1e-5)


def test_the_bottleneck_narrows_what_operations_see() -> None:
    net = made(channels=8, bottleneck=4, sharing=True)
    for number, cell in enumerate(net.blocks):
        width = 8 << sum(net.layout[: number + 1])
        convolutions = [m for m in cell.edges.modules() if isinstance(m, nn.Conv2d)]  # pyright: ignore
        assert {m.in_channels for m in convolutions} == {width // 4}
        assert {m.norm.num_features for m in cell.into.values()} == {width // 4}  # pyright: ignore
        assert {m.norm.num_features for m in cell.out_of.values()} == {width}  # pyright: ignore
    assert net(images(), mixture(ALL, softmaxes(ALL))).shape == (4, 10)


def test_which_cells_are_engines() -> None:
    """Of eight cells: six normal, two reductions; Table 1 of arXiv 2101.11342."""
    sites = made(cells=2).cell_sites
    chosen = {
        which: [number for number, is_engine in enumerate(engines(sites, which)) if is_engine] for which in ENGINES
    }
    assert chosen == {"first": [0, 2], "half": [0, 1, 2, 3], "last": [5, 7], "all": list(range(8))}
    assert engines(NasBench201Net(NASBENCH201, 4, 2).cell_sites) == (True, False, False, False, False, False)
    with pytest.raises(ValueError, match="engine cells must be one of first, half, last, all, got 'none'"):
        engines(sites, "none")


@pytest.mark.parametrize("sharing", [False, True])
def test_transit_cells_compute_what_is_derived_alone(sharing: bool) -> None:
    net, weights = made(cells=2, sharing=sharing), softmaxes(ALL)
    arch = ALL.strongest([w.tolist() for w in weights])
    which, mixed, derived = engines(net.cell_sites), mixture(ALL, weights), fixed(ALL, arch)
    ran, x = calls(net), images()
    y = net(x, in_cells(net.cell_sites, [mixed if is_engine else derived for is_engine in which]))
    per_cell = Counter(number for number, _, _ in ran)
    names = [ALL.operations(arch)[:14], ALL.operations(arch)[14:]]
    for number, (is_engine, reduces) in enumerate(zip(which, net.layout, strict=True)):
        sources = {(EDGES[e][0], o) for e, o in enumerate(names[reduces]) if o != NONE}
        transit = len(sources) if sharing else 8
        assert per_cell[number] == ((5 if sharing else 14) * 7 if is_engine else transit)
    gradients = torch.autograd.grad(y.square().sum(), weights)
    assert all(bool(g.any()) for g in gradients)
    same = net(x, in_cells(net.cell_sites, [derived] * 8))
    assert torch.equal(same, net(x, derived))


def test_what_a_subset_leaves_out_adds_nothing() -> None:
    """An engine cell of the options that are left equals a network that has no others, to the last bits."""
    coefficients: dict[int, dict[int, Tensor]] = {}
    arch = Uniform(SUBSETS).draw(1, np.random.default_rng(3))[0]
    generator = torch.Generator().manual_seed(0)
    for site, gate in enumerate(SUBSETS.gates(arch)):
        coefficients[site] = {option: torch.rand((), generator=generator) for option, _ in gate}
    left = tuple(tuple(coefficients[site].items()) for site in range(28))
    every = tuple(
        tuple((k, coefficients[site].get(k, torch.zeros(()))) for k in range(len(options)))
        for site, options in enumerate(SUBSETS.sites_of)
    )
    for sharing in (False, True):
        net, x = made(SUBSETS, sharing=sharing), images()
        torch.testing.assert_close(net(x, left), net(x, every), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("space", [ALL, EXTENDED_SUBSETS], ids=lambda space: space.name)
def test_the_imagenet_stem(space: Space) -> None:
    """Three halvings; the first cell halves its first input once more. Costs are the formula's, at odd sizes, too."""
    arch = Uniform(space).draw(1, np.random.default_rng(0))[0]
    alone = space.only(arch)
    for size in (64, 40):
        net = made(alone, alone=True, stem="imagenet", cells=1)
        got = counted(net, alone.gates((0,) * len(arch)), size)
        said = space.cost(arch, channels=4, cells=1, image_size=size, stem="imagenet")
        assert (got.params, got.mflops) == (said.params, pytest.approx(said.mflops, rel=1e-12))
    sides = list[int]()
    net.blocks[0].register_forward_hook(lambda m, i, o: sides.append(o.value.shape[2]))
    net(images(2, 64), alone.gates((0,) * len(arch)))
    assert sides == [8]


def test_pooling_is_normalised_in_supernets_alone() -> None:
    pools = (nn.MaxPool2d, nn.AvgPool2d)
    for alone in (False, True):
        net = made(alone=alone)
        block: Any = net.blocks[0].edges["0"]  # pyright: ignore
        assert [any(isinstance(m, nn.BatchNorm2d) for m in block.options[i].modules()) for i in (1, 2)] == [
            not alone
        ] * 2
        assert isinstance(block.options[3], Skip)
        reduction: Any = net.blocks[1].edges["0"]  # pyright: ignore
        assert all(any(isinstance(m, pools) for m in reduction.options[i].modules()) for i in (1, 2))
    net, x = made(), images()
    pooled = net.blocks[0].edges["0"].options[1](x := torch.randn(4, 4, 8, 8))  # pyright: ignore
    torch.testing.assert_close(pooled, F.batch_norm(F.max_pool2d(x, 3, 1, 1), None, None, training=True))


def test_odd_settings() -> None:
    with pytest.raises(ValueError, match="stem must be one of cifar, imagenet, got 'mnist'"):
        DartsSkeleton(stem="mnist")
    with pytest.raises(ValueError, match="bottleneck must divide the 6 channels, got 4"):
        DartsSkeleton(channels=6, bottleneck=4)


def test_depths_of_the_papers() -> None:
    """8, 14 and 20 cells, reductions after a third and two thirds."""
    for cells, depth in ((2, 8), (4, 14), (6, 20)):
        assert [i for i, reduces in enumerate(layout(cells)) if reduces] == [depth // 3, 2 * depth // 3]

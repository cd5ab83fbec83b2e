"""The NAS-Bench-201 skeleton: counts, what is computed, and an independent twin."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.gates import fixed, mixture
from oneshot.nn.operations import Zero
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL, CONV, EDGES, OPERATIONS, cost
from oneshot.supernets.nasbench201 import Cell, NasBench201Net


def params(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def test_parameters_of_the_paper() -> None:
    assert params(NasBench201Net(ALL, 16, 2, 10)) == 718_426
    assert params(NasBench201Net(ALL, 16, 2, 10, pool_conv=True)) == 782_938


def test_parameters_of_table_3_row_by_row() -> None:
    net = NasBench201Net(ALL, 16, 2, 10, pool_conv=True)
    rows = [16896, 16896, 14464, 67584, 67584, 57600, 270336, 270336]
    assert [params(block) for block in net.blocks] == rows
    assert params(net.stem) == 464
    assert params(net.norm) + params(net.classifier) == 778


@pytest.mark.parametrize("arch", [(0,) * 6, (3,) * 6, (3, 2, 1, 0, 4, 3), (1, 2, 3, 4, 0, 2)])
@pytest.mark.parametrize(("channels", "cells", "classes"), [(16, 5, 10), (4, 1, 7)])
def test_stand_alone_parameters_are_the_formula(arch: Arch, channels: int, cells: int, classes: int) -> None:
    net = NasBench201Net(ALL.only(arch), channels, cells, classes, affine=True)
    assert params(net) == cost(ALL.operations(arch), channels, cells, classes).params


def twin(net: NasBench201Net, x: Tensor, arch: Arch) -> Tensor:
    """Every edge computed, `none` as zeros, batch statistics: the obvious way, on the same weights."""
    x = net.stem(x)
    for block in net.blocks:
        if not isinstance(block, Cell):
            x = block(x)
            continue
        nodes = [x]
        for target in range(1, 4):
            total = torch.zeros_like(x)
            for edge, (source, end) in enumerate(EDGES):
                if end == target:
                    total = total + option(block, edge, arch[edge], nodes[source])
            nodes.append(total)
        x = nodes[3]
    return net.classifier(F.relu(net.norm(x)).mean((2, 3)))


def option(cell: Cell, edge: int, index: int, x: Tensor) -> Tensor:
    name = OPERATIONS[index]
    if name in ("none", "skip_connect"):
        return x * 0 if name == "none" else x
    if name == "avg_pool_3x3":
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    operation: Any = cell.edges[edge].options[index]  # pyright: ignore
    return F.batch_norm(
        F.conv2d(F.relu(x), operation.conv.weight, padding=int(name[-1]) // 2), None, None, training=True
    )


def test_forward_and_gradients_equal_the_twin() -> None:
    net = NasBench201Net(ALL, 4, 1).to(memory_format=torch.channels_last)  # pyright: ignore
    x = torch.randn(4, 3, 8, 8).contiguous(memory_format=torch.channels_last)
    for arch in list(ALL)[5::611]:
        net.zero_grad()
        y = net(x, fixed(ALL, arch))
        y.square().sum().backward()
        got = {name: p.grad for name, p in net.named_parameters()}
        net.zero_grad()
        z = twin(net, x, arch)
        z.square().sum().backward()
        assert torch.allclose(y, z, atol=1e-4), ALL.format(arch)
        for name, p in net.named_parameters():
            mine, other = got[name], p.grad
            if mine is None:
                assert other is None or not other.any(), name
            else:
                assert other is not None
                assert torch.allclose(mine, other, rtol=1e-3, atol=1e-4), name


def test_only_what_is_live_is_computed() -> None:
    ran: list[int] = []
    net = NasBench201Net(ALL, 4, 1)
    for block in net.blocks:
        for edge, choice in enumerate(block.edges if isinstance(block, Cell) else []):
            for operation in choice.options:  # pyright: ignore
                operation.register_forward_hook(lambda m, i, o, edge=edge: ran.append(edge))
    # 1->3 is dead because nothing reaches node 1; 0->2 because nothing leaves node 2
    arch = ALL.parse("|none~0|+|nor_conv_3x3~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|")
    net(torch.randn(2, 3, 8, 8), fixed(ALL, arch))
    assert ran == [3, 3, 3]


def test_what_did_not_run_gets_no_gradient_and_no_statistics() -> None:
    net = NasBench201Net(ALL, 4, 1)
    arch = ALL.parse("|none~0|+|none~0|none~1|+|nor_conv_1x1~0|nor_conv_3x3~1|none~2|")
    net(torch.randn(2, 3, 8, 8), fixed(ALL, arch)).sum().backward()
    used = {name for name, p in net.named_parameters() if p.grad is not None and "edges" in name}
    assert used == {f"blocks.{cell}.edges.3.options.2.conv.weight" for cell in (0, 2, 4)}
    seen = {name for name, buffer in net.named_buffers() if name.endswith("tracked") and buffer > 0 and "edges" in name}
    assert seen == {f"blocks.{cell}.edges.3.options.2.norm.num_batches_tracked" for cell in (0, 2, 4)}


def test_relu_of_a_node_is_shared() -> None:
    cell, seen = NasBench201Net(CONV, 4, 1).blocks[0], []
    for edge in cell.edges:  # pyright: ignore
        edge.options[1].conv.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0].data_ptr()))
    for memory_format in (torch.channels_last, torch.contiguous_format):
        seen.clear()
        cell(torch.randn(2, 4, 8, 8).to(memory_format=memory_format), fixed(CONV, (1,) * 6))
        assert (len(seen), len(set(seen))) == (6, 3)


def test_a_dead_cell_gives_zeros_and_leaves_the_stem_alone() -> None:
    net = NasBench201Net(ALL, 4, 1)
    y = net(torch.randn(2, 3, 8, 8), fixed(ALL, (0,) * 6))
    assert torch.equal(y[0], y[1])
    y.sum().backward()
    assert net.stem[0].weight.grad is None


def test_one_hot_mixture_equals_the_fixed_path() -> None:
    net = NasBench201Net(ALL, 4, 1)
    arch, x = (3, 1, 2, 4, 3, 2), torch.randn(4, 3, 8, 8)
    hot = [F.one_hot(torch.tensor(i), 5).float() for i in arch]
    assert torch.allclose(net(x, mixture(ALL, hot)), net(x, fixed(ALL, arch)), atol=1e-5)


def test_zero_is_never_computed() -> None:
    with pytest.raises(AssertionError, match="must not be computed"):
        Zero()(torch.zeros(1))


def test_sizes_must_be_positive() -> None:
    with pytest.raises(ValueError, match="must be positive, got 0, 2, 10"):
        NasBench201Net(ALL, 0)

"""The NAS-Bench-101 supernet against `nasbench_pytorch`: logits, statistics, and the published parameters."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from nasbench_pytorch.model import Network
from nasbench_pytorch.model.base_ops import MaxPool3x3
from oneshot.evaluators.supernet import SupernetEvaluator
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import Gates, fixed, mixture
from oneshot.methods.single_path import SinglePath
from oneshot.nn.counting import counted
from oneshot.nn.norm import BatchNorm, batch_norms
from oneshot.nn.sliced import SlicedConvNormRelu
from oneshot.samplers.uniform import Uniform, distinct
from oneshot.space import Arch
from oneshot.spaces.nasbench101 import ALL, EDGES, cost, nasbench101
from oneshot.spaces.nasbench101_cell import CONV3, OPERATIONS
from oneshot.spaces.nasbench101_cell import Cell as Graph
from oneshot.supernets.nasbench101 import OUTPUT, Cell, NasBench101Net
from oneshot.training.callbacks import OnEpoch
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

C = 7
"""Divides by none of the numbers of vertices that may share it, nor do 14 and 28 by all."""

KNOWN = [
    ALL.parse("output~0"),
    ALL.parse("conv3x3~0|output~01"),
    ALL.parse("conv3x3~0|conv1x1~0|maxpool3x3~0|conv3x3~0|output~1234"),
    ALL.parse("conv3x3~0|maxpool3x3~1|conv1x1~2|maxpool3x3~1|conv3x3~1|output~345"),
    ALL.parse("conv3x3~|conv3x3~0|conv1x1~2|maxpool3x3~1|conv3x3~23|output~0235"),  # 1 and 4 are not connected
]
DRAWN = [*KNOWN, *distinct(ALL, 200, np.random.default_rng(0))]


def params(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


def cells(net: NasBench101Net) -> list[Any]:
    return [block for block in net.blocks if isinstance(block, Cell)]


def network(modules: int = 2, affine: bool = True) -> NasBench101Net:
    """A narrow supernet in double precision, all parameters and statistics random."""
    net = NasBench101Net(ALL, C, modules, affine=affine).double()
    with torch.no_grad():
        for norm in batch_norms(net):
            for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                if tensor is not None:
                    tensor.uniform_(0.5, 1.5)
    return net


def kept(arch: Arch) -> list[int]:
    """The inner vertices between input and output, by walking along every path."""
    edges = {edge for edge, present in zip(EDGES, arch, strict=False) if present}
    paths, found = [[0]], set[int]()
    while paths:
        path = paths.pop()
        if path[-1] == OUTPUT:
            found |= set(path)
        paths += [[*path, b] for a, b in edges if a == path[-1]]
    return sorted(found - {0, OUTPUT})


def blocks(net: NasBench101Net, arch: Arch) -> list[Any]:
    """What runs, cell after cell, vertex after vertex: the projection of the input, then the operation."""
    found = []
    for cell in cells(net):
        for vertex in (*kept(arch), OUTPUT):
            if arch[EDGES.index((0, vertex))]:
                found.append(cell.projections[str(vertex)])
            if vertex != OUTPUT:
                found.append(cell.vertices[str(vertex)].options[arch[len(EDGES) + vertex - 1]])
    return found


def derived(net: NasBench101Net, arch: Arch) -> Network:
    """The reference's network with the supernet's leading weights and statistics."""
    stem = next(m for m in net.stem if isinstance(m, nn.Conv2d))
    modules = len(cells(net)) // 3
    matrix, operations = ALL.graph(arch)
    graph: Any = (np.array(matrix), operations)
    other = Network(graph, stem_out_channels=len(stem.weight), num_modules_per_stack=modules, momentum=0.1).double()
    ours: list[Any] = [list(net.stem)[:2]]
    ours += [(m.conv, m.norm) for m in blocks(net, arch) if isinstance(m, SlicedConvNormRelu)]
    theirs = [m.conv_bn_relu for m in ordered(other)]
    for (conv, norm), (conv2, norm2, _) in zip(ours, theirs, strict=True):
        conv2.weight.data = conv.weight.data[: conv2.weight.shape[0], : conv2.weight.shape[1]].clone()
        for name in ("weight", "bias", "running_mean", "running_var"):
            if (tensor := getattr(norm, name)) is not None:
                getattr(norm2, name).data = tensor.data[: norm2.num_features].clone()
    other.classifier.load_state_dict(net.classifier.state_dict())
    return other


def ordered(other: Any) -> list[Any]:
    """The reference's convolutions in the order of `blocks`, the stem first."""
    found = [other.layers[0]]
    for layer in other.layers:
        if hasattr(layer, "matrix"):
            for vertex in range(1, layer.num_vertices):
                if layer.matrix[0, vertex]:
                    found.append(layer.input_op[vertex])
                if vertex < layer.num_vertices - 1 and not isinstance(layer.vertex_op[vertex], MaxPool3x3):
                    found.append(next(iter(layer.vertex_op[vertex].children())))
    return found


@pytest.mark.parametrize(("affine", "count"), [(True, 205), (False, 30)])
def test_logits_equal_the_reference_for_200_cells(affine: bool, count: int) -> None:
    net, x = network(affine=affine), torch.randn(3, 3, 8, 8, dtype=torch.double)
    assert len(DRAWN) == 205
    for arch in DRAWN[:count]:
        other = derived(net.eval(), arch)
        with torch.no_grad():
            for training in (False, True):
                y, z = net.train(training)(x, fixed(ALL, arch)), other.train(training)(x)
                assert torch.allclose(y, z, rtol=1e-9, atol=1e-11), ALL.format(arch)


def test_training_moves_the_statistics_of_the_slice_alone() -> None:
    """To what they become in the reference; the other channels and modules keep theirs."""
    net, x = network(), torch.randn(3, 3, 8, 8, dtype=torch.double)
    for arch in DRAWN[:30]:
        other, before = derived(net, arch), {n: b.clone() for n, b in net.named_buffers()}
        assert torch.allclose(net(x, fixed(ALL, arch)), other(x))
        ran = [net.stem[1], *(m.norm for m in blocks(net, arch) if isinstance(m, SlicedConvNormRelu))]
        for ours, theirs in zip(ran, ordered(other), strict=True):
            norm = theirs.conv_bn_relu[1]
            assert torch.allclose(ours.running_mean[: norm.num_features], norm.running_mean)
            assert torch.allclose(ours.running_var[: norm.num_features], norm.running_var)
        widths = {
            id(ours): theirs.conv_bn_relu[1].num_features for ours, theirs in zip(ran, ordered(other), strict=True)
        }
        for name, norm in net.named_modules():
            if isinstance(norm, BatchNorm):
                rest = slice(widths.get(id(norm), 0), None)
                assert torch.equal(norm.running_mean[rest], before[f"{name}.running_mean"][rest])  # pyright: ignore
                assert torch.equal(norm.running_var[rest], before[f"{name}.running_var"][rest])  # pyright: ignore


def test_gradients_equal_the_reference_and_stay_within_the_slices() -> None:
    net, x = network(), torch.randn(3, 3, 8, 8, dtype=torch.double)
    for arch in DRAWN[:30]:
        other = derived(net, arch)
        net.zero_grad()
        net(x, fixed(ALL, arch)).square().sum().backward()
        other(x).square().sum().backward()
        ran: list[Any] = [m for m in blocks(net, arch) if isinstance(m, SlicedConvNormRelu)]
        for ours, theirs in zip(ran, ordered(other)[1:], strict=True):
            conv, norm, _ = theirs.conv_bn_relu
            o, i = conv.weight.shape[:2]
            assert torch.allclose(ours.conv.weight.grad[:o, :i], conv.weight.grad, rtol=1e-6, atol=1e-9)
            assert torch.allclose(ours.norm.weight.grad[:o], norm.weight.grad, rtol=1e-6, atol=1e-9)
            assert ours.conv.weight.grad.count_nonzero() <= conv.weight.numel()
            assert not ours.norm.bias.grad[o:].any()
        used = {id(p) for m in ran for p in m.parameters()}
        assert {id(p) for p in net.blocks.parameters() if p.grad is not None} == used


@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
def test_single_precision_and_both_memory_formats(memory: torch.memory_format) -> None:
    net = NasBench101Net(ALL, 16, 1).to(memory_format=memory)  # pyright: ignore[reportCallIssue]
    x = torch.randn(4, 3, 16, 16).contiguous(memory_format=memory)
    for arch in DRAWN[:40]:
        other, y = derived(net, arch).float(), net(x, fixed(ALL, arch))
        assert torch.allclose(y, other(x), rtol=1e-3, atol=1e-3), ALL.format(arch)


def test_what_is_pruned_is_not_computed() -> None:
    net, ran = NasBench101Net(ALL, C, 1), list[tuple[int, str]]()
    for number, cell in enumerate(cells(net)):
        for kind, modules in (("input", cell.projections), ("vertex", cell.vertices)):
            for vertex, module in modules.items():
                name = f"{kind} {vertex}"
                module.register_forward_hook(lambda m, i, o, key=(number, name): ran.append(key))
    net(torch.randn(2, 3, 8, 8), fixed(ALL, KNOWN[-1]))
    live = ["input 2", "input 6", "vertex 2", "vertex 3", "vertex 5"]
    assert sorted(ran) == [(cell, name) for cell in range(3) for name in live]


def test_channels_that_vertices_ask_for() -> None:
    """Three vertices share 14 channels as 5, 5 and 4; vertices before them have as many as the widest they feed."""
    net, seen = NasBench101Net(ALL, C, 1), dict[str, int]()
    for vertex, block in cells(net)[1].vertices.items():
        block.register_forward_hook(lambda m, i, o, vertex=vertex: seen.update({vertex: o.shape[1]}))
    net(torch.randn(2, 3, 8, 8), fixed(ALL, KNOWN[3]))
    assert seen == {"1": 5, "2": 5, "3": 5, "4": 5, "5": 4}


@pytest.mark.parametrize("arch", DRAWN[:25])
def test_stand_alone_parameters_are_the_formula(arch: Arch) -> None:
    with torch.device("meta"):
        net = NasBench101Net(ALL.only(arch), affine=True)
    assert params(net) == cost(ALL.cell(arch)).params


@pytest.mark.parametrize("arch", DRAWN[:10])
def test_a_stand_alone_network_costs_the_formula(arch: Arch) -> None:
    net, expected = NasBench101Net(ALL.only(arch), 8, 2, 7, affine=True), cost(ALL.cell(arch), 8, 2, 7, 16)
    got = counted(net, fixed(net.space, (0,) * 26), 16)
    assert (got.params, got.mflops) == (expected.params, pytest.approx(expected.mflops))


def sliced(whole: NasBench101Net, arch: Arch) -> NasBench101Net:
    """The stand-alone network of an architecture with the leading weights of a supernet."""
    net = NasBench101Net(ALL.only(arch), C, 1, affine=True).double()
    state, labels = whole.state_dict(), arch[len(EDGES) :]
    for name, tensor in net.state_dict().items():
        source = re.sub(r"vertices\.(\d)\.options\.0", lambda m: f"{m[0][:-1]}{labels[int(m[1]) - 1]}", name)
        tensor.copy_(state[source][tuple(slice(size) for size in tensor.shape)])
    return net


def test_a_stand_alone_network_has_just_the_slices() -> None:
    whole, x, one = network(1), torch.randn(3, 3, 8, 8, dtype=torch.double), (0,) * 26
    for arch in DRAWN[:60]:
        net = sliced(whole.eval(), arch)
        assert torch.allclose(net.eval()(x, fixed(net.space, one)), whole(x, fixed(ALL, arch)))
        assert torch.allclose(net.train()(x, fixed(net.space, one)), whole.train()(x, fixed(ALL, arch)))


def test_parameters_equal_the_published_table(real_data: Path) -> None:
    """At stem 128, of every 4,000th model; the table has the canonical cells."""
    columns = ["num_vertices", "adj_bits", "ops", "trainable_parameters"]
    table = pq.read_table(real_data / "nasbench101.parquet", columns=columns)
    rows = table.take(np.arange(0, len(table), 4000)).to_pylist()
    for row in rows:
        arch = ALL.from_cell(Graph(row["adj_bits"], tuple(map(int, row["ops"]))))
        with torch.device("meta"):
            assert params(NasBench101Net(ALL.only(arch), affine=True)) == row["trainable_parameters"], row
    assert len(rows) == 106


def test_parameters_of_the_supernet() -> None:
    """In each cell 5 vertices with a 3x3 and a 1x1, and 6 projections, all as wide as the cell."""
    with torch.device("meta"):
        net = NasBench101Net(ALL)
    inputs = {128: 3 * 128, 256: 128 + 2 * 256, 512: 256 + 2 * 512}
    inner = sum(3 * 5 * 10 * width**2 + 6 * before * width for width, before in inputs.items())
    assert params(net) == 27 * 128 + 2 * 128 + inner + 513 * 10 == 56_828_554
    plain = nasbench101(tuple(set(OPERATIONS) - {CONV3}), "no-3x3")
    with torch.device("meta"):
        assert params(net) - params(NasBench101Net(plain)) == sum(3 * 5 * 9 * width**2 for width in inputs)


@pytest.mark.parametrize("mode", ["inherit", "batch", "ema-2", "reset-ema-2", "reset-cumulative-2"])
def test_predictions_are_those_of_the_sliced_network(few: tuple[Images, Images], mode: str) -> None:
    """Every BatchNorm mode, after other architectures were evaluated; the supernet is left as it was."""
    whole = network(1).float()
    before = {name: tensor.clone() for name, tensor in whole.state_dict().items()}
    got = SupernetEvaluator(whole, ALL, *few, norm=mode, batch_size=32)(DRAWN[:12])
    for arch, prediction in zip(DRAWN, got.values, strict=False):
        net = sliced(whole, arch).float()
        (expected,) = SupernetEvaluator(net, net.space, *few, norm=mode, batch_size=32)([(0,) * 26]).values
        assert prediction.loss == pytest.approx(expected.loss, rel=1e-4), ALL.format(arch)
    assert all(torch.equal(tensor, before[name]) for name, tensor in whole.state_dict().items())


def test_an_edge_scales_what_flows_along_it() -> None:
    """input -> 2 x conv -> output, plus half of the projected input."""
    net, x = network(1).eval(), torch.randn(2, 3, 8, 8, dtype=torch.double)
    gates = list(fixed(ALL, ALL.parse("conv1x1~0|conv3x3~|conv3x3~|conv3x3~|conv3x3~|output~01")))
    gates[EDGES.index((1, OUTPUT))] = ((1, 2.0),)
    gates[EDGES.index((0, OUTPUT))] = ((1, torch.tensor(0.5)),)
    y: Tensor = net.stem(x)
    for cell in net.blocks:
        if not isinstance(cell, Cell):
            y = F.max_pool2d(y, 2)
            continue
        inner: Any = cell.vertices["1"].options[1]  # pyright: ignore
        width = cell.width
        y = 2 * inner(cell.projections["1"](y, width)) + cell.projections[str(OUTPUT)](y, width) / 2
    assert torch.allclose(net(x, tuple(gates)), net.classifier(y.mean((2, 3))))


def test_a_mixture_of_everything_reaches_every_weight_of_an_edge() -> None:
    """All 21 edges are there, each vertex mixes its operations; gradients reach the weights of both."""
    net, weights = network(1), [torch.full((len(d.options),), 0.5).double().requires_grad_() for d in ALL.decisions]
    net(torch.randn(2, 3, 8, 8, dtype=torch.double), mixture(ALL, weights)).square().sum().backward()
    for decision, weight in zip(ALL.decisions, weights, strict=True):
        assert weight.grad is not None
        reached = [name for name, grad in zip(decision.options, weight.grad.tolist(), strict=True) if grad]
        assert reached == (["present"] if "edge" in decision.name else list(OPERATIONS))


def test_a_supernet_trains(few: tuple[Images, Images]) -> None:
    """Through the loop, on real images: every weight moves, and the loss falls."""
    net, rows = NasBench101Net(ALL, 8, 1).to(memory_format=torch.channels_last), list[Any]()  # pyright: ignore
    recipe = Recipe(epochs=24, batch_size=16, shift=0, flip=False)
    first = {name: p.detach().clone() for name, p in net.named_parameters()}
    train(net, SinglePath(ALL, Uniform(ALL)), *few, recipe, callbacks=[OnEpoch(rows.append)])
    losses = [row["loss"] for row in rows]
    assert sum(losses[-4:]) / 4 < sum(losses[:4]) / 4 - 0.1  # an epoch is six paths, by chance good or bad ones
    assert sum(torch.equal(p, first[name]) for name, p in net.named_parameters()) == 0


def test_gates_without_a_path_are_refused() -> None:
    gates: Gates = fixed(ALL, (1, *(0,) * 25))
    with pytest.raises(ValueError, match="expected a path from input to output, got conv3x3~0"):
        NasBench101Net(ALL, C, 1)(torch.randn(1, 3, 8, 8), gates)


def test_sizes_must_be_possible() -> None:
    with pytest.raises(ValueError, match="must be positive, got 128, 0, 10"):
        NasBench101Net(ALL, modules=0)
    with pytest.raises(ValueError, match="5 vertices may share the channels of nasbench101, got 4 channels"):
        NasBench101Net(ALL, 4)
    alone = ALL.only(KNOWN[0])
    assert NasBench101Net(alone, 1, 1)(torch.randn(2, 3, 4, 4), fixed(alone, (0,) * 26)).shape == (2, 10)

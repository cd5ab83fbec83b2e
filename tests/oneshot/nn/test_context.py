"""Weights that depend on earlier choices, against the paper's equations written out edge by edge."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.gates import Priors, fixed, mixture
from oneshot.nn.choice import ChoiceBlock, Feature, split
from oneshot.nn.contexts.attention import Attention, Attention2
from oneshot.nn.contexts.base import ALONE, ContextWeights, Dependence
from oneshot.nn.contexts.bias import Bias
from oneshot.nn.contexts.shared_bias import SharedBias
from oneshot.nn.contexts.split import Split
from oneshot.nn.operations import nasbench201
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL, CONV, EDGES, NO_ZERO, NasBench201
from oneshot.supernets.nasbench201 import Cell, NasBench201Net

KINDS = (Bias, SharedBias, Attention, Attention2, Split)
ORDER = {1: ((), (0,), (1,), (2,), (3,), (4,)), 2: ((), (0,), (0, 1), (1, 2), (2, 3), (3, 4))}
RELEASED = ((), (), (0,), (), (0,), (1, 2))
"""The published configuration, `[], [], [-2], [], [-4], [-4, -3]`, as indices of edges."""


def network(space: NasBench201, dependence: Dependence | None, channels: int = 4) -> NasBench201Net:
    torch.manual_seed(1)
    net = NasBench201Net(space, channels, 1, dependence=dependence)
    if dependence is not None and dependence.weights is Split:
        split(net)
    return net.to(memory_format=torch.channels_last)  # pyright: ignore


def shaken(net: NasBench201Net) -> NasBench201Net:
    """Every vector and every copy differs from the others."""
    with torch.no_grad():
        for p in [*net.contexts.parameters(), *(p for n, p in net.named_parameters() if ".options." in n)]:  # pyright: ignore
            p.add_(torch.randn_like(p) * 0.3)
    return net


def images() -> Tensor:
    return torch.randn(4, 3, 8, 8).contiguous(memory_format=torch.channels_last)


def some(space: NasBench201, count: int = 12) -> list[Arch]:
    every = list(space)
    return [every[i] for i in np.random.default_rng(4).choice(len(every), count, replace=False)]


def test_priors_in_order_and_by_graph() -> None:
    for depth, before in ORDER.items():
        assert Priors.of([5] * 6, depth).before == before
    assert Priors.of([5] * 6, 2, EDGES).before == RELEASED
    assert Priors.of([5] * 6, 1, EDGES).before == (*RELEASED[:5], (2,))
    assert Priors.of([5] * 6, 3, EDGES).before == RELEASED
    assert Priors.of([6] * 4, 1, [(0, 1), (1, 2), (2, 3), (3, 4)]).before == ((), (0,), (1,), (2,))
    assert [Priors.of([2, 3, 4, 5], 2).contexts(site) for site in range(4)] == [1, 2, 6, 12]


@pytest.mark.parametrize("depth", [0, 6, 9])
def test_depths_that_no_choice_can_have(depth: int) -> None:
    for weights, graph in itertools.product(KINDS, (False, True)):
        with pytest.raises(ValueError, match=f"depth must be from 1 to 5 for 6 choices, got {depth}"):
            NasBench201Net(ALL, 4, 1, dependence=Dependence(weights, depth, graph))
    with pytest.raises(
        ValueError, match=r"depth 8 makes 10,077,696 combinations of choices, expected 1,000,000 at most"
    ):
        Priors.of([6] * 19, 8)


@pytest.mark.parametrize(("depth", "rows"), [(1, 5 * 25), (2, 25 + 4 * 125), (3, 25 + 125 + 3 * 625)])
def test_parameters_of_the_paper_and_what_is_added(depth: int, rows: int) -> None:
    """The channels of the six cells add up to 2 (16 + 32 + 64) = 224."""

    def params(weights: type[ContextWeights], graph: bool = False) -> int:
        net = NasBench201Net(ALL, 16, 2, pool_conv=True, dependence=Dependence(weights, depth, graph))
        return sum(p.numel() for p in net.parameters()) - 782_938

    assert params(Bias) == rows * 224
    shared = sum(5 * (min(depth, site) + 1) for site in range(1, 6))
    assert params(SharedBias) == shared * 224
    assert params(Attention) == (shared + 5) * 224
    if depth == 2:
        assert params(Bias, graph=True) == (25 + 25 + 125) * 224
        assert params(Attention2) == sum(
            6 * (n * n + n) + (n + 1) * 224 for n in (5 * (min(depth, site) + 1) for site in range(1, 6))
        )


@pytest.mark.parametrize(("graph", "split_edges"), [(False, 5), (True, 3)])
def test_parameters_of_split_weights(graph: bool, split_edges: int) -> None:
    net = NasBench201Net(ALL, 16, 2, pool_conv=True, dependence=Dependence(Split, 1, graph))
    assert sum(p.numel() for p in net.parameters()) == 782_938
    split(net)
    edge = sum(2 * 11 * width**2 for width in (16, 32, 64))
    assert sum(p.numel() for p in net.parameters()) == 782_938 + split_edges * 4 * edge


@pytest.mark.parametrize("weights", KINDS)
def test_the_other_weights_are_those_of_a_network_without(weights: type[ContextWeights]) -> None:
    base, net = network(CONV, None).state_dict(), network(CONV, Dependence(weights)).state_dict()
    assert all(torch.equal(value, net[name]) for name, value in base.items())
    assert all(name.startswith("contexts.") or ".options." in name for name in net.keys() - base.keys())


@pytest.mark.parametrize("weights", [Bias, SharedBias, Split])
@pytest.mark.parametrize("depth", [1, 2, 3])
def test_bit_identical_to_the_baseline_at_first(weights: type[ContextWeights], depth: int) -> None:
    """Biases are zeros and copies equal, in training and in evaluation."""
    base, net, x = network(ALL, None), network(ALL, Dependence(weights, depth)), images()
    for arch in [*some(ALL), (0, 3, 3, 2, 3, 1), (3, 0, 0, 0, 0, 3)]:
        assert torch.equal(net(x, fixed(ALL, arch)), base(x, fixed(ALL, arch)))


def given(net: NasBench201Net, weights: type[ContextWeights], arch: Arch, edge: int, before: Sequence[int], cell: int):
    """(shift, scale, copy) of an edge by the paper's definition: the tables read one entry at a time."""
    contexts, n = net.contexts, 5
    assert contexts is not None
    columns = slice(*[sum([4, 8, 16][:k]) for k in (cell, cell + 1)])
    if not before:
        return None, None, 0
    index = 0
    for prior in before:
        index = index * n + arch[prior]
    if weights is Split:
        return None, None, index
    if weights is Bias:
        sites = [site for site in range(1, edge) if contexts.priors.before[site]]
        row = sum(n ** len(contexts.priors.before[site]) * n for site in sites) + index * n + arch[edge]
        return contexts.tables[0].weight[row, columns], None, 0  # pyright: ignore
    hot = torch.cat([F.one_hot(torch.tensor(arch[site]), n).float() for site in (*before, edge)])
    layer = contexts.layers[str(edge)]  # pyright: ignore
    if weights is SharedBias:
        return (hot @ layer.rows.weight)[columns], None, 0  # pyright: ignore
    if weights is Attention:
        return None, (hot @ layer.rows.weight + layer.bias)[columns].sigmoid(), 0  # pyright: ignore
    wide = len(hot)
    hidden = (hot @ layer["first"].rows.weight + layer["first"].bias).relu()[cell * wide : (cell + 1) * wide]  # pyright: ignore
    return None, layer["second"][cell](hidden).sigmoid(), 0  # pyright: ignore


def computed(block: ChoiceBlock, name: str, option: int, copy: int, x: Tensor) -> Tensor:
    if name in ("none", "skip_connect"):
        return x * 0 if name == "none" else x
    if name == "avg_pool_3x3":
        return F.avg_pool2d(x, 3, 1, 1, count_include_pad=False)
    conv = block.options[copy * 5 + option].conv  # pyright: ignore
    y = F.conv2d(F.relu(x), conv.weight, padding=int(name[-1]) // 2)  # pyright: ignore
    return F.batch_norm(y, None, None, training=True)


def twin(net: NasBench201Net, weights: type[ContextWeights], x: Tensor, arch: Arch) -> Tensor:
    """Every edge computed, `none` as zeros to which later edges add their biases all the same."""
    assert net.contexts is not None
    x, number = net.stem(x), 0
    for cell in net.blocks:
        if not isinstance(cell, Cell):
            x = cell(x)
            continue
        nodes = [x]
        for target in range(1, 4):
            total = torch.zeros_like(x)
            for edge, (source, end) in enumerate(EDGES):
                if end == target:
                    before = net.contexts.priors.before[edge]
                    shift, scale, copy = given(net, weights, arch, edge, before, number)
                    y = nodes[source]
                    y = y if shift is None else y + shift.view(1, -1, 1, 1)
                    y = y if scale is None else y * scale.view(1, -1, 1, 1)
                    block: ChoiceBlock = cell.edges[edge]  # pyright: ignore
                    total = total + computed(block, ALL.decisions[edge].options[arch[edge]], arch[edge], copy, y)
            nodes.append(total)
        x, number = nodes[3], number + 1
    return net.classifier(F.relu(net.norm(x)).mean((2, 3)))


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize(
    ("weights", "depth"), [(kind, d) for kind in KINDS for d in ((1,) if kind is Split else (1, 3))]
)
def test_equals_the_equations(weights: type[ContextWeights], depth: int, graph: bool) -> None:
    net, x = shaken(network(ALL, Dependence(weights, depth, graph))), images()
    for arch in [*some(ALL), (0, 3, 3, 2, 3, 2), (4, 0, 0, 1, 2, 3)]:
        assert torch.allclose(net(x, fixed(ALL, arch)), twin(net, weights, x, arch), rtol=1e-3, atol=1e-3), arch


@pytest.mark.parametrize("weights", KINDS)
def test_gradients_equal_those_of_the_equations(weights: type[ContextWeights]) -> None:
    net, x = shaken(network(ALL, Dependence(weights))), images()
    for arch in [(3, 2, 3, 1, 3, 3), (2, 1, 4, 3, 3, 1), (3, 3, 2, 2, 1, 4)]:
        found = []
        for way in (lambda: net(x, fixed(ALL, arch)), lambda: twin(net, weights, x, arch)):  # noqa: B023
            net.zero_grad()
            way().square().sum().backward()
            found.append({n: p.grad.to_dense() for n, p in net.named_parameters() if p.grad is not None})
        for name, grad in found[0].items():
            other = found[1][name]
            assert torch.allclose(grad, other, rtol=1e-2, atol=1e-3 * float(other.abs().max()) + 1e-5), (arch, name)


def hot(arch: Arch, space: NasBench201) -> list[Tensor]:
    return [F.one_hot(torch.tensor(i), len(d.options)).float() for i, d in zip(arch, space.decisions, strict=True)]


@pytest.mark.parametrize("weights", KINDS)
@pytest.mark.parametrize(("depth", "graph"), [(1, False), (3, False), (2, True)])
def test_a_one_hot_relaxation_is_the_fixed_path(weights: type[ContextWeights], depth: int, graph: bool) -> None:
    """To the bit; but the second layer of an attention rounds differently where it sees several rows."""
    net, x = shaken(network(NO_ZERO, Dependence(weights, 1 if weights is Split else depth, graph))), images()
    for arch in some(NO_ZERO, 6):
        one, other = net(x, fixed(NO_ZERO, arch)), net(x, mixture(NO_ZERO, hot(arch, NO_ZERO)))
        assert torch.allclose(one, other, atol=1e-4) if weights is Attention2 else torch.equal(one, other)


@pytest.mark.parametrize("weights", [Bias, SharedBias, Split])
def test_a_one_hot_relaxation_where_nothing_reaches_a_node(weights: type[ContextWeights]) -> None:
    net, x = shaken(network(ALL, Dependence(weights))), images()
    for arch in [(0, 3, 3, 2, 3, 2), (4, 0, 0, 1, 2, 3), (0, 0, 3, 0, 1, 2)]:
        one, other = net(x, fixed(ALL, arch)), net(x, mixture(ALL, hot(arch, ALL)))
        assert torch.allclose(one, other, rtol=1e-3, atol=1e-3)


def test_contexts_are_averaged_with_weights_that_sum_to_one() -> None:
    """The vectors of a bias, the outputs of split weights."""
    first, second = torch.tensor([0.5, 1.5]), torch.tensor([0.2, 0.8])
    gates = (tuple(enumerate(first)), tuple(enumerate(second)), ((1, 1.0),))
    priors, device = Priors.of([2, 2, 2], 2), torch.device("cpu")
    context = priors.context(2, gates, device)
    assert isinstance(context, Tensor)
    assert context.tolist() == pytest.approx([0.05, 0.2, 0.15, 0.6])
    half = priors.context(2, (gates[0], ((1, 1.0),), ((1, 1.0),)), device)
    assert isinstance(half, Tensor)
    assert half.tolist() == pytest.approx([0, 0.25, 0, 0.75])
    other = priors.context(2, (((1, 0.3),), gates[1], ((1, 1.0),)), device)  # one option is certain whatever its weight
    assert isinstance(other, Tensor)
    assert other.tolist() == pytest.approx([0, 0, 0.2, 0.8])
    assert priors.context(2, (((1, 1.0),), ((0, 1.0),), ((1, 1.0),)), device) == 2
    nothing = priors.context(2, ((), ((0, 1.0),), ((1, 1.0),)), device)
    assert isinstance(nothing, Tensor)
    assert nothing.tolist() == pytest.approx([0.5, 0, 0.5, 0])
    bias = Bias(priors, [[3], [3], [3]])
    with torch.no_grad():
        bias.tables[0].weight.normal_()  # pyright: ignore
    (told,) = bias(gates)
    table: Tensor = bias.tables[0].weight  # pyright: ignore
    rows = table[4:].view(4, 2, 3)[:, 1]
    assert torch.allclose(told[2].shift[0], (context[:, None] * rows).sum(0))
    assert 0 not in told


def test_split_outputs_are_averaged() -> None:
    block, x = ChoiceBlock(("nor_conv_1x1",), nasbench201(affine=False), 4, 4, contexts=2), torch.randn(2, 4, 3, 3)
    assert len(block.split()) == 1
    with torch.no_grad():
        block.options[1].conv.weight.mul_(-2)  # pyright: ignore
    one, two = (block(Feature(x), ((0, 1.0),), ALONE._replace(context=c)) for c in (0, 1))
    mixed = block(Feature(x), ((0, 1.0),), ALONE._replace(context=torch.tensor([0.25, 0.75])))
    assert torch.allclose(mixed, 0.25 * one + 0.75 * two, atol=1e-6)
    with pytest.raises(ValueError, match="the weights are split already, into 2 contexts"):
        block.split()


def test_a_network_without_contexts_cannot_be_split_and_none_twice() -> None:
    with pytest.raises(ValueError, match="no weights to split: it was built without the context split"):
        split(network(CONV, None))
    with pytest.raises(ValueError, match="no weights to split"):
        split(network(CONV, Dependence(Bias)))
    with pytest.raises(ValueError, match="the weights are split already, into 2 contexts"):
        split(network(CONV, Dependence(Split)))


def test_only_what_a_step_uses_has_a_gradient() -> None:
    """Rows of live edges of the bias table; the copies of the context, not the others."""
    arch, x = ALL.parse("|nor_conv_1x1~0|+|none~0|skip_connect~1|+|nor_conv_3x3~0|none~1|nor_conv_3x3~2|"), images()
    assert arch == (2, 0, 1, 3, 0, 3)
    net = network(ALL, Dependence(Bias))
    net(x, fixed(ALL, arch)).sum().backward()
    grad = net.contexts.tables[0].weight.grad  # pyright: ignore
    assert grad is not None
    # edges 2, 3, 5; their tables begin at 25, 50 and 100; the choices before them are 0, 1 and 0
    assert grad.coalesce().indices()[0].tolist() == [25 + 0 * 5 + 1, 50 + 1 * 5 + 3, 100 + 0 * 5 + 3]
    net = network(ALL, Dependence(Split))
    net(x, fixed(ALL, arch)).sum().backward()
    used = {name for name, p in net.named_parameters() if p.grad is not None and ".options." in name}
    copies = {0: 2, 3: 1 * 5 + 3, 5: 0 * 5 + 3}
    assert used == {
        f"blocks.{cell}.edges.{edge}.options.{option}.conv.weight"
        for cell in (0, 2, 4)
        for edge, option in copies.items()
    }
    net = network(ALL, Dependence(Attention2))
    net(x, fixed(ALL, arch)).sum().backward()
    touched = {n.split(".")[2] for n, p in net.named_parameters() if p.grad is not None and n.startswith("contexts")}
    assert touched == {"2", "3", "5"}

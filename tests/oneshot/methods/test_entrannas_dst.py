"""EnTranNAS-DST against equations 7 to 11, and the derived network against the one that searches."""

from __future__ import annotations

import math
from copy import deepcopy
from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import Gates, PerCell
from oneshot.methods.base import CannotSearch, Setup
from oneshot.methods.entrannas_dst import EnTranNasDst, EnTranNasDstSettings
from oneshot.nn.cell import Cell
from oneshot.nn.choice import ChoiceBlock
from oneshot.registry import SKELETONS, SPACES
from oneshot.samplers.uniform import Uniform
from oneshot.training.loop import Training, train
from oneshot.training.recipe import Recipe
from tests.oneshot.methods.derivatives import analytic, numeric

Few = tuple[Images, Images]
SPACE, CELLS = SPACES["nasbench201-subsets"], SPACES["darts-subsets"]
SMALL: dict[str, Any] = {"channels": 4, "cells": 1}
RECIPE = Recipe(epochs=3, batch_size=32, learning_rate=0.05, shift=0, flip=False, precision="float32")


def method_of(net: nn.Module, **settings: Any) -> EnTranNasDst:
    space: Any = net.space
    return EnTranNasDst(Setup(space, net, Uniform(space)), EnTranNasDstSettings(**settings))


def net_of(name: str, **settings: Any) -> nn.Module:
    return SKELETONS[name](**SMALL, **settings).make(SPACES[name], 10)


def filled(method: EnTranNasDst, scale: float = 3.0) -> EnTranNasDst:
    with torch.no_grad():
        for alpha in method.alphas:
            alpha.normal_(std=scale * float(method.temperature))
        method.thresholds.normal_()
    return method


def test_coefficients_by_hand() -> None:
    """Node 2 of NAS-Bench-201: two edges of four options, threshold sigmoid(0) = .5."""
    method = method_of(net_of("nasbench201-subsets"), temperature=1.0)
    with torch.no_grad():
        method.alphas[1].copy_(torch.tensor([0.5, 0.3, 0.1, 0.1]).log())
        method.alphas[2].copy_(torch.tensor([0.4, 0.2, 0.2, 0.2]).log())
        method.alphas[3].copy_(torch.tensor([0.97, 0.01, 0.01, 0.01]).log())
    q = method.coefficients()
    # p-hat 1, .6, .2, .2 and .8, .4, .4, .4; q .5, .1, 0, 0 and .3, 0, 0, 0
    assert q[1].tolist() == pytest.approx([5 / 6, 1 / 6, 0, 0])
    assert q[2].tolist() == pytest.approx([1, 0, 0, 0])
    assert [q[0].tolist(), q[3].tolist()] == [pytest.approx([0.25] * 4), pytest.approx([1, 0, 0, 0])]
    assert [q[4].tolist(), q[5].tolist()] == [[0.0] * 4] * 2  # p-hat .25 / .97: the whole edge is cut
    on = SPACE.options_on(method.derive())
    skip, one, three, pool = SPACE.sites_of[0]
    assert on == ((skip, one, three, pool), (skip, one), (skip,), (skip,), (), ())


def test_a_higher_threshold_keeps_a_part_of_what_a_lower_one_does() -> None:
    method = filled(method_of(net_of("nasbench201-subsets")), 0.5)
    kept = []
    for beta in (-4.0, -1.0, 0.0, 1.0, 4.0):
        with torch.no_grad():
            method.thresholds.fill_(beta)
        kept.append({(s, i) for s, q in enumerate(method.coefficients()) for i, v in enumerate(q) if v > 0})
    assert all(later <= earlier for earlier, later in pairwise(kept))
    assert len(kept[0]) > len(kept[2]) > len(kept[-1]) >= len(method.nodes)


def test_the_derivatives_of_the_coefficients() -> None:
    method = filled(method_of(net_of("darts-subsets")).double(), 0.5)
    mix = [torch.randn(7, dtype=torch.float64) for _ in method.alphas]

    def loss() -> Tensor:
        return sum(((q * m).sum() for q, m in zip(method.coefficients(), mix, strict=True)), torch.zeros(()))

    parameters = [*method.alphas, method.thresholds]
    found = analytic(loss, parameters)
    for a, b in zip(found, numeric(loss, parameters, 1e-7), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-7)
    assert found[-1].all()


def test_its_gradient_is_the_derivative_through_the_engine_cell() -> None:
    """Equation 11 whole: the loss of the network, and the thresholds'."""
    net = net_of("nasbench201-subsets").double().train()
    method = filled(method_of(net, sparsity=0.3).double(), 0.5)
    x, y = torch.randn(4, 3, 8, 8, dtype=torch.float64), torch.arange(4)

    def loss() -> Tensor:
        return F.cross_entropy(net(x, method.gates()), y) + method.penalty()

    parameters = [*method.alphas, method.thresholds]
    for a, b in zip(analytic(loss, parameters), numeric(loss, parameters), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("name", "kinds"), [("nasbench201-subsets", 1), ("darts-subsets", 2)])
def test_what_thresholds_cost_by_hand(name: str, kinds: int) -> None:
    """lambda / (n - 1) times the sum over the nodes of a cell of -log t; each kind of cell has nodes of its own."""
    method = method_of(net_of(name), sparsity=0.2)
    with torch.no_grad():
        method.thresholds.copy_(torch.linspace(-1, 2, len(method.nodes)))
    t = [1 / (1 + math.exp(-beta)) for beta in method.thresholds.tolist()]
    of_cell = len(t) // kinds
    assert method.penalty().item() == pytest.approx(0.2 / of_cell * sum(-math.log(each) for each in t), rel=1e-5)
    (gradient,) = torch.autograd.grad(method.penalty(), method.thresholds)
    assert gradient.tolist() == pytest.approx([-0.2 / of_cell * (1 - each) for each in t], rel=1e-4)


@pytest.mark.parametrize("name", ["nasbench201-subsets", "darts-subsets"])
def test_every_node_keeps_a_connection_whatever_it_learns(name: str) -> None:
    method = method_of(net_of(name))
    for scale in (0.1, 1.0, 100.0, 1e6):
        for beta in (-1e6, 0.0, 16.0, 20.0, 90.0, 200.0, 1e6):
            filled(method, scale)
            with torch.no_grad():
                method.thresholds.fill_(beta)
            q = method.coefficients()
            assert all(torch.isfinite(each).all() for each in q)
            assert all(any(bool(q[site].any()) for site in sites) for sites in method.nodes)
            assert method.space.allows(method.derive())


@pytest.mark.parametrize(
    ("name", "settings"),
    [("nasbench201-subsets", {}), ("darts-subsets", {}), ("darts-subsets", {"sharing": True, "bottleneck": 4})],
)
def test_what_is_cut_contributes_exactly_nothing(name: str, settings: dict[str, Any]) -> None:
    """The same logits, bit by bit, with weights of NaN in all that no edge keeps."""
    net, x = net_of(name, **settings).eval(), torch.randn(2, 3, 16, 16)
    method = filled(method_of(net), 1.0)
    before = net(x, method.gates())
    poisoned = 0
    blocks = [module for module in net.modules() if isinstance(module, ChoiceBlock)]
    ran: set[nn.Module] = set()
    handles = [o.register_forward_hook(lambda m, *_: ran.add(m)) for block in blocks for o in block.options]
    net(x, method.gates())
    for handle in handles:
        handle.remove()
    kept = {(site, i) for site, q in enumerate(method.coefficients()) for i, value in enumerate(q) if value > 0}
    assert len(kept) < sum(len(q) for q in method.alphas)
    for block in blocks:
        for option in block.options:
            if option not in ran and any(True for _ in option.parameters()):
                poisoned += 1
                for p in option.parameters():
                    p.data.fill_(math.nan)
    assert poisoned
    assert torch.equal(net(x, method.gates()), before)


def test_transit_cells_run_what_engine_cells_keep() -> None:
    method = filled(method_of(net_of("darts-subsets")), 0.3)
    each = method.gates()
    derived = CELLS.gates(method.derive())
    assert list(each[2:]) == [derived[:14], derived[14:], derived[:14]]
    for engine, transit in zip(each[:2], (derived[:14], derived[14:]), strict=True):
        assert [[o for o, _ in gate] for gate in engine] == [[o for o, _ in gate] for gate in transit]


X = torch.linspace(-2, 2, 3 * 16 * 16 * 4).view(4, 3, 16, 16)


def of_derived_alone(net: nn.Module, method: EnTranNasDst, name: str, settings: dict[str, Any]) -> Tensor:
    """Logits, in the weights' type, of a network of the derived connections alone, with the coefficients."""
    arch = method.derive()
    space = method.space.only(arch)
    alone = SKELETONS[name](**SMALL, **settings).make(space, 10).to(dtype := next(net.parameters()).dtype)
    coefficients, kept = method.coefficients(), []
    for q, options, names in zip(coefficients, method.space.site_options, space.site_options, strict=True):
        kept.append([options.index(option) for option in names])
        assert [i for i, value in enumerate(q) if value > 0] == kept[-1]
    state = net.state_dict()
    own = alone.state_dict()
    for key in own:
        own[key] = state[_in_whole(key, kept, method.cell_sites, alone)]
    alone.load_state_dict(own)
    each = []
    for sites, is_engine in zip(method.cell_sites, method.engines, strict=True):
        chosen = [[coefficients[s][i] if is_engine else 1.0 for i in kept[s]] for s in sites]
        each.append(tuple(tuple(enumerate(weights)) for weights in chosen))
    alone.train(net.training)
    return alone(X.to(dtype), PerCell(each))


def _in_whole(key: str, kept: list[list[int]], cell_sites: Any, alone: nn.Module) -> str:
    """The name in the whole network of a parameter of the derived one: options count on."""
    parts = key.split(".")
    if "edges" not in parts:
        return key
    at, cell = parts.index("edges"), alone.get_submodule(".".join(parts[:2]))
    block, option = parts[at + 1], int(parts[at + 3])
    if isinstance(cell, Cell):  # where operations are shared, the options of all edges of a block
        sites, places = cell_sites[int(parts[1])], dict[int, int]()
        for edge in (edge for edge in cell.places if cell._key(edge) == block):
            places |= dict(zip(cell.places[edge], kept[sites[edge]], strict=True))
        parts[at + 3] = str(places[option])
    else:  # in NAS-Bench-201 all cells are of one kind
        parts[at + 3] = str(kept[int(block)][option])
    return ".".join(parts)


@pytest.mark.parametrize(
    ("name", "settings"),
    [("nasbench201-subsets", {}), ("darts-subsets", {}), ("darts-subsets", {"sharing": True, "bottleneck": 4})],
)
def test_after_every_epoch_the_derived_network_alone_gives_the_same_logits(
    name: str, settings: dict[str, Any], few: Few
) -> None:
    net = net_of(name, **settings)
    method = method_of(net, sparsity=0.2, arch_learning_rate=0.2, temperature=1.0, temperature_ratio=0.8)
    training = Training(net, method, *few, RECIPE)
    counts = []
    for epoch in range(RECIPE.epochs):
        net.train()
        counts.append(training.epoch(epoch)["connections"])
        for mode in (True, False):
            net.train(mode)
            # two channels in a bottleneck of one: BatchNorm makes 1e-5 of float32's rounding
            exact = (torch.float64, 1e-12), *([] if "bottleneck" in settings else [(torch.float32, 1e-5)])
            for dtype, most in exact:
                with torch.no_grad():
                    whole = deepcopy(net).to(dtype)
                    alone = of_derived_alone(whole, method, name, settings)
                    searching = whole(X.to(dtype), method.gates())
                assert float((searching - alone).abs().max()) <= most * max(1.0, float(searching.abs().max()))
    everything = sum(len(alpha) for alpha in method.alphas)
    assert counts[-1] < everything
    assert counts == sorted(counts, reverse=True)


def test_fewer_connections_are_kept_as_lambda_grows(few: Few) -> None:
    """Table 4's order, at its ends: a search of 18 steps does not tell its own .05, .1 and .2 apart."""
    thresholds, connections = [], []
    for sparsity in (0.0, 0.2, 1.0):
        facts = []
        for seed in range(4):
            torch.manual_seed(seed)
            net = SKELETONS["nasbench201-subsets"](channels=2, cells=1).make(SPACE, 10)
            method = method_of(net, sparsity=sparsity, arch_learning_rate=0.1, temperature=1.0, temperature_ratio=0.9)
            train(net, method, *few, replace(RECIPE, epochs=6))
            facts.append(method.facts())
        thresholds.append(sum(row["threshold"] for row in facts))
        connections.append(sum(row["connections"] for row in facts))
    assert thresholds[0] < thresholds[1] < thresholds[2]
    assert connections[0] > connections[2]


def test_a_zero_of_one_edge_is_no_zero_of_the_node() -> None:
    """An edge may lose all of its options, and its gate is then empty."""
    method = method_of(net_of("nasbench201-subsets"), temperature=1.0)
    with torch.no_grad():
        method.alphas[3][0] = 9.0
    gates: Gates = method.mixture()
    assert [len(gate) for gate in gates[3:]] == [1, 0, 0]
    assert torch.as_tensor(gates[3][0][1]).detach() == 1


def test_thresholds_are_learned_with_the_alphas() -> None:
    method = method_of(net_of("darts-subsets"))
    (group,) = method.architecture.optimizer.param_groups
    assert len(method.thresholds) == 8
    assert any(p is method.thresholds for p in group["params"])
    assert len(group["params"]) == 28 + 1
    assert (group["lr"], group["betas"], group["weight_decay"]) == (6e-4, (0.5, 0.999), 1e-3)


def test_bad_input() -> None:
    with pytest.raises(ValueError, match="sparsity must be a finite number of at least 0, got -1"):
        EnTranNasDstSettings(sparsity=-1.0)
    with pytest.raises(ValueError, match="temperature must be a finite number above 0, got 0"):
        EnTranNasDstSettings(temperature=0.0)
    space = SPACES["nasbench201"]
    net = net_of("nasbench201")
    with pytest.raises(CannotSearch, match="which nasbench201 does not offer; it can search ") as caught:
        EnTranNasDstSettings().make(Setup(space, net, Uniform(space)))
    able = str(caught.value).rpartition("it can search ")[2].split(", ")
    assert sorted(able) == ["darts-extended-subsets", "darts-subsets", "nasbench201-subsets"]

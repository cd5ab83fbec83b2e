"""EnTranNAS against equation 5, and who runs what: engine cells the mixture, transit cells what is derived."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import Gates, PerCell, mixture
from oneshot.methods.base import CannotSearch, Setup
from oneshot.methods.entrannas import EnTranNas, EnTranNasSettings
from oneshot.registry import SKELETONS, SPACES
from oneshot.samplers.uniform import Uniform
from oneshot.space import Space
from oneshot.spaces.darts import ALL as DARTS
from oneshot.spaces.nasbench201 import ALL
from oneshot.spaces.sequential import sequential
from oneshot.supernets.darts import DartsSkeleton
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import Training
from oneshot.training.recipe import Recipe
from tests.oneshot.methods.derivatives import analytic, numeric
from tests.oneshot.methods.stepping import PLAIN, Watched, prepared

Few = tuple[Images, Images]


def method_of(space: Space, net: nn.Module, settings: EnTranNasSettings | None = None) -> EnTranNas:
    return EnTranNas(Setup(space, net, Uniform(space)), settings)


def filled(method: EnTranNas, scale: float = 1.0) -> EnTranNas:
    with torch.no_grad():
        for alpha in method.alphas:
            alpha.normal_(std=scale)
    return method


def darts_net(**settings: object) -> nn.Module:
    return DartsSkeleton(channels=4, cells=1, **settings).make(DARTS, 10)  # pyright: ignore[reportArgumentType]


def weights(gates: Gates) -> list[list[float]]:
    return [[float(torch.as_tensor(weight).detach()) for _, weight in gate] for gate in gates]


def test_probabilities_are_equation_5_by_hand() -> None:
    """At tau = 5 the logits 0 and 5 ln 2 are as 1 to 2."""
    method = method_of(ALL, NasBench201Net(ALL, 2, 1))
    with torch.no_grad():
        method.alphas[0].copy_(5 * torch.tensor([0.0, math.log(2), 0.0, math.log(3), 0.0]))
    assert method.probabilities()[0].tolist() == pytest.approx([1 / 8, 2 / 8, 1 / 8, 3 / 8, 1 / 8])
    method.temperature.fill_(2.5)
    assert method.probabilities()[0].tolist() == pytest.approx([1 / 16, 4 / 16, 1 / 16, 9 / 16, 1 / 16])


def test_the_temperature_falls_every_epoch_and_stays_within_one(few: Few) -> None:
    net = NasBench201Net(ALL, 2, 1)
    method = method_of(ALL, net)
    training = Training(net, method, *few, Recipe(epochs=50, batch_size=96, precision="float32", shift=0))
    found = [training.epoch(epoch)["temperature"] for epoch in (0, 1, 2, 49)]
    assert found == pytest.approx([5.0, 5 * 0.923, 5 * 0.923**2, 5 * 0.923**49], rel=1e-6)


def test_the_first_cell_mixes_and_the_others_run_what_is_derived() -> None:
    method = filled(method_of(ALL, NasBench201Net(ALL, 2, 2)))
    first, *others = method.gates()
    expected = mixture(ALL, [(alpha / 5).softmax(0) for alpha in method.alphas])
    assert weights(first) == weights(expected)
    arch = method.derive()
    assert arch is not None
    assert arch == tuple(int(alpha[1:].argmax()) + 1 for alpha in method.alphas)  # one an edge, never zero
    assert all(gates == ALL.gates(arch) for gates in others)
    assert len(others) == 5


def test_in_cells_of_two_kinds_the_first_of_each_is_the_engine() -> None:
    """Top-2 of every node: two edges with one option each."""
    method = filled(method_of(DARTS, darts_net()))
    each = method.gates()
    mixes = [all(len(gate) == 8 for gate in gates) for gates in each]
    assert mixes == [True, True, False, False, False]  # normal, reduction, normal, reduction, normal
    arch = method.derive()
    assert arch is not None
    assert DARTS.allows(arch)
    gates = DARTS.gates(arch)
    assert list(each[2:]) == [gates[:14], gates[14:], gates[:14]]
    edges = [(0, 1), (2, 3, 4), (5, 6, 7, 8), (9, 10, 11, 12, 13)]
    strength = torch.stack([p[1:].max() for p in method.probabilities()])
    for kind in (0, 14):
        for node in edges:
            kept = {e for e in node if DARTS.decisions[kind + e].options[arch[kind + e]] != "none"}
            strongest = sorted(node, key=lambda e, kind=kind: -float(strength[kind + e]))[:2]
            assert kept == set(strongest)


@pytest.mark.parametrize(("which", "expected"), [("all", 6), ("half", 3), ("first", 1), ("last", 1)])
def test_which_cells_are_engines_is_a_setting(which: str, expected: int) -> None:
    method = method_of(ALL, NasBench201Net(ALL, 2, 2), EnTranNasSettings(which))
    mixes = [len(gates[0]) == 5 for gates in method.gates()]
    assert sum(mixes) == expected
    assert mixes[-1] is (which in ("all", "last"))


def test_with_all_cells_engines_it_is_the_mixture_of_darts() -> None:
    net, x = NasBench201Net(ALL, 4, 2).eval(), torch.randn(2, 3, 8, 8)
    method = filled(method_of(ALL, net, EnTranNasSettings("all")))
    assert torch.equal(net(x, method.gates()), net(x, mixture(ALL, method.probabilities())))


@pytest.mark.parametrize("settings", [{}, {"sharing": True}, {"sharing": True, "bottleneck": 4}])
def test_a_one_hot_mixture_is_the_fixed_path(settings: dict[str, object]) -> None:
    """At a temperature near nothing, where DARTS's two inputs are the only ones that are not zero."""
    net, x = darts_net(**settings).eval(), torch.randn(2, 3, 8, 8)
    method = method_of(DARTS, net)
    arch = Uniform(DARTS).draw(1, np.random.default_rng(4))[0]
    with torch.no_grad():
        for alpha, i in zip(method.alphas, arch, strict=True):
            alpha[i] = 1000.0
    assert method.derive() == arch
    assert torch.allclose(net(x, method.gates()), net(x, DARTS.gates(arch)), atol=1e-5)


@pytest.mark.parametrize("which", ["first", "all"])
def test_its_gradient_is_the_derivative_through_the_engine_cells(which: str) -> None:
    net = NasBench201Net(ALL, 2, 1).double().train()
    method = filled(method_of(ALL, net, EnTranNasSettings(which)).double())
    x, y = torch.randn(4, 3, 8, 8, dtype=torch.float64), torch.arange(4)

    def loss() -> Tensor:
        return F.cross_entropy(net(x, method.gates()), y)

    parameters = list(method.alphas)
    for a, b in zip(analytic(loss, parameters), numeric(loss, parameters), strict=True):
        assert a.any()
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-8)


def test_the_derived_cell_is_that_of_the_alphas_of_this_step(few: Few) -> None:
    """It is derived anew for both halves, and changes between them where the architecture does."""
    images, held_out = ((part.normalised(part.pixels[:32]), part.labels[:32]) for part in few)
    net = Watched(NasBench201Net(ALL, 4, 1))
    method = method_of(ALL, net.net, EnTranNasSettings(arch_learning_rate=1.0))
    before, changed = method.derive(), 0
    for number in range(3):
        method.step(prepared(net, method, images, held_out, numbers=(0, 0, number)))
        after = method.derive()
        (seen_x, first), (weights_x, second) = net.seen[-2:]
        assert torch.equal(seen_x, held_out[0])
        assert torch.equal(weights_x, images[0])
        assert before is not None
        assert after is not None
        assert transit(first) == [ALL.gates(before)] * 2
        assert transit(second) == [ALL.gates(after)] * 2
        assert not any(w.requires_grad for _, w in second[0][0])  # pyright: ignore
        changed += before != after
        before = after
    assert changed


def transit(gates: object) -> Sequence[Gates]:
    assert isinstance(gates, PerCell)
    return list(gates[1:])


def test_which_two_edges_are_strongest_depends_on_the_temperature() -> None:
    """So it is part of the state: equal odds of two options on one edge, long odds of one of eight on another."""
    method = method_of(DARTS, darts_net())
    with torch.no_grad():
        method.alphas[2][:] = -100.0
        method.alphas[2][1:3] = 0.0  # .5 and .5 at any temperature
        method.alphas[3][1] = 2.0
        method.alphas[4][1] = 1.5
    warm = method.derive()
    method.temperature.fill_(0.1)
    cold = method.derive()
    assert warm is not None
    assert cold is not None
    assert [bool(i) for i in warm[2:5]] == [True, True, False]
    assert [bool(i) for i in cold[2:5]] == [False, True, True]
    assert "temperature" in method.state_dict()


def test_rates_are_the_published_ones() -> None:
    s = EnTranNasSettings()
    published = (s.arch_learning_rate, s.arch_weight_decay, s.temperature, s.temperature_ratio)
    assert published == (6e-4, 1e-3, 5.0, 0.923)
    (group,) = method_of(ALL, NasBench201Net(ALL, 2, 1)).architecture.optimizer.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (6e-4, (0.5, 0.999), 1e-3)


def test_bad_settings() -> None:
    with pytest.raises(ValueError, match="engine_cells must be one of first, half, last, all, got 'second'"):
        EnTranNasSettings("second")
    for temperature in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(ValueError, match=f"temperature must be a finite number above 0, got {temperature}"):
            EnTranNasSettings(temperature=temperature)
    for ratio in (0.0, 1.5, math.nan):
        with pytest.raises(ValueError, match=f"temperature_ratio must be above 0 and at most 1, got {ratio}"):
            EnTranNasSettings(temperature_ratio=ratio)
    method = method_of(ALL, NasBench201Net(ALL, 2, 1))
    with pytest.raises(ValueError, match=r"must stay above 0, got 5 times 0.923 an epoch, which is .* 2000"):
        method.phases(Recipe(epochs=2000))
    assert method.phases(PLAIN)


def test_a_space_that_it_cannot_search_is_refused_with_those_that_it_can() -> None:
    chain = sequential("chain", ("a", "b"), 2)
    for space in (SPACES["nasbench101"], chain):
        with pytest.raises(CannotSearch, match=rf"{space.name} has none, .*it can search nasbench201, ") as caught:
            EnTranNasSettings().make(Setup(space, nn.Linear(1, 1), Uniform(space)))
        able = str(caught.value).rpartition("it can search ")[2].split(", ")
        assert {"darts", "nasnet", "nasbench201", "darts-subsets"} <= set(able)
        assert not {"nasbench101", "fairnas", "shufflenet"} & set(able)
        assert all(name in SKELETONS for name in able)

"""What the papers need of the method seam, each by a small method that needs nothing else."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import PerCell, hard, mixture
from oneshot.methods.base import Method, Step, Target
from oneshot.methods.gdas import Gdas
from oneshot.methods.gumbel import one_hot
from oneshot.methods.phases import Phase
from oneshot.nn.norm import batch_norms
from oneshot.space import Arch
from oneshot.spaces.fairnas import ALL as FAIRNAS
from oneshot.spaces.nasbench201 import ALL
from oneshot.spaces.nasnet import ALL as NASNET
from oneshot.supernets.fairnas import FairNasNet
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.supernets.nasnet import NasNetNet, NasNetSkeleton
from oneshot.testing.methods import same
from oneshot.training.loop import Training
from oneshot.training.recipe import Recipe

Few = tuple[Images, Images]
POOLED = "|".join(["max_pool_3x3~0"] * 4)
RECIPE = Recipe(epochs=2, batch_size=16, learning_rate=0.05, shift=0, flip=False, precision="float32")


class Asks(Method):
    """Calls a function in every step; has one architecture parameter for each option."""

    def __init__(self, do: Callable[[Asks, Step], None], space: Any = ALL, rate: float = 0.1) -> None:
        super().__init__(space)
        self.do, self.alphas = do, nn.ParameterList(torch.zeros(len(d.options)) for d in space.decisions)
        self.architecture = Target(torch.optim.SGD(self.alphas.parameters(), rate))

    def step(self, step: Step) -> None:
        self.do(self, step)


def training(few: Few, method: Method, net: nn.Module | None = None, recipe: Recipe = RECIPE) -> Training:
    torch.manual_seed(0)
    made = net or NasBench201Net(ALL, 4, 1)
    made.train()
    return Training(made, method, *few, recipe)


def ran(few: Few, do: Callable[[Any, Step], None], net: nn.Module | None = None, space: Any = ALL) -> Asks:
    """The method after an epoch."""
    method = Asks(do, space)
    training(few, method, net).epoch(0)
    return method


def test_a_loss_reaches_its_target_alone(few: Few) -> None:
    """Architecture parameters learn on held-out images, weights on training images, and neither from the other."""

    def do(method: Asks, step: Step) -> None:
        before = [p.detach().clone() for p in step.weights.parameters]
        x, y = step.held_out()
        assert not any(torch.equal(x, step.images[i : i + len(x)]) for i in range(1))
        gates = mixture(ALL, [a.softmax(0) for a in method.alphas])
        step.learn(method.architecture, step.loss(step.net(x, gates), y))
        assert all(p.grad is None for p in step.weights.parameters)
        assert all(a.grad is not None for a in method.alphas)
        step.update(method.architecture)
        assert all(torch.equal(a, b) for a, b in zip(before, step.weights.parameters, strict=True))
        values = [a.detach().clone() for a in method.alphas]
        gates = mixture(ALL, [a.softmax(0) for a in method.alphas])
        step.learn(step.weights, step.loss(step.net(step.images, gates), step.labels))
        assert all(a.grad is None for a in method.alphas)
        assert all(torch.equal(a, b) for a, b in zip(values, method.alphas, strict=True))

    method = ran(few, do)
    assert any(bool(a.abs().max() > 0) for a in method.alphas)


def test_losses_of_one_sample_add_up_while_their_graphs_are_freed_one_by_one(few: Few) -> None:
    """MSG-DAS: K losses, one architecture step; equal to the gradient of their sum."""
    sums: list[Tensor] = []

    def parts(method: Asks, step: Step) -> list[Tensor]:
        soft = [a.softmax(0) for a in method.alphas]
        order = [s.detach().argsort(descending=True) for s in soft]
        return [torch.stack([s[o[k]] for s, o in zip(soft, order, strict=True)]) for k in range(3)]

    def losses(step: Step, weights: Tensor, k: int) -> Tensor:
        gates = tuple(((k, weights[edge]),) for edge in range(6))
        return step.loss(step.net(step.images, gates), step.labels)

    def shared(method: Asks, step: Step) -> None:
        with torch.random.fork_rng():
            total = sum(losses(step, w, k + 1) for k, w in enumerate(parts(method, step)))
        assert isinstance(total, Tensor)
        sums.extend(torch.autograd.grad(total, list(method.alphas)))
        for k, weights in enumerate(parts(method, step)):
            step.learn(method.architecture, losses(step, step.shared(weights), k + 1), f"loss_{k}")
        before = [a.detach().clone() for a in method.alphas]
        step.update(method.architecture)
        for a, b, g in zip(before, method.alphas, sums[-6:], strict=True):
            assert torch.allclose(b - a, -0.1 * g, atol=1e-6)

    method = Asks(shared)
    row = training(few, method).epoch(0)
    assert {"loss_0", "loss_1", "loss_2"} <= set(row)
    assert any(float(g.abs().max()) > 1e-4 for g in sums)


def test_a_teacher_takes_no_gradient_and_moves_no_statistic(few: Few) -> None:
    net = NasBench201Net(ALL, 4, 1)

    def do(method: Asks, step: Step) -> None:
        before = [b.clone() for norm in batch_norms(net) for b in norm.buffers()]
        with step.still():
            teacher = step.net(step.images, mixture(ALL, [a.softmax(0) for a in method.alphas]))
        assert not teacher.requires_grad
        after = [b for norm in batch_norms(net) for b in norm.buffers()]
        assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        assert net.training
        student = step.net(step.images, ALL.gates((3,) * 6))
        assert not all(torch.equal(a, b) for a, b in zip(before, after, strict=True))
        step.learn(step.weights, step.loss(student, step.labels) + (teacher.softmax(1) * student).mean())

    ran(few, do, net)


def test_a_virtual_step_is_where_sgd_would_go_and_is_taken_back(few: Few) -> None:
    moved: list[float] = []

    def do(method: Asks, step: Step) -> None:
        gates = ALL.gates((3, 2, 1, 3, 4, 3))
        before = [p.detach().clone() for p in step.weights.parameters]
        with step.virtual(step.loss(step.net(step.images, gates), step.labels)):
            there = [p.detach().clone() for p in step.weights.parameters]
        assert all(torch.equal(a, b) for a, b in zip(before, step.weights.parameters, strict=True))
        step.learn(step.weights, step.loss(step.net(step.images, gates), step.labels))
        step.update(step.weights)
        for a, b in zip(there, step.weights.parameters, strict=True):
            assert torch.allclose(a, b, atol=1e-6)
        moved.append(max(float((a - b).abs().max()) for a, b in zip(there, before, strict=True)))

    ran(few, do)
    assert min(moved) > 1e-4


def test_random_numbers_are_a_function_of_seed_epoch_and_step(few: Few) -> None:
    seen: list[tuple[float, float]] = []

    def do(method: Asks, step: Step) -> None:
        seen.append((float(step.rng.random()), float(torch.rand(()))))
        step.learn(step.weights, step.loss(step.net(step.images, ALL.gates((3,) * 6)), step.labels))

    one = training(few, Asks(do))
    one.epoch(0)
    torch.rand(7)
    again = training(few, Asks(do))
    again.epoch(0)
    half = len(seen) // 2
    assert seen[:half] == seen[half:]
    assert len({a for a, _ in seen}) == half
    again.epoch(1)
    assert set(seen[:half]).isdisjoint(seen[2 * half :])


def test_dropout_is_the_same_across_a_stop(few: Few) -> None:
    """By up to .36 it was not."""
    recipe = replace(RECIPE, batch_size=32)

    def do(method: Asks, step: Step) -> None:
        gates = FAIRNAS.gates((0,) * 19)
        step.learn(step.weights, step.loss(step.net(step.images, gates), step.labels))

    def made() -> Training:
        torch.manual_seed(0)
        return training(few, Asks(do, FAIRNAS), FairNasNet(FAIRNAS, 4, 10, dropout=0.5), recipe)

    few = tuple(replace(part, pixels=part.pixels.repeat_interleave(4, 1).repeat_interleave(4, 2)) for part in few)  # pyright: ignore
    whole, before, after = made(), made(), made()
    whole.epoch(0)
    whole.epoch(1)
    before.epoch(0)
    torch.rand(3)
    after.load(before.state(), 1)
    after.epoch(1)
    assert same(whole.net, after.net)


def test_drop_path_grows_and_scales(few: Few) -> None:
    net = NasNetNet(NASNET, NasNetSkeleton(channels=4, cells=1, drop_path=0.5))
    shares: list[float] = []
    arch = NASNET.parse("sep_conv_3x3~0|sep_conv_3x3~2|sep_conv_3x3~3|sep_conv_3x3~4/" + POOLED)

    def do(method: Asks, step: Step) -> None:
        (drop,) = (
            {id(m): m for m in net.modules() if type(m).__name__ == "DropPath"}.values()
            if False
            else [next(m for m in net.modules() if type(m).__name__ == "DropPath")]
        )
        shares.append(float((drop(torch.ones(400, 1, 1, 1)) == 0).float().mean()))
        step.learn(step.weights, step.loss(step.net(step.images, NASNET.gates(arch)), step.labels))

    one = training(few, Asks(do, NASNET), net)
    one.epoch(0)
    one.epoch(1)
    assert shares[0] == 0
    assert shares[-1] > 0.3
    net.eval()
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(net(x, NASNET.gates(arch)), net(x, NASNET.gates(arch)))


class TwoPhases(Asks):
    """A warm-up on the training images, then everything on all of them, with an optimiser of its own."""

    def phases(self, recipe: Recipe) -> Sequence[Phase]:
        warm = replace(recipe, epochs=1, learning_rate=0.01)
        return [Phase("warm-up", warm), Phase("both", replace(recipe, epochs=2, momentum=0.5), "all")]


def test_phases_have_images_rates_and_optimisers_of_their_own(few: Few) -> None:
    seen: list[tuple[str, float, int]] = []

    def do(method: Asks, step: Step) -> None:
        group = step.weights.optimizer.param_groups[0]
        seen.append((f"{group['momentum']}", group["lr"], step.epoch))
        step.learn(step.weights, step.loss(step.net(step.images, ALL.gates((3,) * 6)), step.labels))

    one = training(few, TwoPhases(do))
    assert one.course.epochs == 3
    rows = [one.epoch(epoch) for epoch in range(3)]
    assert [row["phase"] for row in rows] == ["warm-up", "both", "both"]
    assert [sum(e == epoch for _, _, e in seen) for epoch in range(3)] == [96 // 16, 160 // 16, 160 // 16]
    assert [m for m, _, _ in seen[:1]] == ["0.9"]
    assert {m for m, _, e in seen if e} == {"0.5"}
    assert max(rate for _, rate, e in seen if e == 0) == pytest.approx(0.01)
    assert max(rate for _, rate, e in seen if e) == pytest.approx(0.05)


@pytest.mark.parametrize("stop", [1, 2])
def test_a_phase_is_resumed_in_its_middle(few: Few, stop: int) -> None:
    def do(method: Asks, step: Step) -> None:
        soft = [a.softmax(0) for a in method.alphas]
        step.learn(
            (step.weights, method.architecture), step.loss(step.net(step.images, mixture(ALL, soft)), step.labels)
        )

    def made() -> Training:
        return training(few, TwoPhases(do))

    whole, before, after = made(), made(), made()
    for epoch in range(3):
        whole.epoch(epoch)
    for epoch in range(stop):
        before.epoch(epoch)
    after.load(before.state(), stop)
    for epoch in range(stop, 3):
        after.epoch(epoch)
    assert same(whole.net, after.net)
    assert same(whole.method, after.method)


def test_gates_of_their_own_for_each_cell() -> None:
    """EnTranNAS: an engine cell mixes, the cells behind it run what is derived."""
    torch.manual_seed(0)
    net, x = NasBench201Net(ALL, 4, 2).eval(), torch.randn(2, 3, 8, 8)
    one, other = ALL.gates((3, 2, 1, 3, 4, 3)), ALL.gates((2,) * 6)
    assert torch.equal(net(x, PerCell([one] * 6)), net(x, one))
    mixed = net(x, PerCell([one, *[other] * 5]))
    assert not torch.allclose(mixed, net(x, one))
    assert not torch.allclose(mixed, net(x, other))
    for wrong in (PerCell([one] * 5), PerCell([one[:5]] * 6), one * 3, one[:5]):
        with pytest.raises(ValueError, match=r"expected 6 gates, or for each of 6 cells \(PerCell\), got"):
            net(x, wrong)
    nasnet = NasNetNet(NASNET, NasNetSkeleton(channels=4, cells=1)).eval()
    gates = NASNET.gates(
        NASNET.parse("max_pool_3x3~0|skip_connect~1|sep_conv_3x3~2|none/skip_connect~0|none|none|none")
    )
    normal, reduction = gates[:14], gates[14:]
    own = PerCell([normal, reduction, normal, reduction, normal])
    assert torch.equal(nasnet(x, own), nasnet(x, gates))
    with pytest.raises(ValueError, match=r"expected 28 gates, or 14 for each of 5 cells"):
        nasnet(x, PerCell([normal] * 4))


def test_a_hard_gate_reaches_the_options_that_did_not_run() -> None:
    torch.manual_seed(0)
    net, x = NasBench201Net(ALL, 4, 1).double(), torch.randn(2, 3, 8, 8, dtype=torch.float64)
    alphas = [torch.randn(5, dtype=torch.float64, requires_grad=True) for _ in range(6)]
    drawn = [one_hot(a.softmax(0)) for a in alphas]
    arch: Arch = tuple(int(d.argmax()) for d in drawn)
    y = net(x, hard(ALL, drawn))
    assert torch.equal(y, net(x, ALL.gates(arch)))
    y.square().sum().backward()
    live = [a for a, i in zip(alphas, arch, strict=True) if i and a.grad is not None and bool(a.grad.any())]
    assert live
    assert all(int((a.grad != 0).sum()) == 5 for a in live if a.grad is not None)


def test_a_dead_drawn_path_is_a_gradient_of_zero(few: Few) -> None:
    method = Gdas(ALL)
    with torch.no_grad():
        for alpha in method.alphas:
            alpha[0] = 100.0  # `none` everywhere
    values = [a.detach().clone() for a in method.alphas]
    row = training(few, method).epoch(0)
    assert np.isfinite(row["valid_loss"])
    assert all(torch.isfinite(a).all() for a in method.alphas)
    decayed = [torch.equal(a[1:], v[1:]) for a, v in zip(method.alphas, values, strict=True)]
    assert all(decayed)  # Adam moves by decay alone, of what is not zero


def test_weights_that_are_all_zero_make_no_context_nan() -> None:
    from oneshot.nn.contexts.base import Dependence
    from oneshot.nn.contexts.bias import Bias

    net = NasBench201Net(ALL, 4, 1, dependence=Dependence(Bias, 2))
    zero = tuple(tuple((i, torch.tensor(0.0)) for i in range(5)) for _ in range(6))
    assert net(torch.randn(2, 3, 8, 8), zero).isfinite().all()


def test_several_options_or_none_at_a_site() -> None:
    torch.manual_seed(0)
    net, x = NasBench201Net(ALL, 4, 1).eval(), torch.randn(2, 3, 8, 8)
    gates = ALL.gates((3, 2, 1, 3, 4, 3))
    two = (((3, 1.0), (1, 1.0)), *gates[1:])
    none = ((), *gates[1:])
    assert not torch.allclose(net(x, two), net(x, gates))
    assert torch.equal(net(x, none), net(x, ALL.gates((0, 2, 1, 3, 4, 3))))


@pytest.mark.parametrize(
    "settings", [{"sharing": True}, {"bottleneck": 2}, {"auxiliary": True}, {"sharing": True, "bottleneck": 4}]
)
def test_skeleton_options_train_and_share(few: Few, settings: dict[str, Any]) -> None:
    net = NasNetNet(NASNET, NasNetSkeleton(channels=4, cells=1, **settings))
    plain = NasNetNet(NASNET, NasNetSkeleton(channels=4, cells=1))

    def do(method: Asks, step: Step) -> None:
        soft = [a.softmax(0) for a in method.alphas]
        step.learn(
            (step.weights, method.architecture), step.loss(step.net(step.images, mixture(NASNET, soft)), step.labels)
        )

    one = training(few, Asks(do, NASNET), net, replace(RECIPE, batch_size=48, epochs=1))
    one.epoch(0)
    assert all(bool(a.abs().max() > 0) for a in one.method.parameters())
    count, plainly = (sum(p.numel() for p in n.parameters()) for n in (net, plain))
    assert count > plainly if "auxiliary" in settings else count < plainly


def test_a_shared_operation_is_made_once_for_all_edges_that_leave_its_node() -> None:
    net = NasNetNet(NASNET, NasNetSkeleton(channels=4, cells=1, sharing=True)).eval()
    ran: list[nn.Module] = []
    for module in net.modules():
        if type(module).__name__ == "Separable":
            module.register_forward_hook(lambda module, inputs, output: ran.append(module))
    arch = NASNET.parse("|".join(["sep_conv_3x3~0"] * 4) + "/" + POOLED)
    x = torch.randn(2, 3, 8, 8)
    y = net(x, NASNET.gates(arch))
    assert len(ran) == len(set(ran)) == 3  # one for each normal cell
    assert y.isfinite().all()

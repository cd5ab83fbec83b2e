"""MSG-DAS: its sampler against enumeration, its losses against closed forms, and the memory that it takes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import permutations
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import hard, mixture
from oneshot.methods.base import Setup
from oneshot.methods.gdas import Gdas, GdasSettings
from oneshot.methods.gumbel import perturbed, top_k
from oneshot.methods.msgdas import MsgDas, MsgDasSettings, cross_entropy
from oneshot.nn.norm import batch_norms
from oneshot.samplers.uniform import Uniform
from oneshot.spaces.nasbench201 import ALL, CONV
from oneshot.spaces.sequential import sequential
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.testing.methods import same
from oneshot.training.loop import Training
from tests.oneshot.methods.stepping import PLAIN, Watched, prepared

Few = tuple[Images, Images]
PLAINLY = MsgDasSettings(graphs=1, drop=0.0, guidance=0.0)
ALPHA = torch.tensor([0.9, -0.4, 0.3, 0.0], dtype=torch.float64)


def chances(p: Sequence[float], k: int) -> dict[tuple[int, ...], float]:
    """Of every order in which `k` of them are drawn one after another without replacement."""
    found = {}
    for order in permutations(range(len(p)), k):
        left, chance = 1.0, 1.0
        for i in order:
            chance *= p[i] / left
            left -= p[i]
        found[order] = chance
    return found


@pytest.mark.parametrize("temperature", [10.0, 0.5])
@pytest.mark.parametrize("k", [1, 2, 3])
def test_draws_are_those_without_replacement(k: int, temperature: float) -> None:
    """Inclusion and order, by chi-square against enumeration; the temperature plays no part."""
    rng, draws = np.random.default_rng(3), 4000
    orders = [tuple(int(v.argmax()) for v in top_k(perturbed(ALPHA, rng, temperature), k)) for _ in range(draws)]
    expected = chances(ALPHA.softmax(0).tolist(), k)
    assert sum(expected.values()) == pytest.approx(1)
    counts = [orders.count(order) for order in expected]
    assert sum(counts) == draws  # disjoint by construction
    assert chisquare(counts, [draws * c for c in expected.values()]).pvalue > 0.01
    for option in range(4):
        included = sum(option in order for order in orders) / draws
        assert included == pytest.approx(sum(c for order, c in expected.items() if option in order), abs=0.025)


def test_gradients_are_those_of_the_softmax_over_what_is_left() -> None:
    """Equation 2, in float64, for an order that the noise gave."""
    alpha, temperature = ALPHA.clone().requires_grad_(), 1.7
    vectors = top_k(perturbed(alpha, np.random.default_rng(1), temperature), 3)
    noise = torch.from_numpy(np.random.default_rng(1).gumbel(size=4))
    left = [0, 1, 2, 3]
    for vector in vectors:
        chosen = int(vector.detach().argmax())
        assert vector.detach().tolist() == [float(i == chosen) for i in range(4)]
        twin = ALPHA.clone().requires_grad_()
        powers = ((twin + noise) / temperature).exp()
        soft = powers[chosen] / powers[left].sum()
        (expected,) = torch.autograd.grad(soft, twin)
        (found,) = torch.autograd.grad(vector[chosen], alpha, retain_graph=True)
        assert torch.allclose(found, expected, atol=1e-12)
        assert found[[i for i in range(4) if i not in left]].abs().sum() < 1e-12
        assert float(found.abs().sum()) > 0.01
        left.remove(chosen)


def test_paths_have_no_operation_in_common() -> None:
    method = MsgDas(ALL, MsgDasSettings(graphs=5))
    for progress in (0.0, 0.999):
        archs = [[int(v.argmax()) for v in path] for path in method.sample(np.random.default_rng(0), progress)]
        assert [sorted(options) for options in zip(*archs, strict=True)] == [[0, 1, 2, 3, 4]] * 6


def test_one_path_alone_is_gdas_bit_by_bit(few: Few) -> None:
    trained = []
    for made in (
        MsgDas(ALL, replace(PLAINLY, arch_learning_rate=0.05)),
        Gdas(ALL, GdasSettings(10.0, 1.0, 0.05, 1e-4)),
    ):
        torch.manual_seed(0)
        net = NasBench201Net(ALL, 4, 1).train()
        one = Training(net, made, *few, replace(PLAIN, batch_size=32))
        rows = [one.epoch(epoch) for epoch in range(2)]
        trained.append((net, made, [(row["loss"], row["valid_loss"]) for row in rows]))
    (net, method, losses), (other, twin, theirs) = trained
    assert same(net, other)
    assert same(method, twin)
    assert losses == theirs
    assert all(bool(alpha.any()) for alpha in method.alphas)


def test_the_architecture_takes_one_step_by_the_sum_of_the_losses(few: Few) -> None:
    """And so do the weights; a first step of Adam tells the sign, so that its gradient is looked at."""
    images, held_out = ((part.normalised(part.pixels[:32]), part.labels[:32]) for part in few)
    settings = MsgDasSettings(graphs=3, drop=0.0, guidance=0.0)
    net, method = NasBench201Net(ALL, 4, 1), MsgDas(ALL, settings)
    given: list[Tensor] = []
    method.architecture.optimizer.register_step_pre_hook(
        lambda *_: given.extend(a.grad.clone() for a in method.alphas if a.grad is not None)  # pyright: ignore
    )
    step = prepared(net, method, images, held_out)
    rng = np.random.default_rng((0, 0, 0, 1))
    total = sum(
        nn.functional.cross_entropy(net(held_out[0], hard(ALL, path)), held_out[1]) for path in method.sample(rng, 0.0)
    )
    assert isinstance(total, Tensor)
    expected = torch.autograd.grad(total, list(method.alphas))
    method.step(step)
    assert len(given) == 6
    for gradient, wanted in zip(given, expected, strict=True):
        assert torch.allclose(gradient, wanted, rtol=1e-4, atol=1e-6)
    assert {name: len(losses) for name, losses in step.losses.items()} == {"valid_loss": 3, "loss": 3}
    archs = [ALL.gates(tuple(int(v.argmax()) for v in path)) for path in method.sample(rng, 0.0)]
    step.weights.optimizer.zero_grad()
    loss = sum(nn.functional.cross_entropy(net(images[0], gates), images[1]) for gates in archs)
    assert isinstance(loss, Tensor)
    wanted_w = torch.autograd.grad(loss, list(net.parameters()), allow_unused=True)
    again = prepared(net, method, images, held_out)
    with torch.no_grad():
        for alpha in method.alphas:
            alpha.zero_()
    method._learn(again, again.weights, *images, archs, "loss")
    for p, wanted in zip(net.parameters(), wanted_w, strict=True):
        assert (p.grad is None) == (wanted is None)
        assert p.grad is None or wanted is None or torch.allclose(p.grad, wanted, rtol=1e-3, atol=1e-5)


class Alive:
    """What a graph keeps for its backward pass, in bytes, and the most that there ever was."""

    def __init__(self) -> None:
        self.now = self.most = 0

    def pack(self, tensor: Tensor) -> _Kept:
        return _Kept(self, tensor)


class _Kept:
    def __init__(self, alive: Alive, tensor: Tensor) -> None:
        self.alive, self.tensor = alive, tensor.detach()  # no circle through an output
        self.bytes = 0 if isinstance(tensor, nn.Parameter) else tensor.numel() * tensor.element_size()
        alive.now += self.bytes
        alive.most = max(alive.most, alive.now)

    def __del__(self) -> None:
        self.alive.now -= self.bytes


@pytest.mark.parametrize("half", ["architecture", "weights"])
def test_four_graphs_take_the_memory_of_the_largest(half: str, few: Few) -> None:
    """What four paths keep for their backward passes is, at any time, what the largest of them keeps alone."""
    images, held_out = ((part.normalised(part.pixels[:64]), part.labels[:64]) for part in few)
    net, method = NasBench201Net(ALL, 4, 1).train(), MsgDas(ALL, MsgDasSettings(graphs=4, drop=0.5, guidance=1.0))
    paths = method.sample(np.random.default_rng(0), 0.5)

    def most(numbers: Sequence[int]) -> int:
        step, alive = prepared(net, method, images, held_out, progress=0.9), Alive()
        flat = [step.shared(torch.cat(paths[n])) for n in numbers]
        gates = [hard(ALL, method._by_decision(one)) for one in flat]
        target = method.architecture if half == "architecture" else step.weights
        with torch.autograd.graph.saved_tensors_hooks(alive.pack, lambda kept: kept.tensor):
            method._learn(step, target, *images, gates, "loss")
        return alive.most

    alone = [most([n]) for n in range(4)]
    assert min(alone) > 1e5
    assert most(range(4)) == pytest.approx(max(alone), rel=0.05)


def test_the_supernet_guides_by_the_cross_entropy_of_its_soft_labels() -> None:
    """Equation 7 with the sign of a cross-entropy, smallest where both agree; in float64."""
    logits = torch.randn(5, 3, dtype=torch.float64)
    soft = torch.randn(5, 3, dtype=torch.float64).softmax(1)
    by_hand = -sum(float(soft[i, c]) * math.log(float(logits[i].softmax(0)[c])) for i in range(5) for c in range(3)) / 5
    assert float(cross_entropy(logits, soft)) == pytest.approx(by_hand, rel=1e-6)
    assert float(cross_entropy(soft.log(), soft)) < by_hand


def test_the_guide_takes_no_gradient_moves_no_statistic_and_drops_nothing(few: Few) -> None:
    images, held_out = ((part.normalised(part.pixels[:16]), part.labels[:16]) for part in few)
    net = NasBench201Net(ALL, 4, 1).train()
    method, watched = MsgDas(ALL, MsgDasSettings(drop=0.9)), Watched(net)
    expected = mixture(ALL, [torch.full((5,), 0.2)] * 6)
    before = [b.clone() for norm in batch_norms(net) for b in norm.buffers()]
    soft = method._guide(prepared(watched, method, images, held_out, progress=0.9), images[0])
    assert not soft.requires_grad
    assert all(
        torch.equal(a, b) for a, b in zip(before, (b for n in batch_norms(net) for b in n.buffers()), strict=True)
    )
    assert torch.allclose(soft, net(images[0], expected).softmax(1), atol=1e-6)

    guided, plain = [], []
    for guidance, losses in ((0.5, guided), (0.0, plain)):
        step = prepared(net, method, images, held_out, progress=0.5)
        method.settings = MsgDasSettings(drop=0.0, guidance=guidance)
        archs = [ALL.gates((3, 2, 1, 3, 4, 3))]
        method._learn(step, step.weights, *images, archs, "loss")
        losses.extend(step.losses["loss"])
    logits = net(images[0], archs[0])
    assert float(guided[0] - plain[0]) == pytest.approx(0.25 * float(cross_entropy(logits.detach(), soft)), rel=1e-3)


@pytest.mark.parametrize(
    ("settings", "passes"),
    [
        (replace(PLAINLY, graphs=1), 2),
        (replace(PLAINLY, graphs=3), 6),
        (replace(PLAINLY, guidance=0.1), 4),
        (replace(PLAINLY, drop=0.5, drop_block=2), 2),
        (MsgDasSettings(), 6),
    ],
    ids=["baseline", "graphs", "guidance", "dropblock", "all"],
)
def test_each_part_alone(settings: MsgDasSettings, passes: int, few: Few) -> None:
    """The rows of Table 3: how many passes a step takes, and that each part alone changes what is learned."""
    images, held_out = ((part.normalised(part.pixels[:16]), part.labels[:16]) for part in few)
    torch.manual_seed(0)
    net = Watched(NasBench201Net(ALL, 4, 1).train())
    method, twin = MsgDas(ALL, settings), MsgDas(ALL, PLAINLY)
    step = prepared(net, method, images, held_out, progress=0.99)
    method.step(step)
    assert len(net.seen) == passes
    torch.manual_seed(0)
    other = prepared(NasBench201Net(ALL, 4, 1).train(), twin, images, held_out, progress=0.99)
    twin.step(other)
    assert (step.losses["loss"][0] == other.losses["loss"][0]) == (settings in (PLAINLY,) or settings.graphs == 3)


def test_schedules_at_both_ends() -> None:
    settings = MsgDasSettings()
    assert [settings.guidance_at(p) for p in (0.0, 0.5, 1.0)] == [0.0, 5e-3, 1e-2]
    steps = [settings.drop_at(p) for p in (0.0, 0.24, 0.25, 0.49, 0.5, 0.74, 0.75, 0.999, 1.0)]
    assert steps == pytest.approx([0, 0, 1 / 30, 1 / 30, 2 / 30, 2 / 30, 0.1, 0.1, 0.1])
    assert (settings.temperature, settings.last_temperature) == (10, 1)
    (group,) = MsgDas(ALL).architecture.optimizer.param_groups
    assert (group["lr"], group["weight_decay"], group["betas"]) == (3e-4, 1e-4, (0.5, 0.999))
    assert all(not alpha.any() for alpha in MsgDas(ALL).alphas)
    for progress, temperature in ((0.0, 10.0), (1.0, 1.0)):
        one = MsgDas(ALL).double()
        vector = one.sample(np.random.default_rng(0), progress)[0][0]
        (found,) = torch.autograd.grad(vector[int(vector.argmax())], one.alphas[0])
        powers = (torch.from_numpy(np.random.default_rng(0).gumbel(size=5)) / temperature).softmax(0)
        p = powers.max()
        assert float(found.max()) == pytest.approx(float(p * (1 - p)) / temperature, rel=1e-6)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: MsgDasSettings(graphs=6).make(setup()), "graphs must be at most 5, the number of options of edge"),
        (lambda: MsgDasSettings(graphs=3).make(setup(CONV)), "graphs must be at most 2, .*, got 3"),
        (lambda: MsgDasSettings(graphs=0), "graphs must be at least 1, got 0"),
        (lambda: MsgDasSettings(temperature=0.0), "temperature must fall to a last_temperature above 0, got 0.0"),
        (lambda: MsgDasSettings(last_temperature=0.0), "temperature must fall to a last_temperature above 0"),
        (lambda: MsgDasSettings(temperature=math.inf), "temperature must fall to a last_temperature above 0, got inf"),
        (lambda: MsgDasSettings(drop=1.0), "drop must be at least 0 and below 1, got 1.0"),
        (lambda: MsgDasSettings(drop_steps=1), "drop_steps must be at least 2, got 1"),
        (lambda: MsgDasSettings(guidance=-1.0), "guidance must be a finite number of at least 0"),
    ],
)
def test_bad_settings(make: Callable[[], Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


def setup(space: Any = ALL) -> Setup:
    return Setup(space, nn.Linear(1, 1), Uniform(space))


TOY = sequential("toy", ("linear", "tanh", "zero"), 1)


def test_a_loss_by_hand_in_float64() -> None:
    """K = 2 over three options of one decision: the gradient of both losses through equation 2."""
    alpha = torch.tensor([0.2, -0.1, 0.4], dtype=torch.float64, requires_grad=True)
    vectors = top_k(perturbed(alpha, np.random.default_rng(4), 2.0), 2)
    slopes = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    losses = [(vector * slopes).sum().square() for vector in vectors]
    (found,) = torch.autograd.grad(losses[0] + losses[1], alpha)
    noise, h = torch.from_numpy(np.random.default_rng(4).gumbel(size=3)), torch.zeros(3, dtype=torch.float64)
    first, second = (int(v.detach().argmax()) for v in vectors)

    def straight(alpha: Tensor) -> float:
        """The losses' slopes at the one-hot vectors along the softmaxes."""
        r = (alpha + noise) / 2.0
        one = r.softmax(0)
        two = r.masked_fill(torch.arange(3) == first, -math.inf).softmax(0)
        return float((one * slopes).sum() * 2 * slopes[first] + (two * slopes).sum() * 2 * slopes[second])

    for i in range(3):
        h.zero_()[i] = 1e-6
        a = alpha.detach()
        assert float(found[i]) == pytest.approx((straight(a + h) - straight(a - h)) / 2e-6, abs=1e-7)

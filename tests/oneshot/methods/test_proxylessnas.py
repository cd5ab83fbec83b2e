"""ProxylessNAS against equation 4, the draw of two paths, and the rescaling behind the step."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import chisquare
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import AnyGates, Gate, Gates
from oneshot.methods.base import Target
from oneshot.methods.proxylessnas import ProxylessNas, ProxylessNasSettings, drawn
from oneshot.spaces.nasbench201 import ALL
from oneshot.spaces.sequential import sequential
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import train
from tests.oneshot.methods.derivatives import Two, numeric
from tests.oneshot.methods.stepping import PLAIN, Watched, prepared

TOY = sequential("toy", ("one", "other"), 1)
LOGITS = torch.tensor([0.0, 1.0, 2.0, 0.5, -1.0])


def loss_of(net: nn.Module, gates: AnyGates) -> Tensor:
    return F.cross_entropy(net(torch.zeros(2, 1), gates), torch.tensor([0, 0]))


def open_path(gate: Gate) -> int:
    return next(option for option, weight in gate if float(torch.as_tensor(weight).detach()) == 1.0)


@pytest.mark.parametrize("active", [0, 1])
def test_the_gradient_of_two_paths_is_equation_4(active: int) -> None:
    """dL/dalpha_i = sum_j dL/dg_j p_j (delta_ij - p_i), with dL/dg by differences of the gates."""
    net, method = Two(), ProxylessNas(TOY).double()
    with torch.no_grad():
        method.alphas[0].copy_(torch.tensor([0.3, -0.2]))
    gates = method.gates([[1, 0]], [active])
    assert {option: float(torch.as_tensor(weight).detach()) for option, weight in gates[0]} == {
        active: 1.0,
        1 - active: 0.0,
    }
    loss_of(net, gates).backward()
    g = torch.tensor([0.0, 0.0], dtype=torch.float64)
    g[active] = 1.0
    (by_gate,) = numeric(lambda: loss_of(net, (((0, g[0]), (1, g[1])),)), [g])
    p = method.alphas[0].detach().softmax(0)
    expected = [sum(by_gate[j] * p[j] * (float(i == j) - p[i]) for j in range(2)) for i in range(2)]
    assert method.alphas[0].grad is not None
    assert method.alphas[0].grad.tolist() == pytest.approx([float(e) for e in expected], rel=1e-6)
    assert method.alphas[0].grad.any()


def test_probabilities_of_equation_4_are_those_among_the_drawn() -> None:
    method = ProxylessNas(ALL)
    with torch.no_grad():
        for alpha in method.alphas:
            alpha.copy_(LOGITS)
    gates = method.gates([[3, 1]] * 6, [1] * 6)
    assert [option for option, _ in gates[0]] == [1, 3]
    sum(weight * value for gate in gates for (_, weight), value in zip(gate, (2.0, 5.0), strict=True)).backward()  # pyright: ignore
    p = LOGITS[[1, 3]].softmax(0)
    slope = float(p[0] * p[1] * (2.0 - 5.0))
    for alpha in method.alphas:
        assert alpha.grad is not None
        assert alpha.grad.tolist() == pytest.approx([0, slope, 0, -slope, 0])


def test_the_pass_is_that_of_the_open_path() -> None:
    net, method, x = NasBench201Net(ALL, 4, 1).eval(), ProxylessNas(ALL), torch.randn(2, 3, 8, 8)
    arch = (1, 2, 3, 4, 2, 3)
    gates = method.gates([[i, (i + 1) % 5] for i in arch], arch)
    assert torch.allclose(net(x, gates), net(x, ALL.gates(arch)), atol=1e-6)


def test_two_paths_are_drawn_one_after_the_other() -> None:
    """P(i, j) = p_i p_j / (1 - p_i), each order by itself."""
    rng, p = np.random.default_rng(1), LOGITS.double().softmax(0)
    found = [tuple(drawn(LOGITS, 2, rng)) for _ in range(8000)]
    orders = list(permutations(range(5), 2))
    expected = [float(p[i] * p[j] / (1 - p[i])) * len(found) for i, j in orders]
    assert chisquare([found.count(order) for order in orders], expected).pvalue > 0.01


class Seen(nn.Module):
    """Keeps the gates of every pass; its logits are a number times their weights."""

    def __init__(self) -> None:
        super().__init__()
        self.scale, self.gates = nn.Parameter(torch.ones(2)), list[Gates]()

    def forward(self, images: Tensor, gates: Gates) -> Tensor:
        self.gates.append(gates)
        return (self.scale * sum(weight for gate in gates for _, weight in gate)).expand(len(images), 2)


def test_a_step_draws_its_paths_by_the_probabilities() -> None:
    """The open path of the architecture's pass, and the only path of the weights'."""
    batch = torch.zeros(2, 3, 2, 2), torch.zeros(2, dtype=torch.long)
    net, method = Seen(), ProxylessNas(ALL, ProxylessNasSettings(arch_learning_rate=0.0))
    with torch.no_grad():
        for alpha in method.alphas:
            alpha.copy_(LOGITS)
    for number in range(300):
        method.step(prepared(net, method, batch, batch, numbers=(0, 0, number)))
    of_weights = [gate[0][0] for gates in net.gates[1::2] for gate in gates]
    p = LOGITS.double().softmax(0).numpy()
    assert chisquare(np.bincount(of_weights, minlength=5), p * len(of_weights)).pvalue > 0.01
    of_alphas = [open_path(gate) for gates in net.gates[::2] for gate in gates]
    among_two = sum(
        p[i] * p[j] / (1 - p[i]) * np.array([(k == i) * p[i] + (k == j) * p[j] for k in range(5)]) / (p[i] + p[j])
        for i, j in permutations(range(5), 2)
    )
    assert chisquare(np.bincount(of_alphas, minlength=5), among_two * len(of_alphas)).pvalue > 0.01
    assert all(len(gate) == 2 for gates in net.gates[::2] for gate in gates)


def test_the_others_are_as_likely_as_before_the_step(few: tuple[Images, Images]) -> None:
    """And their parameters stay as they are: Adam has no momentum that would carry them on."""
    images, held_out = ((part.normalised(part.pixels[:32]), part.labels[:32]) for part in few)
    net, method = Watched(NasBench201Net(ALL, 4, 1)), ProxylessNas(ALL, ProxylessNasSettings(0.1))
    moved = 0
    for number in range(6):
        before = [alpha.detach().clone() for alpha in method.alphas]
        step = prepared(net, method, images, held_out, numbers=(0, 0, number))
        method.step(step)
        _, gates = net.seen[-2]
        for alpha, old, gate in zip(method.alphas, before, gates, strict=True):
            drawn_two = [option for option, _ in gate]  # pyright: ignore
            others = [i for i in range(5) if i not in drawn_two]
            assert torch.equal(alpha[others], old[others])
            assert torch.allclose(alpha.softmax(0)[others], old.softmax(0)[others], atol=1e-6)
            moved += not torch.equal(alpha, old)
    assert moved > 20


def test_the_drawn_two_keep_what_adam_made_of_their_ratio() -> None:
    method, before = ProxylessNas(ALL), torch.tensor([0.5, 0.1, -0.3, 0.0, 1.0])
    with torch.no_grad():
        for alpha in method.alphas:
            alpha.copy_(before)
            alpha[1] += 0.2
            alpha[4] -= 0.2
    method.rescale([before] * 6, [[4, 1]] * 6)
    for alpha in method.alphas:
        assert float(alpha[4] - alpha[1]) == pytest.approx(0.9 - 0.4)
        assert float(alpha[[1, 4]].logsumexp(0)) == pytest.approx(float(before[[1, 4]].logsumexp(0)))


def test_every_architecture_parameter_has_a_gradient_within_a_hundred_steps(few: tuple[Images, Images]) -> None:
    net, method = NasBench201Net(ALL, 2, 1), ProxylessNas(ALL)
    train(net, method, *few, PLAIN.__class__(epochs=25, batch_size=24, precision="float32", shift=0, flip=False))
    assert all(bool((alpha != 0).all()) for alpha in method.alphas)


def test_its_adam_is_the_published_one() -> None:
    target = ProxylessNas(ALL).architecture
    assert isinstance(target, Target)
    (group,) = target.optimizer.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-3, (0.0, 0.999), 0.0)


def test_a_decision_with_one_option_has_one_path() -> None:
    single = ALL.only((1, 2, 3, 4, 2, 3))
    net, method, x = NasBench201Net(single, 4, 1).eval(), ProxylessNas(single), torch.randn(2, 3, 8, 8)
    gates = method.gates([[0]] * 6, [0] * 6)
    assert torch.allclose(net(x, gates), net(x, single.gates((0,) * 6)))

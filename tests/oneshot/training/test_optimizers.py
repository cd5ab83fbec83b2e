"""The optimisers of weights."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.training.optimizers import ADAM_RATE, Muon, orthogonalised
from oneshot.training.recipe import Recipe
from oneshot.training.weights import Weights, of_weights

MUON = Recipe(optimizer="muon", learning_rate=0.01, momentum=0.9, nesterov=True, weight_decay=0.1)


def small() -> nn.Sequential:
    torch.manual_seed(0)
    convs = nn.Conv2d(3, 8, 3), nn.Conv2d(8, 16, 3), nn.BatchNorm2d(16), nn.Conv2d(16, 16, 3, groups=16)
    return nn.Sequential(*convs, nn.Flatten(), nn.Linear(16, 5))


def newton_schulz(matrix: Tensor, steps: int = 5) -> Tensor:
    """The slow twin: the iteration as it is published, on the matrix itself."""
    x = matrix / matrix.norm()
    for _ in range(steps):
        a = x @ x.T
        x = 3.4445 * x + (-4.7750 * a + 2.0315 * a @ a) @ x
    return x


def test_orthogonalised_equals_the_published_iteration() -> None:
    torch.manual_seed(1)
    stacks = [
        torch.randn(3, *shape, dtype=torch.float64) for shape in ((16, 144), (24, 24), (40, 8), (16, 9), (30, 16))
    ]
    for stack, result in zip(stacks, orthogonalised(*stacks), strict=True):
        rows, columns = stack.shape[1:]
        for matrix, found in zip(stack, result, strict=True):
            torch.testing.assert_close(found, newton_schulz(matrix), atol=1e-6, rtol=0)
            u, _, v = torch.linalg.svd(matrix, full_matrices=False)
            moved = torch.diagonal(u.T @ found @ v.T)  # the singular vectors stay, the values come near 1
            torch.testing.assert_close(u @ torch.diag(moved) @ v, found)
            if max(rows, columns) > 4 * min(rows, columns):  # else some singular values are near 0
                assert 0.6 < moved.min() < moved.max() < 1.3


def test_hidden_convolutions_are_matrices_and_the_rest_is_adams() -> None:
    net = small()
    optimizer = of_weights(net, MUON)
    by_kind = {group["matrix"]: group["params"] for group in optimizer.param_groups if group["weight_decay"]}
    assert [tuple(p.shape) for p in by_kind[True]] == [(16, 8, 3, 3)]
    assert len(by_kind[False]) == 3 + 2 + 2  # three biases, the first and the depthwise convolution, the classifier
    plain = [group for group in optimizer.param_groups if not group["weight_decay"]]
    assert [len(group["params"]) for group in plain] == [2]
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(list(net.parameters()))


def test_the_other_parameters_take_adamw_steps() -> None:
    ours, theirs = nn.Parameter(torch.linspace(-1, 1, 7)), nn.Parameter(torch.linspace(-1, 1, 7))
    muon = Muon([{"params": [ours], "weight_decay": 0.0}], lr=0.02)
    adam = torch.optim.AdamW([theirs], 0.02 * ADAM_RATE, (0.9, 0.99), weight_decay=0.0)
    for step in range(5):
        for p, optimizer in ((ours, muon), (theirs, adam)):
            p.grad = torch.sin(3 * p.detach() + step)
            optimizer.step()
    torch.testing.assert_close(ours, theirs)


def test_a_matrix_step_by_hand() -> None:
    torch.manual_seed(2)
    weight, grads = torch.randn(6, 4, 3, 3), torch.randn(2, 6, 4, 3, 3)
    p = nn.Parameter(weight.clone())
    optimizer = Muon([{"params": [p], "weight_decay": 0.5, "matrix": True}], lr=0.1, momentum=0.8, nesterov=True)
    moved = torch.zeros_like(weight)
    for grad in grads:
        p.grad = grad.clone()
        optimizer.step()
        moved = 0.8 * moved + 0.2 * grad
        direction = newton_schulz((0.2 * grad + 0.8 * moved).reshape(6, 36)).reshape(weight.shape)
        weight = weight * (1 - 0.1 * 0.5) - 0.1 * direction
    torch.testing.assert_close(p.detach(), weight, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["sgd", "muon"])
def test_what_has_no_gradient_does_not_move(name: str) -> None:
    net = small()
    optimizer = of_weights(net, Recipe(optimizer=name, weight_decay=0.1, learning_rate=0.1))
    before = [p.detach().clone() for p in net.parameters()]
    F.cross_entropy(net(torch.randn(4, 3, 7, 7)), torch.arange(4)).backward()
    unused = [p for i, p in enumerate(net.parameters()) if i % 2]
    for p in unused:
        p.grad = None
    optimizer.step()
    for i, (p, old) in enumerate(zip(net.parameters(), before, strict=True)):
        assert torch.equal(p, old) == bool(i % 2)
    assert not any(p in optimizer.state for p in unused)


def test_the_rate_is_every_groups() -> None:
    weights = Weights(small(), MUON)
    weights.rate = 0.0
    assert [group["lr"] for group in weights.optimizer.param_groups] == [0.0, 0.0, 0.0]
    assert weights.rate == 0.0


def test_rows_of_a_table_are_parameters_of_their_own() -> None:
    """Twin: every row a parameter, stepped by the dense optimiser; some steps use every row, some a few, one twice."""
    for recipe in (Recipe(momentum=0.9), Recipe(momentum=0.9, nesterov=True), Recipe(momentum=0.0), MUON):
        torch.manual_seed(4)
        table = nn.Embedding(5, 3, sparse=True)
        rows = nn.ParameterList(row.detach().clone() for row in table.weight)
        ours, theirs = of_weights(table, recipe), of_weights(rows, recipe)
        for used in ([0, 2], [2, 2, 4], [1, 0], range(5), [2]):
            index, weights = torch.tensor(list(used)), torch.randn(len(used), 3)
            picked = table.weight[index] if len(used) == 5 else table(index)  # dense and sparse gradients
            (picked * weights).square().sum().backward()
            torch.stack([(rows[i] * w).square().sum() for i, w in zip(used, weights, strict=True)]).sum().backward()
            for optimizer in (ours, theirs):
                optimizer.step()
                optimizer.zero_grad()
            torch.testing.assert_close(table.weight.detach(), torch.stack([row.detach() for row in rows]))


def test_a_new_optimiser_takes_over_the_momentum() -> None:
    a, b = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    recipe = Recipe(momentum=0.9, weight_decay=0.0)
    old = Weights(nn.ParameterList([a, b]), recipe)
    a.grad = torch.arange(3.0)
    old.optimizer.step()
    copied, fresh = nn.Parameter(a.detach().clone()), nn.Parameter(torch.zeros(1))
    later = Weights(nn.ParameterList([a, b, copied, fresh]), recipe)
    later.take_over(old, {copied: a})
    made = later.optimizer
    for p in (a, copied):
        assert torch.equal(made.state[p]["momentum_buffer"], torch.arange(3.0))
    assert made.state[a]["momentum_buffer"].data_ptr() != made.state[copied]["momentum_buffer"].data_ptr()
    assert b not in made.state
    assert fresh not in made.state

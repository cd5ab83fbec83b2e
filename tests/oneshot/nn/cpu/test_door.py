"""One door to the compiled loops, and what happens where it answers no."""

from __future__ import annotations

import ast
import copy
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.gates import Gates, mixture
from oneshot.nn.cpu import is_rows, without_loops
from oneshot.nn.feature import Feature
from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Conv
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net

ROOT = Path(__file__).resolve().parents[4]
PACKAGES = ("oneshot", "evaluators", "perf")


def test_nobody_goes_around_it() -> None:
    room = ROOT / "oneshot/nn/cpu"
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py") if room not in path.parents):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not [module for module in modules if module.startswith("oneshot.nn.cpu.")], path


def images(*shape: int) -> Tensor:
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


def curvature(net: nn.Module, x: Tensor, gates: Gates, along: list[Tensor]) -> tuple[Tensor, list[Tensor]]:
    """Logits, and the Hessian of a loss of them times a vector, by two passes backward."""
    logits, weights = net(x, gates), list(net.parameters())
    loss = F.cross_entropy(logits, torch.arange(len(x)) % 10)
    gradients = torch.autograd.grad(loss, weights, create_graph=True)
    slope = sum((g * v).sum() for g, v in zip(gradients, along, strict=True))
    return logits.detach(), list(torch.autograd.grad(slope, weights, allow_unused=True))  # pyright: ignore


def test_gradients_have_gradients_inside() -> None:
    """In float32, equal to those in float64, for which there are no loops; with them they are refused."""
    net = NasBench201Net(ALL, 4, 1).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    x, gates = images(8, 3, 8, 8), mixture(ALL, [torch.full((5,), 0.2) for _ in range(6)])
    along = [torch.randn_like(p) for p in net.parameters()]
    exact_net = copy.deepcopy(net).double()
    logits, exact = curvature(exact_net, x.double(), gates, [v.double() for v in along])
    with without_loops():
        mine, found = curvature(net, x, gates, along)
    torch.testing.assert_close(mine, logits.float(), rtol=1e-3, atol=1e-4)
    for one, other in zip(found, exact, strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other.float(), rtol=1e-3, atol=1e-3 * float(other.abs().max()))
    torch.testing.assert_close(net(x, gates).detach(), mine, rtol=1e-4, atol=1e-4)
    with pytest.raises(RuntimeError, match="without_loops"):
        curvature(net, x, gates, along)


def test_a_sum_that_the_loops_began_is_finished_inside() -> None:
    norm, x, y = BatchNorm(4), images(3, 4, 5, 5), images(3, 4, 5, 5)
    expected = F.relu(F.batch_norm(x, None, None, norm.weight, norm.bias, training=True) + y)
    total = Feature(norm.later(x), y)
    with without_loops():
        torch.testing.assert_close(total.rectified(), expected)


def test_it_answers_no_inside_alone_and_in_its_own_thread() -> None:
    x = images(2, 16, 4, 4)
    with ThreadPoolExecutor(1) as pool, without_loops():
        with without_loops():
            assert not is_rows(x)
        assert not is_rows(x)
        assert pool.submit(is_rows, x).result()
    assert is_rows(x)


@torch.no_grad()
def test_convolutions_are_pytorchs_inside() -> None:
    conv, x = Conv(16, 16, 3), images(2, 16, 8, 8)
    with without_loops():
        assert torch.equal(conv(x), F.conv2d(x, conv.weight, padding=1))

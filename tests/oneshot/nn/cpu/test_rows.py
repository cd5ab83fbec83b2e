"""The compiled loops against plain PyTorch, on images that are no multiple of what they work on at a time."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from oneshot.nn.cpu import rows
from oneshot.nn.cpu.rows import LINEAR, RELU, RELU6, Running, Term

SHAPES = [(7, 3, 5, 5), (4, 16, 8, 8), (2, 300, 2, 2), (1, 1, 3, 7), (3, 600, 1, 2), (64, 16, 32, 32)]


def images(*shape: int) -> Tensor:
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


def column(vector: Tensor) -> Tensor:
    return vector.view(1, -1, 1, 1)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_statistics_and_what_is_tracked(shape: tuple[int, ...]) -> None:
    x, eps = images(*shape) * 0.5 + 3, 1e-3
    mean, variance = x.double().mean((0, 2, 3)), x.double().var((0, 2, 3), correction=0)
    running = Running(torch.tensor(0), torch.zeros(shape[1]), torch.ones(shape[1]))
    rate, offset = rows.normalised(x, eps, running, None)
    torch.testing.assert_close(rate, (variance + eps).rsqrt().float(), rtol=1e-4, atol=0)
    torch.testing.assert_close(offset, (-mean * (variance + eps).rsqrt()).float(), rtol=1e-4, atol=0)
    torch.testing.assert_close(running.mean, mean.float())
    torch.testing.assert_close(running.variance, x.double().var((0, 2, 3)).float(), rtol=1e-4, atol=1e-6)
    rows.normalised(x, eps, running, 0.25)
    assert running.batches == 2
    torch.testing.assert_close(running.mean, mean.float())


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_combined(shape: tuple[int, ...]) -> None:
    terms, vectors = [images(*shape) for _ in range(3)], [torch.randn(shape[1]) for _ in range(5)]
    scale, weight, bias = torch.stack(vectors[:2]), vectors[2], vectors[3]
    given = [Term(terms[0], scale, weight, bias), Term(terms[1]), Term(terms[2], scale, weight)]
    total = (terms[0] * column(scale[0]) + column(scale[1])) * column(weight) + column(bias) + terms[1]
    total = total + (terms[2] * column(scale[0]) + column(scale[1])) * column(weight)
    value, relu, clamped = rows.combined(given, [None, vectors[4], None], [LINEAR, RELU, RELU6])
    torch.testing.assert_close(value, total, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(relu, F.relu(total + column(vectors[4])), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(clamped, F.relu6(total), rtol=1e-5, atol=1e-5)


def test_some_terms_may_be_summed_or_normalised_before() -> None:
    """Bit by bit, so that nothing depends on who else needs the shorter sum."""
    a, b, c = (Term(images(4, 16, 8, 8), torch.randn(2, 16)) for _ in range(3))
    shift = torch.randn(16)
    whole, relu = rows.combined([a, b, c], [None, shift], [LINEAR, RELU])
    (first,) = rows.combined([a, b], [None], [LINEAR])
    assert torch.equal(rows.combined([Term(first), c], [None], [LINEAR])[0], whole)
    (last,) = rows.combined([c], [None], [LINEAR])
    assert torch.equal(rows.combined([a, b, Term(last)], [None], [LINEAR])[0], whole)
    assert torch.equal(rows.combined([Term(whole)], [shift], [RELU])[0], relu)


def test_nan_and_infinity_are_not_lost() -> None:
    x = images(2, 3, 4, 4)
    x[1, 2, 3, 3], x[0, 1, 2, 2] = float("nan"), float("inf")
    value, relu = rows.combined([Term(x)], [None, None], [LINEAR, RELU])
    torch.testing.assert_close(value, x, equal_nan=True)
    torch.testing.assert_close(relu, F.relu(x), equal_nan=True)
    assert rows.normalised(x, 1e-5, None, 0.1).isnan().any(0).tolist() == [False, True, True]


@pytest.mark.usefixtures("_threads")
@pytest.mark.parametrize("openmp", [True, False])
def test_threads_do_not_change_a_bit(openmp: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not openmp:
        monkeypatch.setattr(rows, "_team", lambda: rows._in_threads)
    x, y = images(64, 16, 32, 32), images(64, 16, 32, 32)
    found = []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        scale = rows.normalised(x, 1e-5, None, 0.1)
        (out,) = rows.combined([Term(x, scale), Term(y)], [None], [RELU])
        gradient, sums = rows.gathered([x, y], [out, out], [RELU, RELU], [True, False], [Term(x, scale)])
        found.append([scale, out, gradient, sums, rows.box_mean(x)])
    for other in found[1:]:
        assert all(map(torch.equal, found[0], other))


def test_which_images_are_rows() -> None:
    x = images(2, 3, 4, 4)
    assert rows.is_rows(x)
    assert not rows.is_rows(x.contiguous())
    assert not rows.is_rows(x.bfloat16())
    assert not rows.is_rows(x[0])


def test_without_numba_pytorch_does_all() -> None:
    code = (
        "import sys; sys.modules['numba'] = None\n"
        "import torch; from oneshot.nn.norm import BatchNorm; from oneshot.nn.cpu.rows import is_rows\n"
        "x = torch.randn(2, 3, 4, 4).contiguous(memory_format=torch.channels_last)\n"
        "print(is_rows(x), BatchNorm(3)(x).shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False torch.Size([2, 3, 4, 4])\n"

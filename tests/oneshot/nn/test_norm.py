"""BatchNorm against PyTorch's own, and what is done to the statistics of every kind of it."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from oneshot.nn.cpu import Running
from oneshot.nn.feature import repeated
from oneshot.nn.norm import BatchNorm, folding, still, with_statistics
from oneshot.nn.operations import Conv, ConvNorm, ReluConvNorm
from oneshot.nn.sliced import SlicedBatchNorm

pytestmark = pytest.mark.usefixtures("_one_thread_and_two")


@pytest.mark.parametrize("affine", [False, True])
@pytest.mark.parametrize(("channels", "batch", "size"), [(5, 3, 7), (8, 4, 6), (16, 2, 4), (200, 2, 3), (3, 1, 5)])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_equals_the_parent_class(affine: bool, channels: int, batch: int, size: int, momentum: float | None) -> None:
    ours = BatchNorm(channels, affine=affine, momentum=momentum)
    theirs = nn.BatchNorm2d(channels, affine=affine, momentum=momentum)
    if affine:
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            with torch.no_grad():
                q.copy_(p.normal_())
    x = torch.empty(0)
    for _ in range(3):
        x = torch.randn(batch, channels, size, size) * 3 + 20
        x = x.contiguous(memory_format=torch.channels_last)
        mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        y, z = ours(mine), theirs(other)
        grad = torch.randn_like(y)
        y.backward(grad)
        z.backward(grad)
        assert torch.allclose(y, z, atol=2e-5)
        assert mine.grad is not None
        assert other.grad is not None
        assert torch.allclose(mine.grad, other.grad, atol=1e-5)
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert p.grad is not None
        assert q.grad is not None
        assert torch.allclose(p.grad, q.grad, rtol=1e-4, atol=1e-4)
    for p, q in zip(ours.buffers(), theirs.buffers(), strict=True):
        assert torch.allclose(p, q, rtol=1e-5)
    ours.eval()
    theirs.eval()
    assert torch.equal(ours(x), theirs(x)) or torch.allclose(ours(x), theirs(x), atol=1e-4)


def test_gradient_is_the_numerical_one() -> None:
    x = torch.randn(3, 2, 2, 2).contiguous(memory_format=torch.channels_last).requires_grad_()
    norm, weights = BatchNorm(2), torch.randn(3, 2, 2, 2)
    (norm(x) * weights).sum().backward()
    step = 1e-2
    for index in [(0, 0, 0, 0), (2, 1, 1, 0), (1, 0, 1, 1)]:
        ends = []
        for sign in (1, -1):
            moved = x.detach().clone(memory_format=torch.channels_last)
            moved[index] += sign * step
            ends.append(float((norm(moved) * weights).sum().detach()))
        assert x.grad is not None
        assert float(x.grad[index]) == pytest.approx((ends[0] - ends[1]) / (2 * step), abs=2e-2)


def test_zeros_stay_zero() -> None:
    x = torch.zeros(2, 4, 3, 3).contiguous(memory_format=torch.channels_last)
    assert not BatchNorm(4, affine=False)(x).any()


def kinds() -> list[tuple[nn.Module, torch.Tensor]]:
    """Every BatchNorm there is, and something for it to normalise."""
    images = torch.randn(4, 6, 3, 3) * 2 + 1
    last = images.contiguous(memory_format=torch.channels_last)
    return [
        (BatchNorm(6), images), (BatchNorm(6), last), (SlicedBatchNorm(6), last), (SlicedBatchNorm(9), last),
        (nn.BatchNorm2d(6), images), (nn.BatchNorm1d(6), images[:, :, 0, 0]),
    ]  # fmt: skip


@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("kind", range(6))
def test_still_norms_use_the_batch_and_move_nothing(kind: int, momentum: float | None) -> None:
    """Also while gradients are taken, and within each other; afterwards they move again."""
    norm, x = kinds()[kind]
    norm.momentum = momentum  # pyright: ignore
    x.requires_grad_()
    norm(x)
    before = {name: buffer.clone() for name, buffer in norm.named_buffers()}
    moving, expected = copy.deepcopy(norm), x.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    factor = torch.randn_like(x)
    y = moving(expected)
    (y * factor).sum().backward()
    with still(nn.Sequential(norm)):
        with still(norm):
            torch.testing.assert_close(norm(x), y)
        (norm(x) * factor).sum().backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in norm.named_buffers())
    torch.testing.assert_close(x.grad, expected.grad)
    norm(x)
    for (name, buffer), other in zip(norm.named_buffers(), moving.buffers(), strict=True):
        torch.testing.assert_close(buffer, other, msg=name)


def test_still_norms_evaluate_by_what_they_tracked() -> None:
    for norm, x in kinds():
        norm(x)
        expected = norm.eval()(x)
        with still(norm):
            assert torch.equal(norm(x), expected)


def test_an_image_that_stands_for_many_moves_nothing_either() -> None:
    operation, x = ReluConvNorm(4, 6, 3), torch.randn(1, 4, 5, 5)
    repeated(operation, x, 8)
    before = [buffer.clone() for buffer in operation.buffers()]
    with still(operation):
        repeated(operation, x, 8)
    assert all(map(torch.equal, operation.buffers(), before))


@pytest.mark.parametrize("kind", range(5))
def test_other_statistics_for_a_while(kind: int) -> None:
    """They are used and moved in place, the norm's own are not; also after an error."""
    norm, x = kinds()[kind]
    assert isinstance(norm, nn.BatchNorm2d)
    twin, own = copy.deepcopy(norm), {name: id(buffer) for name, buffer in norm.named_buffers()}
    before = [buffer.clone() for buffer in norm.buffers()]
    size = norm.num_features
    given = Running(torch.tensor(3), torch.randn(size), torch.rand(size) + 0.5)
    twin.load_state_dict(
        {**twin.state_dict(), **dict(zip(STATISTICS, (given.mean, given.variance, given.batches), strict=True))}
    )
    with pytest.raises(ValueError, match="on purpose"):
        fail_with(norm, given, x, twin)
    assert {name: id(buffer) for name, buffer in norm.named_buffers()} == own
    assert all(map(torch.equal, norm.buffers(), before))
    for mine, name in zip((given.mean, given.variance, given.batches), STATISTICS, strict=True):
        assert torch.equal(mine, twin.state_dict()[name])


STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


def fail_with(norm: nn.BatchNorm2d, given: Running, x: torch.Tensor, twin: nn.BatchNorm2d) -> None:
    with with_statistics([norm], [given]):
        assert torch.equal(norm(x), twin(x))
        assert torch.equal(norm.eval()(x), twin.eval()(x))
        raise ValueError("on purpose")


@pytest.mark.parametrize("affine", [True, False])
def test_folded_into_the_convolution_before_it(affine: bool) -> None:
    """Only inside, in evaluation, and without gradients."""
    layer, x, ran = ConvNorm(Conv(3, 5, 3), affine), torch.randn(2, 3, 6, 6), []
    for tensor in (*layer.norm.parameters(), layer.norm.running_mean, layer.norm.running_var):
        nn.init.uniform_(tensor, 0.5, 1.5)  # pyright: ignore[reportArgumentType]
    layer.eval()
    expected = layer(x).detach()
    layer.norm.register_forward_pre_hook(lambda *_: ran.append("norm"))
    with torch.no_grad(), folding():
        torch.testing.assert_close(layer(x), expected)
        assert not ran
        layer.train()(x)
    layer.eval()
    with folding():
        layer(x)
    with torch.no_grad():
        layer(x)
    assert len(ran) == 3

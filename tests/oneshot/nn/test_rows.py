"""Work in parts against plain PyTorch."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.nn import rows
from oneshot.nn.feature import Feature, normalised_later
from oneshot.nn.norm import BatchNorm
from oneshot.nn.operations import Conv, ConvNorm, ReluConvNorm


def images(*shape: int) -> Tensor:
    return torch.randn(*shape).contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("shape", [(7, 3, 5, 5), (4, 16, 8, 8), (2, 300, 2, 2)])
@pytest.mark.parametrize("rectify", [False, True])
def test_sums(shape: tuple[int, ...], rectify: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows.parts, "__defaults__", (600,))  # several parts, the last one shorter
    channels = shape[1]
    terms = [images(*shape) for _ in range(3)]
    kept = [term.clone() for term in terms]
    scale, shift = torch.randn(channels), torch.randn(channels)
    for count in (1, 2, 3):
        for scales in ((None, None, None), (scale, None, scale), (None, scale, None)):
            for b in (None, shift):
                pairs = zip(terms[:count], scales, strict=False)
                total = sum(t if s is None else t * s.view(1, -1, 1, 1) for t, s in pairs)
                expected = total if b is None else total + b.view(1, -1, 1, 1)
                with torch.no_grad():
                    got = rows.combined(terms[:count], scales[:count], b, rectify)
                assert torch.allclose(got, F.relu(expected) if rectify else expected, atol=1e-5)  # pyright: ignore
    assert all(torch.equal(a, b) for a, b in zip(terms, kept, strict=True))


def test_sums_of_one_image_and_many() -> None:
    one, many = images(1, 4, 3, 3), images(6, 4, 3, 3)
    with torch.no_grad():
        assert torch.equal(rows.combined([one, many], [None, None]), one + many)


@pytest.mark.parametrize("shape", [(7, 3, 5, 5), (16, 16, 16, 16), (2, 300, 2, 2)])
def test_moments(shape: tuple[int, ...]) -> None:
    x = images(*shape) * 0.5 + 3
    mean, variance = rows.moments(x)
    assert torch.allclose(mean, x.double().mean((0, 2, 3)).float(), rtol=1e-5)
    assert torch.allclose(variance, x.double().var((0, 2, 3), correction=0).float(), rtol=1e-3)


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("momentum", [0.1, None])
def test_normalised_later(affine: bool, momentum: float | None) -> None:
    """Output and tracked statistics are PyTorch's own; a value and its ReLU agree in whichever order they are made."""
    operation = ReluConvNorm(4, 5, 3, affine=affine).to(memory_format=torch.channels_last)  # pyright: ignore
    plain = nn.BatchNorm2d(5, affine=affine, momentum=momentum)
    for parameter in operation.norm.parameters():
        parameter.data.normal_()
    plain.load_state_dict(operation.norm.state_dict())
    operation.norm.folds, operation.norm.momentum = True, momentum
    with torch.no_grad():
        for _ in range(3):
            x = images(6, 4, 8, 8)
            expected = plain(operation.conv(x))
            feature = normalised_later(operation, x, 1)
            relu = feature.rectified(None)
            assert torch.allclose(feature.whole(), expected, atol=1e-5)
            assert torch.allclose(relu, F.relu(expected), atol=1e-5)
            again = Feature(*feature.terms, shift=feature.shift)
            assert torch.equal(again.rectified(None), relu)
    for mine, other in zip(operation.norm.buffers(), plain.buffers(), strict=True):
        assert torch.allclose(mine, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kernel", [1, 3])
def test_folded_into_the_convolution(kernel: int) -> None:
    pair = ConvNorm(Conv(4, 6, kernel)).to(memory_format=torch.channels_last).eval()  # pyright: ignore
    norm: BatchNorm = pair[1]  # pyright: ignore[reportAssignmentType]
    with torch.no_grad():
        for tensor in (norm.weight, norm.bias, norm.running_mean):
            tensor.normal_()  # pyright: ignore[reportOptionalMemberAccess]
        norm.running_var.uniform_(0.5, 2)  # pyright: ignore[reportOptionalMemberAccess]
        x = images(3, 4, 5, 5)
        expected = norm(pair[0](x))
        ran: list[int] = []
        norm.register_forward_hook(lambda *_: ran.append(1))
        assert torch.equal(pair(x), expected)
        assert ran == [1]
        norm.folds = True
        assert torch.allclose(pair(x), expected, atol=1e-5)
        assert ran == [1]

"""Sliced layers against PyTorch's own on the leading channels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from oneshot.nn.norm import batch_norms
from oneshot.nn.sliced import Corners, SlicedBatchNorm, SlicedConv, SlicedConvNormRelu, nasbench101

MEMORY = [torch.channels_last, torch.contiguous_format]


@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize(("given", "asked"), [(5, 3), (3, 5), (6, 2), (4, 7), (6, 7), (1, 1)])
def test_convolutions_use_the_leading_channels(
    given: int, asked: int, kernel: int, memory: torch.memory_format
) -> None:
    conv, x = SlicedConv(6, 7, kernel), torch.randn(2, given, 5, 5).contiguous(memory_format=memory)
    y = conv(x, asked)
    assert torch.allclose(y, F.conv2d(x, conv.weight[:asked, :given], padding=kernel // 2), atol=1e-5)
    y.square().sum().backward()
    assert conv.weight.grad is not None
    inside = torch.zeros_like(conv.weight, dtype=torch.bool)
    inside[:asked, :given] = True
    assert torch.equal(conv.weight.grad != 0, inside)


@pytest.mark.usefixtures("_one_thread_and_two")
@pytest.mark.parametrize("memory", MEMORY)
@pytest.mark.parametrize("momentum", [0.1, None])
@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize("channels", [1, 4, 6])
def test_norms_slice_parameters_and_statistics(
    channels: int, affine: bool, momentum: float | None, memory: torch.memory_format
) -> None:
    norm = SlicedBatchNorm(6, momentum=momentum, affine=affine)
    for tensor in (*norm.parameters(), norm.running_mean, norm.running_var):
        assert tensor is not None
        nn.init.uniform_(tensor, 0.5, 1.5)
    narrow = nn.BatchNorm2d(channels, momentum=momentum, affine=affine)
    narrow.load_state_dict({name: t[:channels] if t.dim() else t for name, t in norm.state_dict().items()})
    rest = {name: t[channels:].clone() for name, t in norm.state_dict().items() if t.dim()}
    for x in torch.randn(3, 4, channels, 3, 3):
        x = x.contiguous(memory_format=memory)
        assert torch.allclose(norm(x), narrow(x), atol=1e-5)
    x = torch.randn(4, channels, 3, 3).contiguous(memory_format=memory)
    assert torch.allclose(norm.eval()(x), narrow.eval()(x), atol=1e-5)
    for name, tensor in narrow.state_dict().items():
        whole = norm.state_dict()[name]
        assert torch.allclose(whole[:channels] if whole.dim() else whole, tensor, atol=1e-6), name
    assert all(torch.equal(norm.state_dict()[name][channels:], kept) for name, kept in rest.items())


def test_a_norm_is_whole_again_after_a_pass_and_after_an_error() -> None:
    norm = SlicedBatchNorm(6)
    before = {name: id(tensor) for name, tensor in [*norm.named_parameters(), *norm.named_buffers()]}
    norm(torch.randn(2, 3, 4, 4)).sum().backward()
    with pytest.raises(ValueError, match="no BatchNorm statistics of its own"):
        norm(torch.randn(1, 3, 1, 1))
    assert {name: id(tensor) for name, tensor in [*norm.named_parameters(), *norm.named_buffers()]} == before
    assert norm.weight.grad is not None
    assert norm.weight.grad.shape == (6,)


def test_the_three_operations() -> None:
    table = nasbench101(affine=False)
    assert list(table) == ["conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3"]
    x = torch.randn(2, 5, 4, 4)
    for name, make in table.items():
        operation = make(8, 8, 1)
        assert not any(norm.affine for norm in batch_norms(operation))
        weights = [p.shape for p in operation.parameters()]
        assert weights == ([] if name == "maxpool3x3" else [(8, 8, int(name[4]), int(name[4]))])
        y = F.max_pool2d(x, 3, 1, 1) if name == "maxpool3x3" else None
        if isinstance(operation, SlicedConvNormRelu):
            y = F.conv2d(x, operation.conv.weight[:5, :5], padding=int(name[4]) // 2)
            y = F.relu(F.batch_norm(y, None, None, training=True))
        assert y is not None
        assert torch.allclose(operation(x), y, atol=1e-5)


def test_corners_are_those_of_passes_with_gradients() -> None:
    layer, x = SlicedConvNormRelu(6, 7, 3), torch.randn(2, 4, 5, 5)
    corners = Corners(layer)
    with torch.no_grad():
        layer(x, 3)
    weight, bias = layer.conv.weight, layer.norm.bias
    assert weight not in corners
    assert corners.boxes(weight) == [(slice(None),)]
    layer(x, 3)
    layer(torch.randn(2, 6, 5, 5), 2)
    assert corners.boxes(weight) == [(slice(0, 2), slice(6)), (slice(2, 3), slice(4))]
    assert corners.boxes(bias) == [(slice(0, 3),)]
    corners.forget()
    layer.requires_grad_(False)
    layer(x, 3)
    assert weight not in corners
    layer.requires_grad_(True)
    layer(torch.randn(2, 6, 5, 5), 7)
    assert corners.boxes(weight) == [(slice(0, 7), slice(6))]


@given(st.lists(st.tuples(st.integers(1, 5), st.integers(1, 5)), min_size=1, max_size=6))
def test_boxes_hold_every_element_of_a_corner_once(corners: list[tuple[int, int]]) -> None:
    conv = SlicedConv(5, 5, 1)
    conv.corners.update(corners)
    counts, inside = torch.zeros(2, 5, 5)
    for rows, columns in corners:
        inside[:rows, :columns] = 1
    for box in Corners(conv).boxes(conv.weight):
        counts[box] += 1
    assert torch.equal(counts, inside)

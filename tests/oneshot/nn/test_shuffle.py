"""Shuffle blocks against plain PyTorch on the same weights."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.nn.shuffle import Shuffle, SqueezeExcite, shuffles

Act = Callable[[Tensor], Tensor]


def twin(x: Tensor, block: Shuffle, stride: int, xception: bool, act: Act, squeeze: bool) -> Tensor:
    """Each convolution by itself, statistics of the batch; an activation behind those that are not depthwise."""

    def run(x: Tensor, convs: list[nn.Conv2d], strided: int) -> Tensor:
        for number, conv in enumerate(convs):
            depthwise = conv.weight.shape[1] == 1 and conv.weight.shape[2] > 1
            x = F.conv2d(
                x, conv.weight, stride=stride if number == strided else 1, padding=conv.weight.shape[2] // 2,
                groups=len(conv.weight) if depthwise else 1,
            )  # fmt: skip
            x = F.batch_norm(x, None, None, training=True)
            x = x if depthwise else act(x)
        return x

    convs = [m for m in block.branch.modules() if isinstance(m, nn.Conv2d)]
    if stride == 1:
        pairs = x.unflatten(1, (-1, 2))
        kept, taken = pairs[:, :, 0], pairs[:, :, 1]
    else:
        assert block.beside is not None
        kept, taken = run(x, [m for m in block.beside.modules() if isinstance(m, nn.Conv2d)], 0), x
    y = run(taken, convs, 0 if xception else 1)
    if squeeze:
        first, second = (m for m in block.branch.modules() if isinstance(m, nn.Linear))
        weight = torch.sigmoid(second(F.relu(first(y.mean((2, 3))))))
        y = y * weight.view(*weight.shape, 1, 1)
    return torch.cat((kept, y), 1)


@pytest.mark.parametrize("memory", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(("c_in", "c_out", "stride"), [(6, 6, 1), (5, 12, 2), (6, 8, 2)])
@pytest.mark.parametrize(
    ("name", "kernels", "act", "squeeze"),
    [
        ("shuffle3", [1, 3, 1], F.relu, False),
        ("shuffle5", [1, 5, 1], F.silu, False),
        ("shuffle7", [1, 7, 1], F.silu, True),
        ("xception", [3, 1, 3, 1, 3, 1], F.silu, True),
    ],
)
def test_blocks_equal_the_twin(
    name: str, kernels: list[int], act: Act, squeeze: bool, c_in: int, c_out: int, stride: int,
    memory: torch.memory_format,
) -> None:  # fmt: skip
    block = shuffles()[name](c_in, c_out, stride)
    assert isinstance(block, Shuffle)
    assert [m.kernel_size[0] for m in block.branch.modules() if isinstance(m, nn.Conv2d)] == kernels
    assert any(isinstance(m, SqueezeExcite) for m in block.modules()) == squeeze
    x = 3 * torch.randn(5, c_in, 7, 7).contiguous(memory_format=memory)
    y = block(x)
    assert y.shape == (5, c_out, *((7, 7) if stride == 1 else (4, 4)))
    assert torch.allclose(y, twin(x, block, stride, name == "xception", act, squeeze), atol=1e-4)


def test_every_second_channel_passes() -> None:
    x = torch.randn(2, 8, 4, 4)
    assert torch.equal(shuffles()["shuffle3"](8, 8, 1)(x)[:, :4], x[:, [0, 2, 4, 6]])


@pytest.mark.parametrize(("c_in", "c_out", "stride"), [(6, 8, 1), (5, 5, 1), (6, 6, 2)])
def test_shapes_that_no_block_has(c_in: int, c_out: int, stride: int) -> None:
    with pytest.raises(ValueError, match=f"makes more of them at stride 2, got {c_in} to {c_out} at stride {stride}"):
        shuffles()["shuffle3"](c_in, c_out, stride)


def test_one_channel_can_be_squeezed() -> None:
    assert SqueezeExcite(1)(torch.ones(2, 1, 3, 3)).shape == (2, 1, 3, 3)

"""The ShuffleNetV2 space of VAENAS, appendix A.4: 20 layers, each a shuffle block of kernel 3, 5 or 7, or Xception."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from oneshot.cost import Cost
from oneshot.space import Arch, Decision
from oneshot.spaces.sequential import Layer, Sequential


class Block(NamedTuple):
    """What an option is: its kernel, Swish for ReLU, squeeze-and-excitation, three depthwise convolutions for one."""

    kernel: int
    swish: bool = True
    squeeze: bool = True
    xception: bool = False


BLOCKS = {
    "shuffle3": Block(3, swish=False, squeeze=False),
    "shuffle5": Block(5, squeeze=False),
    "shuffle7": Block(7),
    "xception": Block(3, xception=True),
}
OPTIONS = tuple(BLOCKS)

FIRST = 16
"""Channels of the stem; all other widths are those of ShuffleNetV2+ Large at this one.

The paper gives no widths and no head. These are the published network's of 360M multiply-adds, 6.7M parameters and
77.1%, which are the figures of the paper's baseline (Table 3).
"""
WIDTHS = (68,) * 4 + (168,) * 4 + (336,) * 8 + (672,) * 4
"""Channels out of each layer."""
STRIDED = (0, 4, 8, 16)
"""The layers that halve the image, as the stem does."""
HEAD = 1280


@dataclass(frozen=True)
class ShuffleNet(Sequential):
    """Chains of 20 shuffle blocks; strings are `shuffle3-xception-...`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = {option for decision in self.decisions for option in decision.options} - set(OPTIONS)
        if len(self.decisions) != len(WIDTHS) or unknown:
            raise ValueError(
                f"the ShuffleNetV2 space has {len(WIDTHS)} decisions among {OPTIONS}; "
                f"got {len(self.decisions)} decisions with unknown options {sorted(unknown)}"
            )

    def cost(self, arch: Arch, cells: int = 0, **size: int) -> Cost:
        """That of the stand-alone network, see `cost`; a chain has no cells."""
        return cost(self.operations(arch), **size)


def shufflenet(options: tuple[str, ...] = OPTIONS, name: str = "shufflenet") -> ShuffleNet:
    """The space with the same options in every layer."""
    return ShuffleNet(name, tuple(Decision(f"layer {i}", options) for i in range(len(WIDTHS))))


ALL = shufflenet()


def scaled(width: int, channels: int = FIRST) -> int:
    """A width of ShuffleNetV2+ Large, even, in a network whose stem has `channels` channels."""
    return 2 * max(1, round(width * channels / FIRST / 2))


def layers(channels: int = FIRST) -> tuple[Layer, ...]:
    """What each layer makes of its image."""
    widths = [channels, *(scaled(width, channels) for width in WIDTHS)]
    return tuple(Layer(*widths[i : i + 2], stride=2 if i in STRIDED else 1) for i in range(len(WIDTHS)))


def squeezed(channels: int) -> int:
    """Between the two layers of a squeeze-and-excitation."""
    return max(1, channels // 4)


def cost(operations: Sequence[str], channels: int = FIRST, classes: int = 1000, image_size: int = 224) -> Cost:
    """Parameters and multiply-adds of the stand-alone network, counted as in NAS-Bench-201: BatchNorm is free."""
    side = _halved(image_size)
    params, multiplies = 29 * channels, 27 * channels * side**2
    for option, layer in zip(operations, layers(channels), strict=True):
        after = side if layer.stride == 1 else _halved(side)
        for weights, normalised, is_before in _convolutions(BLOCKS[option], layer):
            params += weights + 2 * normalised
            multiplies += weights * (side if is_before else after) ** 2
        if BLOCKS[option].squeeze:
            excitation = _excitation(layer.channels_out - _passed(layer))
            params, multiplies = params + excitation, multiplies + excitation
        side = after
    last, head = scaled(WIDTHS[-1], channels), scaled(HEAD, channels)
    dense = _excitation(head) + head * head + head * classes + classes
    return Cost(params + last * head + 2 * head + dense, (multiplies + last * head * side**2 + dense) / 1e6)


def _convolutions(block: Block, layer: Layer) -> Iterator[tuple[int, int, bool]]:
    """The weights of each convolution, its channels out, and whether it works on the image before it is halved."""
    passed, inner, area = _passed(layer), layer.channels_out // 2, block.kernel**2
    made = layer.channels_out - passed
    if layer.stride == 2:
        yield from ((area * passed, passed, False), (passed * passed, passed, False))
    if block.xception:
        yield from ((area * passed, passed, False), (passed * inner, inner, False))
        yield from ((area * inner, inner, False), (inner * inner, inner, False))
    else:
        yield passed * inner, inner, True
    yield from ((area * inner, inner, False), (inner * made, made, False))


def _passed(layer: Layer) -> int:
    """The channels into the branch, and beside it: half of those that come, or all where the image is halved."""
    return layer.channels_in if layer.stride == 2 else layer.channels_in // 2


def _excitation(channels: int) -> int:
    return 2 * channels * squeezed(channels) + squeezed(channels) + channels


def _halved(side: int) -> int:
    return (side + 1) // 2

"""FairNAS (arXiv 1907.01845): 19 layers, each a MobileNetV2 block of kernel 3, 5 or 7 and expansion 3 or 6."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from oneshot.cost import Cost
from oneshot.space import Arch, Decision
from oneshot.spaces.sequential import Layer, Sequential

OPTIONS = tuple(f"k{kernel}e{expansion}" for expansion in (3, 6) for kernel in (3, 5, 7))

FIRST = 16
"""Channels into the first layer; all other widths are those of arXiv 2104.11522, Table 4, at this one."""
STEM = 32
WIDTHS = (32, 32) + (40,) * 4 + (80,) * 4 + (96,) * 4 + (192,) * 4 + (320,)
"""Channels out of each layer."""
STRIDED = (0, 2, 6, 14)
"""The layers that halve the image, as the stem does."""
HEAD = 1280


@dataclass(frozen=True)
class FairNas(Sequential):
    """Chains of 19 inverted residual blocks; strings are `k3e3-k7e6-...`: kernel and expansion of each."""

    def __post_init__(self) -> None:
        super().__post_init__()
        unknown = {option for decision in self.decisions for option in decision.options} - set(OPTIONS)
        if len(self.decisions) != len(WIDTHS) or unknown:
            raise ValueError(
                f"FairNAS has {len(WIDTHS)} decisions among {OPTIONS}; "
                f"got {len(self.decisions)} decisions with unknown options {sorted(unknown)}"
            )

    def cost(self, arch: Arch, cells: int = 0, **size: int) -> Cost:
        """That of the stand-alone network, see `cost`; a chain has no cells."""
        return cost(self.operations(arch), **size)


def fairnas(options: tuple[str, ...] = OPTIONS, name: str = "fairnas") -> FairNas:
    """The space with the same options in every layer."""
    return FairNas(name, tuple(Decision(f"layer {i}", options) for i in range(len(WIDTHS))))


ALL = fairnas()


def scaled(width: int, channels: int = FIRST) -> int:
    """A width of the paper in a network whose first layer takes `channels` channels."""
    return max(1, round(width * channels / FIRST))


def layers(channels: int = FIRST) -> tuple[Layer, ...]:
    """What each layer makes of its image."""
    widths = [scaled(width, channels) for width in (FIRST, *WIDTHS)]
    return tuple(Layer(*widths[i : i + 2], stride=2 if i in STRIDED else 1) for i in range(len(WIDTHS)))


def kernel_and_expansion(option: str) -> tuple[int, int]:
    """The two numbers of `k3e6`; ValueError where it is no such option."""
    match = re.fullmatch(r"k(\d*[13579])e([1-9]\d*)", option)
    if match is None:
        raise ValueError(f"expected an odd kernel and an expansion, such as 'k3e6', got {option!r}")
    return int(match[1]), int(match[2])


def cost(operations: Sequence[str], channels: int = FIRST, classes: int = 100, image_size: int = 224) -> Cost:
    """Parameters and multiply-adds of the stand-alone network, counted as in NAS-Bench-201: BatchNorm is free."""
    stem = scaled(STEM, channels)
    side = _halved(image_size)
    params, multiplies = 29 * stem, 27 * stem * side**2
    blocks = [((3, 1), Layer(stem, scaled(FIRST, channels)))]
    blocks += zip(map(kernel_and_expansion, operations), layers(channels), strict=True)
    for (kernel, expansion), layer in blocks:
        after = side if layer.stride == 1 else _halved(side)
        hidden = layer.channels_in * expansion
        expand = layer.channels_in * hidden + 2 * hidden if expansion > 1 else 0
        depthwise, project = kernel**2 * hidden, hidden * layer.channels_out
        params += expand + depthwise + 2 * hidden + project + 2 * layer.channels_out
        multiplies += (depthwise + project) * after**2
        if expansion > 1:
            multiplies += layer.channels_in * hidden * side**2
        side = after
    last, head = scaled(WIDTHS[-1], channels), scaled(HEAD, channels)
    classifier = head * classes + classes
    params += last * head + 2 * head + classifier
    return Cost(params, (multiplies + last * head * side**2 + classifier) / 1e6)


def _halved(side: int) -> int:
    return (side + 1) // 2

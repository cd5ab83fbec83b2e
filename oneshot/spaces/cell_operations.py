"""The operations of cells: their names, their weights, and what a network of cells costs."""

from __future__ import annotations

from oneshot.cost import Cost
from oneshot.spaces.cells import EDGES, INPUTS, NODES, NONE, Connections, layout, live_edges, of_kind, used_inputs

AVERAGE, MAXIMUM, SKIP = "avg_pool_3x3", "max_pool_3x3", "skip_connect"
SEP3, SEP5, SEP7, DIL3, DIL5 = "sep_conv_3x3", "sep_conv_5x5", "sep_conv_7x7", "dil_conv_3x3", "dil_conv_5x5"
SEPARABLE = {SEP3: (3, 2), SEP5: (5, 2), SEP7: (7, 2), DIL3: (3, 1), DIL5: (5, 1)}
"""Kernel and number of the depthwise convolutions, a 1x1 behind each; where there is one it is dilated."""
FULL = {"conv_1x1": 1, "conv_3x3": 3}
"""Kernel of a convolution."""
FACTORED = {"conv_3x1_1x3": 3, "conv_5x1_1x5": 5, "conv_7x1_1x7": 7}
"""k of a convolution 1 x k and one k x 1 behind it."""
CONVOLUTIONS = {**{name: kernel for name, (kernel, _) in SEPARABLE.items()}, **FULL, **dict.fromkeys(FACTORED, 0)}
"""Kernel of each convolution that is square, 0 of one that is not."""

VAENAS = (NONE, AVERAGE, MAXIMUM, SKIP, SEP3, SEP5, SEP7, DIL3)
"""Of VAENAS, appendix A.4."""
DARTS = (NONE, MAXIMUM, AVERAGE, SKIP, SEP3, SEP5, DIL3, DIL5)
"""Of DARTS (arXiv 1806.09055, section 3.1), in the order of its code."""
EXTENDED = (*DARTS, *FULL, *FACTORED)
"""EnTranNAS's twelve, and zero."""
KNOWN = tuple(dict.fromkeys((*VAENAS, *EXTENDED)))

STEM = 3
"""Channels of the CIFAR stem for each of the first cell."""


def layers(operation: str, width: int, halves: bool, side: int, after: int) -> tuple[int, int, int]:
    """Of an operation from a side of its images to another: weights of convolutions, BatchNorms, multiply-adds."""
    if operation in FACTORED:  # the first convolution halves one side alone
        half = FACTORED[operation] * width * width
        return 2 * half, 1, half * after * (side + after)
    own, norms = 0, 0
    if operation in SEPARABLE:
        kernel, norms = SEPARABLE[operation]
        own = norms * (kernel**2 * width + width * width)
    elif operation in FULL:
        own, norms = FULL[operation] ** 2 * width * width, 1
    elif operation == SKIP and halves:
        own, norms = width * width, 1
    return own, norms, own * after**2


def cost(
    connections: Connections,
    channels: int = 36,
    cells: int = 6,
    classes: int = 10,
    image_size: int = 32,
    stem: str = "cifar",
) -> Cost:
    """Parameters and multiply-adds of the stand-alone network, counted as in NAS-Bench-201: BatchNorm is free.

    By default DARTS's network for CIFAR-10, of 20 cells and without an auxiliary classifier; that for ImageNet has
    `channels=48, cells=4, classes=1000, image_size=224, stem="imagenet"`. Only what runs counts.
    """
    params, multiplies, before, last, side = _stem(stem, channels, image_size)
    width = channels
    runs = live_edges([bool(operations) for operations in connections], cells)
    for reduces, live in zip(layout(cells), runs, strict=True):
        width, after = (2 * width, -(-side // 2)) if reduces else (width, side)
        own = of_kind(connections, reduces)
        projections = sum((before, last)[node] * width for node in used_inputs(live))
        params += projections + 2 * width * len(used_inputs(live))
        multiplies += projections * side**2
        for edge in live:
            for operation in own[edge]:
                halves = reduces and EDGES[edge][0] in INPUTS
                convolutions, norms, products = layers(operation, width, halves, side if halves else after, after)
                params += convolutions + 2 * width * norms
                multiplies += products
        before, last, side = last, len(NODES) * width, after
    classifier = last * classes + classes
    return Cost(params + classifier, (multiplies + classifier) / 1e6)


def depth(connections: Connections, cells: int = 6) -> int:
    """The most operations but skips on a way through the network of `cost`; -1 where there is no way."""
    gives = [0, 0]
    runs = live_edges([bool(operations) for operations in connections], cells)
    for reduces, live in zip(layout(cells), runs, strict=True):
        own: Connections = tuple(of_kind(connections, reduces))
        reached: dict[int, int] = {**dict(zip(INPUTS, gives[-2:], strict=True))}
        for edge in live:
            source, target = EDGES[edge]
            longest = reached[source] + any(operation != SKIP for operation in own[edge])
            reached[target] = max(reached.get(target, 0), longest)
        gives.append(max((reached[node] for node in NODES if node in reached), default=-1))
    return gives[-1]


def _stem(stem: str, channels: int, side: int) -> tuple[int, int, int, int, int]:
    """Parameters and multiply-adds; the channels of both inputs of the first cell, and the side of the second."""
    if stem == "cifar":
        wide = STEM * channels
        return 29 * wide, 27 * wide * side**2, wide, wide, side
    half, params, multiplies = channels // 2, 0, 0
    for c_in, c_out in ((3, half), (half, channels), (channels, channels)):
        side = -(-side // 2)
        params += 9 * c_in * c_out + 2 * c_out
        multiplies += 9 * c_in * c_out * side**2
    return params, multiplies, channels, channels, side

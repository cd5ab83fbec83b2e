"""The gradient of a depthwise convolution's weights, for which PyTorch takes up to ten times as long as for its images.

See `kernels` for what a kernel is called with.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import carray  # pyright: ignore[reportPrivateImportUsage]

from oneshot.nn.cpu.kernels import (  # pyright: ignore[reportPrivateUsage]
    _floats,
    _fold,
    _width,
    kernel,
    next_part,
)


@kernel
def correlate(arguments: Any) -> None:
    """Sums [parts, k * k, C] of the products of gradients and images, shifted by each place of a kernel k x k.

    Parts are of whole images. Products are added up in a row of some pixels of all channels for each place.
    """
    _, parts, images, height, width, channels, side, dilation, x, grad, sums = carray(arguments, 11)
    line, wide = width * channels, _width(channels)
    rows = np.empty((side * side, wide), np.float32)
    while True:
        part = next_part(arguments)
        if part >= parts:
            return
        rows[:] = 0
        for i in range(images * part // parts * height, images * (part + 1) // parts * height):
            image, r = i // height, i % height
            for a in range(side):
                other = r + (a - side // 2) * dilation
                if other < 0 or other >= height:
                    continue
                for b in range(side):
                    shift = (b - side // 2) * dilation * channels
                    begin, end = max(0, -shift), min(line, line - shift)
                    for left in range(0, line, wide):
                        first, count = max(left, begin), min(left + wide, end) - max(left, begin)
                        if count <= 0:
                            continue
                        row = rows[a * side + b, first - left : first - left + count]
                        g = _floats(grad + 4 * (i * line + first), count)
                        v = _floats(x + 4 * ((image * height + other) * line + first + shift), count)
                        for j in range(len(row)):
                            row[j] += g[j] * v[j]
        _fold(rows, sums, part, channels)

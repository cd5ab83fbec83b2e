"""Loops over channels-last float32 images on a CPU, compiled by numba when they are first called, then kept on disk.

A kernel is called with the address of int64 numbers: how many parts were begun, how many there are, then what it
unpacks, arrays by their address. Several threads may run it with the same numbers: each does the next part until there
are none. Neither the parts nor the order of sums depend on the threads, so nor do results.

Images are read as rows of some pixels of all channels, which fit a core's fastest cache: what is done to a row costs
one pass over the memory, however many steps it has. NaN is never lost, so that a training that diverges is noticed.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import carray, cfunc, njit, types  # pyright: ignore[reportPrivateImportUsage]
from numba.extending import intrinsic

ROW = 256
"""Floats in a row, about."""
LINE = 16
"""Floats in a line of the cache."""
ASKS = not binding.get_host_cpu_name().startswith("znver")
"""Whether a row is asked for while the one before it is worked on: AMD's Zen does so by itself, and is slowed down."""

kernel: Any = cfunc(types.void(types.CPointer(types.int64)), cache=True, fastmath={"contract"}, error_model="numpy")
typed: Any = intrinsic
inlined: Any = njit(inline="always", fastmath={"contract"}, error_model="numpy")


@cache
def has_wide_registers() -> bool:
    """Whether this processor has the 32 registers of 16 floats that `winograd` keeps its sums in."""
    return binding.get_host_cpu_features().get("avx512f", False)


def _pointer(of: types.Type) -> Any:
    def kind(_: Any, address: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

        return types.CPointer(of)(types.int64), code

    return typed(kind)


_to_floats, _to_numbers = _pointer(types.float32), _pointer(types.int64)


@typed
def next_part(_: Any, counter: Any) -> Any:
    """The number there, which is one more afterwards, for all threads."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.atomic_rmw("add", arguments[0], context.get_constant(types.int64, 1), "monotonic")

    return types.int64(types.CPointer(types.int64)), code


@typed
def ask_for(_: Any, address: Any) -> Any:
    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, number = ir.IntType(8).as_pointer(), ir.IntType(32)
        kind = ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        function = builder.module.declare_intrinsic("llvm.prefetch", [byte], kind)
        builder.call(function, [builder.inttoptr(arguments[0], byte), number(0), number(3), number(1)])
        return context.get_dummy_value()

    return types.void(types.int64), code


@inlined
def _floats(address: int, count: int) -> Any:
    return carray(_to_floats(address), count)


@inlined
def _numbers(address: int, count: int) -> Any:
    return carray(_to_numbers(address), count)


@inlined
def _vectors(address: int, count: int, channels: int) -> Any:
    return carray(_to_floats(address), (count, channels))


def row_width(channels: int) -> int:
    return max(ROW // channels, 1) * channels


_width = inlined(row_width)


@inlined
def _row(images: int, i: int, width: int, size: int) -> Any:
    """Row i; where it `ASKS`, the processor does not go beyond the end of a page by itself."""
    first = images + 4 * i * width
    if ASKS:
        for j in range(0, width, LINE):
            ask_for(first + 4 * (width + j))
    return _floats(first, min(width, size - i * width))


@inlined
def _repeated(vector: int, otherwise: float, channels: int, wide: Any) -> None:
    """Write a vector over channels as often as a row has pixels; the same number everywhere where its address is 0."""
    for j in range(len(wide)):
        wide[j] = otherwise
    if vector:
        narrow = _floats(vector, channels)
        for j in range(len(wide)):
            wide[j] = narrow[j % channels]


@inlined
def _normals(count: int, scales: int, channels: int, wide: Any) -> None:
    """Write by what terms are multiplied and what is added then [n, 2, width]; nothing where an address is 0."""
    scale = _numbers(scales, count)
    for k in range(count):
        _repeated(scale[k], 1.0, channels, wide[k, 0])
        _repeated(scale[k] + 4 * channels if scale[k] else 0, 0.0, channels, wide[k, 1])


@inlined
def _fold(wide: Any, sums: int, part: int, channels: int) -> None:
    """Write the sums of a row's columns [n, width], added up over its pixels, to sums[part] [n, C]."""
    count = len(wide)
    narrow = _vectors(sums + 4 * part * count * channels, count, channels)
    for k in range(count):
        for c in range(channels):
            total = 0.0
            for j in range(c, wide.shape[1], channels):
                total += wide[k, j]
            narrow[k, c] = total


@kernel
def moments(arguments: Any) -> None:
    """Sums [parts, 2, C] of what a pixel differs from the first one, and of the squares of that."""
    _, parts, size, channels, x, sums = carray(arguments, 6)
    width = _width(channels)
    rows = -(-size // width)
    first, wide = np.empty(width, np.float32), np.empty((2, width), np.float32)
    for j in range(width):
        first[j] = _floats(x, channels)[j % channels]
    while True:
        part = next_part(arguments)
        if part >= parts:
            return
        wide[:] = 0
        total, squares = wide[0], wide[1]
        for i in range(rows * part // parts, rows * (part + 1) // parts):
            row = _row(x, i, width, size)
            for j in range(len(row)):
                value = row[j] - first[j]
                total[j] += value
                squares[j] += value * value
        _fold(wide, sums, part, channels)


@kernel
def normalise(arguments: Any) -> None:
    """1 / sqrt(variance + eps) and -mean times that [2, C], from the sums of `moments`.

    A running mean and variance move by a share towards the batch's, whose variance is corrected for the size of the
    sample; a negative share stands for the average of all batches.
    """
    _, count, pixels, channels, x, sums, settings, batches, means, variances, results = carray(arguments, 11)
    parts, first = carray(_to_floats(sums), (count, 2, channels)), _floats(x, channels)
    result = _vectors(results, 2, channels)
    eps, share = _floats(settings, 2)
    if batches:
        _numbers(batches, 1)[0] += 1
        if share < 0:
            share = 1 / np.float32(_numbers(batches, 1)[0])
    for c in range(channels):
        value, squares = 0.0, 0.0
        for k in range(count):
            value += parts[k, 0, c]
            squares += parts[k, 1, c]
        off = value / pixels
        mean, variance = first[c] + off, squares / pixels - off * off
        variance = 0.0 if variance < 0 else variance
        rate = 1 / np.sqrt(variance + eps)
        result[0, c], result[1, c] = rate, -mean * rate
        if batches:
            mean_row, row = _floats(means, channels), _floats(variances, channels)
            mean_row[c] += (np.float32(mean) - mean_row[c]) * share
            row[c] += (np.float32(variance * pixels / max(pixels - 1, 1)) - row[c]) * share


@kernel
def total(arguments: Any) -> None:
    """Sums [k, C] over parts [count, k, C]."""
    _, count, size, parts, sums = carray(arguments, 5)
    each, result = _vectors(parts, count, size), _floats(sums, size)
    for j in range(size):
        value = 0.0
        for k in range(count):
            value += each[k, j]
        result[j] = value


@kernel
def combine(arguments: Any) -> None:
    """The sum of n terms, plus each of v vectors, clamped to [lows, highs].

    A term is multiplied by the first row of its scale [2, C], the second is added, then it is multiplied by its weight
    [C], and its bias added. Each has its own address, which may be 0; so has each vector. After the last of its own
    floats, which are whole rows, a term begins anew: one image for all. A sum is the same bit by bit
    if some first terms were summed, or any normalised, before.
    """
    _, parts, size, channels, n, terms, lengths, scales, weights, biases, v, shifts, lows, highs, outputs = carray(
        arguments, 15
    )
    width = _width(channels)
    rows = -(-size // width)
    term, output, low, high = _numbers(terms, n), _numbers(outputs, v), _floats(lows, v), _floats(highs, v)
    length = _numbers(lengths, n)
    normal, affine = np.empty((n, 2, width), np.float32), np.empty((2, width), np.float32)
    _normals(n, scales, channels, normal)
    for k in range(n):
        _repeated(_numbers(weights, n)[k], 1.0, channels, affine[0])
        _repeated(_numbers(biases, n)[k], 0.0, channels, affine[1])
        for j in range(width):
            normal[k, 0, j] *= affine[0, j]
            normal[k, 1, j] = normal[k, 1, j] * affine[0, j] + affine[1, j]
    shift = np.empty((v, width), np.float32)
    for k in range(v):
        _repeated(_numbers(shifts, v)[k], 0.0, channels, shift[k])
    whole, clamped = np.empty(width, np.float32), np.empty(width, np.float32)
    while True:
        part = next_part(arguments)
        if part >= parts:
            return
        for i in range(rows * part // parts, rows * (part + 1) // parts):
            whole[:] = 0
            for k in range(n):
                at = i if length[k] == size else i % (length[k] // width)
                row = _row(term[k], at, width, size)
                scale, offset = normal[k, 0], normal[k, 1]
                for j in range(len(row)):
                    whole[j] += row[j] * scale[j] + offset[j]
            for k in range(v):
                row, least, most, added = _row(output[k], i, width, size), low[k], high[k], shift[k]
                for j in range(len(row)):
                    value = whole[j] + added[j]
                    value = least if value < least else value
                    clamped[j] = most if value > most else value
                for j in range(len(row)):
                    row[j] = clamped[j]


@kernel
def gather(arguments: Any) -> None:
    """The gradient of a sum from those of its clamped outputs [v], where these are inside (lows, highs).

    Outputs at address 0 were not clamped, and the gradient is not written to address 0. Sums [parts, v + 1 + n, C] are
    those of each output's gradient, 0 unless `summed`, of the whole gradient, and of that times each normalised term.
    """
    _, parts, size, channels, v, grads, outputs, lows, highs, summed, n, terms, scales, gradient, sums = carray(
        arguments, 15
    )
    width = _width(channels)
    rows = -(-size // width)
    grad, output, low, high = _numbers(grads, v), _numbers(outputs, v), _floats(lows, v), _floats(highs, v)
    asked, term = _numbers(summed, v), _numbers(terms, n)
    normal, wide = np.empty((n, 2, width), np.float32), np.empty((v + 1 + n, width), np.float32)
    _normals(n, scales, channels, normal)
    masked, added = np.empty(width, np.float32), np.empty((2, width), np.float32)
    while True:
        part = next_part(arguments)
        if part >= parts:
            return
        wide[:] = 0
        for i in range(rows * part // parts, rows * (part + 1) // parts):
            whole = masked
            for k in range(v):
                given, least, most = _row(grad[k], i, width, size), low[k], high[k]
                if output[k]:
                    y, one = _row(output[k], i, width, size), masked[: len(given)] if k else added[0, : len(given)]
                    for j in range(len(given)):
                        value = given[j]
                        one[j] = np.float32(0) if (y[j] <= least) | (y[j] >= most) else value
                    given = one
                if asked[k]:
                    own = wide[k]
                    for j in range(len(given)):
                        own[j] += given[j]
                if k:
                    both = added[k % 2, : len(given)]
                    for j in range(len(given)):
                        both[j] = whole[j] + given[j]
                    whole = both
                else:
                    whole = given
            own = wide[v]
            if gradient:
                row = _row(gradient, i, width, size)
                for j in range(len(row)):
                    row[j] = whole[j]
                    own[j] += whole[j]
            else:
                for j in range(len(whole)):
                    own[j] += whole[j]
            for k in range(n):
                row, own, rate, offset = _row(term[k], i, width, size), wide[v + 1 + k], normal[k, 0], normal[k, 1]
                for j in range(len(row)):
                    own[j] += whole[j] * (row[j] * rate[j] + offset[j])
        _fold(wide, sums, part, channels)


@kernel
def spread(arguments: Any) -> None:
    """The gradients of n normalised terms from that of their sum; `sums` [1 + n, C] are the last ones of `gather`."""
    _, parts, size, channels, gradient, n, terms, scales, weights, sums, outputs = carray(arguments, 11)
    width = _width(channels)
    rows = -(-size // width)
    term, output, weight = _numbers(terms, n), _numbers(outputs, n), _numbers(weights, n)
    normal, wide = np.empty((n, 2, width), np.float32), np.empty((n, 2, width), np.float32)
    mean, made = np.empty(width, np.float32), np.empty((n, width), np.float32)
    _normals(n, scales, channels, normal)
    share = 1 / np.float32(size // channels)
    _repeated(sums, 0.0, channels, mean)
    for j in range(width):
        mean[j] *= share
    for k in range(n):
        _repeated(sums + 4 * (1 + k) * channels, 0.0, channels, wide[k, 0])
        _repeated(weight[k], 1.0, channels, wide[k, 1])
        for j in range(width):
            wide[k, 0, j] *= share
            wide[k, 1, j] *= normal[k, 0, j]
    while True:
        part = next_part(arguments)
        if part >= parts:
            return
        for i in range(rows * part // parts, rows * (part + 1) // parts):
            grad = _row(gradient, i, width, size)
            for k in range(n):
                row, rate, offset = _row(term[k], i, width, size), normal[k, 0], normal[k, 1]
                along, factor, result = wide[k, 0], wide[k, 1], made[k]
                for j in range(len(row)):
                    y = row[j] * rate[j] + offset[j]
                    result[j] = (grad[j] - mean[j] - along[j] * y) * factor[j]
            for k in range(n):  # afterwards, because the last output may be the gradient itself
                row, result = _row(output[k], i, width, size), made[k]
                for j in range(len(row)):
                    row[j] = result[j]


@kernel
def box_mean(arguments: Any) -> None:
    """Averages over 3x3 boxes at stride 1 that do not count the padding, or what takes gradients back through them.

    A part is an image. The average is a sum over the box times a share, and the way back the sum of shares over it.
    """
    _, images, height, width, channels, x, out, backward = carray(arguments, 8)
    line = width * channels
    inner, after = np.empty(line, np.float32), np.empty(line, np.float32)
    padded, boxes = np.zeros(line + 2 * channels, np.float32), np.empty((3, line), np.float32)
    # slices, because numba takes an index that is a sum for one that may be negative
    left, centre, right = padded[:line], padded[channels : channels + line], padded[2 * channels :]
    first, second, third = boxes[0], boxes[1], boxes[2]
    for j in range(line):
        inner[j] = 1 / np.float32(min(j // channels + 2, width) - max(j // channels - 1, 0))
    while True:
        image = next_part(arguments)
        if image >= images:
            return
        for r in range(height + 1):  # row r comes in, and the row above it is complete
            if r < height:
                row, box = _row(x + 4 * image * height * line, r, line, height * line), boxes[r % 3]
                if backward:
                    share = 1 / np.float32(min(r + 2, height) - max(r - 1, 0))
                    for j in range(len(centre)):
                        centre[j] = row[j] * inner[j] * share
                else:
                    for j in range(len(centre)):
                        centre[j] = row[j]
                for j in range(len(box)):
                    box[j] = left[j] + centre[j] + right[j]
            else:
                boxes[r % 3][:] = 0
            if r == 1:
                third[:] = 0
            if r:
                row = _row(out + 4 * image * height * line, r - 1, line, height * line)
                share = 1 / np.float32(min(r + 1, height) - max(r - 2, 0))
                for j in range(len(after)):
                    value = first[j] + second[j] + third[j]
                    after[j] = value if backward else value * inner[j] * share
                for j in range(len(row)):
                    row[j] = after[j]

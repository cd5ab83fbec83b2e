"""3x3 convolutions of channels-last float32 images by Winograd's F(2x2, 3x3) (arXiv 1509.09308), compiled by numba.

A tile of 2x2 outputs takes 16 multiplications for a pair of channels where the plain sum takes 36. So many tiles at a
time as a core's caches hold, their 4x4 inputs are transformed, multiplied by the transformed weights in 16 matrix
products over channels, and transformed to outputs. Vectors are spelled out in LLVM's terms, because its compiler finds
no such loops by itself; what is between the steps is stored as [16, channels / LANES, TILES, LANES].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from itertools import chain
from typing import Any

import numpy as np
from llvmlite import ir
from numba import carray, types  # pyright: ignore[reportPrivateImportUsage]
from numba.core import cgutils

from oneshot.nn.cpu.kernels import ask_for, inlined, kernel, next_part, typed

LANES = 16
"""Floats in a vector: channels come in whole vectors."""
TILES = 12
"""Tiles in a block, which go through the three steps together."""
LINE = 64
"""Bytes of a line of the cache, and of a vector."""
_FLOAT, _VECTOR, _INDEX = ir.FloatType(), ir.VectorType(ir.FloatType(), LANES), ir.VectorType(ir.IntType(32), LANES)
_FUSED = ("contract",)


def _number(value: int) -> ir.Constant:
    return ir.Constant(ir.IntType(64), value)


def _emitted(emit: Callable[..., None]) -> Any:
    """A function of int64 arguments for numba, of whose code `emit` writes every instruction."""

    @wraps(emit)  # numba asks for its signature
    def kind(_: Any, *arguments: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            emit(builder, *arguments)
            return context.get_dummy_value()

        return types.void(*[types.int64] * len(arguments)), code

    return typed(kind)


def _load(b: Any, address: Any, offset: int = 0, kind: Any = _VECTOR) -> Any:
    return b.load(b.inttoptr(b.add(address, _number(offset)), kind.as_pointer()), align=4)


def _store(b: Any, value: Any, address: Any, offset: int = 0) -> None:
    b.store(value, b.inttoptr(b.add(address, _number(offset)), _VECTOR.as_pointer()), align=4)


def _pixels(b: Any, image: Any, spare: Any, top: Any, left: Any, shape: Sequence[Any], size: int) -> list[list[Any]]:
    """Addresses of size x size pixels, that of something spare for those outside of the image."""
    height, width, channels = shape
    pixel = b.mul(channels, _number(4))
    line = b.mul(width, pixel)
    ys, xs = ([b.add(first, _number(i)) for i in range(size)] for first in (top, left))
    rows = [(b.icmp_unsigned("<", y, height), b.add(image, b.mul(y, line))) for y in ys]
    columns = [(b.icmp_unsigned("<", x, width), b.mul(x, pixel)) for x in xs]
    return [[b.select(b.and_(is_y, is_x), b.add(row, x), spare) for is_x, x in columns] for is_y, row in rows]


def _twice(b: Any, transform: Callable[..., list[Any]], x: Sequence[Sequence[Any]]) -> list[list[Any]]:
    """T x T^T, by what multiplies a vector by the matrix T."""
    columns = [transform(b, column) for column in zip(*x, strict=True)]
    return [transform(b, row) for row in zip(*columns, strict=True)]


def _into(b: Any, v: Sequence[Any]) -> list[Any]:
    return [b.fsub(v[0], v[2]), b.fadd(v[1], v[2]), b.fsub(v[2], v[1]), b.fsub(v[1], v[3])]


def _back(b: Any, v: Sequence[Any]) -> list[Any]:
    return [b.fadd(b.fadd(v[0], v[1]), v[2]), b.fsub(b.fsub(v[1], v[2]), v[3])]


_OF_ROWS = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)
OF_WEIGHTS = np.kron(_OF_ROWS, _OF_ROWS)
"""G of the paper for both axes [16, 9]: weights g [3, 3], flat, are transformed to G g G^T [4, 4]."""


def _vectors(b: Any, channels: Any) -> Any:
    """A loop over a pixel's vectors, which has each one's offset in bytes."""
    return cgutils.for_range_slice(b, _number(0), b.mul(channels, _number(4)), _number(LINE))


@_emitted
def _transform(
    b: Any, image: Any, zeros: Any, top: Any, left: Any, height: Any, width: Any, channels: Any, made: Any, plane: Any
) -> None:
    """B^T d B of one tile's 4x4 inputs, zero outside of the image."""
    pixels = _pixels(b, image, zeros, top, left, (height, width, channels), 4)
    with _vectors(b, channels) as (offset, _):
        given = [[_load(b, b.add(pixel, offset)) for pixel in row] for row in pixels]
        target = b.add(made, b.mul(offset, _number(TILES)))
        for value in chain(*_twice(b, _into, given)):
            _store(b, value, target)
            target = b.add(target, plane)


@_emitted
def _finish(
    b: Any, made: Any, plane: Any, bias: Any,
    image: Any, spare: Any, top: Any, left: Any, height: Any, width: Any, channels: Any,
) -> None:  # fmt: skip
    """A^T m A + bias, one tile's 2x2 outputs; those outside of the image are written to something spare."""
    pixels = [*chain(*_pixels(b, image, spare, top, left, (height, width, channels), 2))]
    with _vectors(b, channels) as (offset, _):
        source = b.add(made, b.mul(offset, _number(TILES)))
        sources = [b.add(source, b.mul(plane, _number(k))) for k in range(16)]
        given = [[_load(b, sources[4 * i + j]) for j in range(4)] for i in range(4)]
        added = _load(b, b.add(bias, offset))
        for pixel, value in zip(pixels, chain(*_twice(b, _back, given)), strict=True):
            _store(b, b.fadd(value, added), b.add(pixel, offset))


def _product(tiles: int, vectors: int) -> Any:
    """The product for so many tiles and vectors of outputs, whose sums over the inputs stay in registers."""

    @_emitted
    def multiply(b: Any, given: Any, weights: Any, made: Any, inputs: Any, outputs: Any) -> None:
        zero, row = ir.Constant(_VECTOR, [0.0] * LANES), b.mul(outputs, _number(4))
        sums = [[cgutils.alloca_once(b, _VECTOR) for _ in range(vectors)] for _ in range(tiles)]
        for each in chain(*sums):
            b.store(zero, each)
        with (
            cgutils.for_range(b, b.udiv(inputs, _number(LANES))) as block,
            cgutils.for_range(b, _number(LANES)) as lane,
        ):
            x = b.add(given, b.add(b.mul(block.index, _number(TILES * LINE)), b.mul(lane.index, _number(4))))
            w = b.add(weights, b.mul(row, b.add(b.mul(block.index, _number(LANES)), lane.index)))
            factors = [_load(b, w, LINE * q) for q in range(vectors)]
            for r in range(tiles):
                value = _repeated(b, _load(b, x, LINE * r, _FLOAT))
                for factor, each in zip(factors, sums[r], strict=True):
                    b.store(b.fadd(b.load(each), b.fmul(value, factor, flags=_FUSED), flags=_FUSED), each)
        for r in range(tiles):
            for q, each in enumerate(sums[r]):
                _store(b, b.load(each), made, LINE * (q * TILES + r))

    return multiply


def _repeated(b: Any, number: Any) -> Any:
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    first = b.insert_element(nothing, number, ir.IntType(32)(0))
    return b.shuffle_vector(first, nothing, ir.Constant(_INDEX, [0] * LANES))


_of_one, _of_two, _of_four = _product(12, 1), _product(12, 2), _product(6, 4)


@inlined
def _multiply(given: int, weights: int, made: int, inputs: int, outputs: int) -> None:
    """One of the 16 products, in pieces that suit the number of outputs."""
    if outputs % (4 * LANES) == 0:
        for c in range(0, outputs, 4 * LANES):
            for r in range(0, TILES, 6):
                _of_four(given + LINE * r, weights + 4 * c, made + 4 * c * TILES + LINE * r, inputs, outputs)
    elif outputs % (2 * LANES) == 0:
        for c in range(0, outputs, 2 * LANES):
            _of_two(given, weights + 4 * c, made + 4 * c * TILES, inputs, outputs)
    else:
        for c in range(0, outputs, LANES):
            _of_one(given, weights + 4 * c, made + 4 * c * TILES, inputs, outputs)


@inlined
def _planes(channels: int) -> Any:
    """What is between two steps, then a pixel of zeros, from some whole line on."""
    return np.zeros((16 * TILES + 1) * channels + LANES, np.float32)


@inlined
def _aligned(planes: Any) -> int:
    return -(-planes.ctypes.data // LINE) * LINE


@kernel
def convolve(arguments: Any) -> None:
    """The convolution at stride 1 and padding 1; weights [16, inputs, outputs] are transformed ones."""
    _, parts, images, height, width, inputs, outputs, x, weights, bias, y = carray(arguments, 11)
    down, across = (height + 1) // 2, (width + 1) // 2
    tiles, line = images * down * across, width * inputs
    blocks = -(-tiles // TILES)
    planes_in, planes_out, where = _planes(inputs), _planes(outputs), np.empty((TILES, 3), np.int64)
    given, made, size_in, size_out = _aligned(planes_in), _aligned(planes_out), TILES * inputs, TILES * outputs
    zeros, spare = given + 4 * 16 * size_in, made + 4 * 16 * size_out
    while True:
        part = next_part(arguments)
        if part >= parts:
            return
        begin = blocks * part // parts
        number, row = divmod(begin * TILES, down * across)
        top, left = 2 * (row // across), 2 * (row % across)
        for block in range(begin, blocks * (part + 1) // parts):
            count = min(TILES, tiles - block * TILES)
            for i in range(count):
                where[i, 0], where[i, 1], where[i, 2] = number, top, left
                image = x + 4 * number * height * line
                _transform(image, zeros, top - 1, left - 1, height, width, inputs, given + LINE * i, 4 * size_in)
                left += 2
                if left >= width:
                    left, top = 0, top + 2
                    if top >= height:
                        top, number = 0, number + 1
            for k in range(16):
                after = 16 * (block + 1) * TILES  # the next block's pixels, about; its inputs end three lines later
                for j in range(size_in * k // LINE, size_in * (k + 1) // LINE):
                    ask_for(x + 4 * 3 * line + after * inputs + LINE * j)
                for j in range(size_out * k // LINE, size_out * (k + 1) // LINE):
                    ask_for(y + after * outputs + LINE * j)
                by = weights + 4 * k * inputs * outputs
                _multiply(given + 4 * k * size_in, by, made + 4 * k * size_out, inputs, outputs)
            for i in range(count):
                image = y + 4 * where[i, 0] * height * width * outputs
                source = made + LINE * i
                _finish(source, 4 * size_out, bias, image, spare, where[i, 1], where[i, 2], height, width, outputs)

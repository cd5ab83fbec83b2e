"""Channels-last images on a CPU, on which the compiled loops of `kernels` work: which those are, and what is made."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, wraps
from typing import Any, NamedTuple

import torch
from torch import Tensor

PART = 2**16
"""Floats of each tensor in a part of the work, which one thread does."""
INFINITE = float("inf")
Numbers = ctypes.Array[Any]


class Clamp(NamedTuple):
    """What an activation lets through."""

    low: float = -INFINITE
    high: float = INFINITE


LINEAR, RELU, RELU6 = Clamp(), Clamp(0.0), Clamp(0.0, 6.0)


def channels(vector: Tensor, like: Tensor) -> Tensor:
    """A vector over channels [C] as [1, C, 1, 1] of the other tensor's type."""
    return vector.to(like.dtype).view(1, -1, 1, 1)


_is_open = ContextVar("_is_open", default=True)


def is_rows(x: Tensor) -> bool:
    """Whether the loops can work on these images [B, C, H, W]; never without numba."""
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.dim() != 4:
        return False
    return x.is_contiguous(memory_format=torch.channels_last) and _is_open.get() and _kernels() is not None


@contextmanager
def without_loops() -> Iterator[None]:
    """Inside, the answer is no, and PyTorch's own operations run: their gradients have gradients, and are the twin."""
    token = _is_open.set(False)
    try:
        yield
    finally:
        _is_open.reset(token)


def differentiable_once(backward: Callable[..., Any]) -> Callable[..., Any]:
    """A way back by the loops, whose gradients have none: RuntimeError where a graph of them is asked for.

    PyTorch's `once_differentiable` is silent, and gives wrong ones, where those of some inputs alone are taken.
    """

    @wraps(backward)
    def checked(ctx: Any, *grads: Any) -> Any:
        if torch.is_grad_enabled():
            raise RuntimeError("gradients of gradients are not the loops': take them in oneshot.nn.cpu.without_loops()")
        return backward(ctx, *grads)

    return checked


def repeats(x: Tensor) -> bool:
    """Whether an image [1, C, H, W] is a whole number of rows, so that it can be added to each of many."""
    return x.numel() % _kernels().row_width(x.shape[1]) == 0


def as_rows(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=torch.channels_last)


class Running(NamedTuple):
    """What a BatchNorm tracks."""

    batches: Tensor
    mean: Tensor
    variance: Tensor


def normalised(x: Tensor, eps: float, running: Running | None, momentum: float | None) -> Tensor:
    """1 / sqrt(variance + eps) and -mean times that, of each channel [2, C]; running statistics are moved in place."""
    parts, width = _parts(x), x.shape[1]
    sums, results = torch.empty(parts, 2, width), torch.empty(2, width)
    _run(_kernels().moments, parts, x.numel(), width, x, sums)
    tracked = (0, 0, 0) if running is None else running
    _run(
        _kernels().normalise, parts, x.numel() // width, width, x, sums,
        _float32(eps, -1.0 if momentum is None else momentum), *tracked, results,
        team=False,
    )  # fmt: skip
    return results


class Term(NamedTuple):
    """A tensor [B, C, H, W] in a sum, to which BatchNorm may still have to be done.

    That is to multiply it by `scale[0]`, add `scale[1]`, then to multiply by a weight and add a bias, all of [C].
    """

    tensor: Tensor
    scale: Tensor | None = None
    """1 / sqrt(variance + eps) and -mean times that [2, C], by the tensor's own statistics."""
    weight: Tensor | None = None
    bias: Tensor | None = None


def combined(terms: Sequence[Term], shifts: Sequence[Tensor | None], clamps: Sequence[Clamp]) -> list[Tensor]:
    """The sum of terms, plus each of the shifts [C], clamped; some terms may be one image for all, if `repeats` it."""
    like = max((term.tensor for term in terms), key=len)
    outputs, (tensors, *vectors) = [torch.empty_like(like) for _ in clamps], zip(*terms, strict=True)
    _run(
        _kernels().combine, _parts(like), like.numel(), like.shape[1], len(terms), _addresses(tensors),
        _int64(*(x.numel() for x in tensors)), *map(_addresses, vectors),
        len(clamps), _addresses(shifts), *_bounds(clamps), _addresses(outputs),
    )  # fmt: skip
    return outputs


def gathered(
    grads: Sequence[Tensor], outputs: Sequence[Tensor | None], clamps: Sequence[Clamp], summed: Sequence[bool],
    terms: Sequence[Term],
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """The gradient of a sum from those of its clamped outputs, and sums [v + 1 + n, C].

    They are those of each output's gradient, where `summed`, of the whole gradient, and of that times each of the n
    terms at mean 0 and variance 1. Outputs that were not clamped are None.
    """
    like, parts, width = grads[0], _parts(grads[0]), grads[0].shape[1]
    alone, count = len(grads) == 1 and outputs[0] is None, len(grads) + 1 + len(terms)
    gradient = like if alone else torch.empty_like(like)
    each, sums = torch.empty(parts, count, width), torch.empty(count, width)
    _run(
        _kernels().gather, parts, like.numel(), width, len(grads), _addresses(grads), _addresses(outputs),
        *_bounds(clamps), _int64(*summed), len(terms), *(_addresses([term[i] for term in terms]) for i in range(2)),
        0 if alone else gradient, each,
    )  # fmt: skip
    _run(_kernels().total, parts, count * width, each, sums, team=False)
    return gradient, sums


def spread(gradient: Tensor, terms: Sequence[Term], sums: Tensor, first: int, outputs: Sequence[Tensor]) -> None:
    """Write the gradients of terms normalised by their own statistics; `sums` are those of `gathered` from a row on.

    The last output may be the gradient itself.
    """
    width = gradient.shape[1]
    _run(
        _kernels().spread, _parts(gradient), gradient.numel(), width, gradient, len(terms),
        *(_addresses([term[i] for term in terms]) for i in range(3)), sums.data_ptr() + 4 * first * width,
        _addresses(outputs),
    )  # fmt: skip


def box_mean(x: Tensor, backward: bool = False) -> Tensor:
    """3x3 average pooling at stride 1 that does not count the padding; or from its output's gradient the input's."""
    out, (images, width, *size) = torch.empty_like(x), x.shape
    _run(_kernels().box_mean, images, *size, width, x, out, int(backward))
    return out


def correlated(x: Tensor, grad: Tensor, side: int, dilation: int) -> Tensor:
    """The gradient [C, 1, k, k] of a depthwise convolution's weights at stride 1, from those of its output."""
    (images, width, *size), parts = x.shape, min(_parts(x), len(x))
    each, sums = torch.empty(parts, side * side, width), torch.empty(side * side, width)
    _run(_depthwise().correlate, parts, images, *size, width, side, dilation, x, grad, each)
    _run(_kernels().total, parts, side * side * width, each, sums, team=False)
    return sums.t().reshape(width, 1, side, side)


def over_images(x: Tensor) -> Tensor:
    """The sum of the images, as one image; as a matrix product, which is many times faster than a sum."""
    _, width, *size = x.shape
    total = x.new_ones(1, len(x)) @ x.permute(0, 2, 3, 1).reshape(len(x), -1)
    return total.view(1, *size, width).permute(0, 3, 1, 2)


def convolves(x: Tensor, weight: Tensor) -> bool:
    """Whether `convolved` can and should make the 3x3 convolution at stride 1: without gradients, in full precision."""
    if torch.is_grad_enabled() or torch.is_autocast_enabled("cpu") or not is_rows(x) or weight.dtype != x.dtype:
        return False
    if not _kernels().has_wide_registers():
        return False
    return weight.shape[0] % _winograd().LANES == weight.shape[1] % _winograd().LANES == 0


def convolved(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The 3x3 convolution [B, K, H, W] at stride 1 and padding 1 by weights [K, C, 3, 3] and a bias [K]."""
    (images, inputs, *size), outputs = x.shape, len(weight)
    by = torch.from_numpy(_winograd().OF_WEIGHTS) @ weight.permute(2, 3, 1, 0).reshape(9, inputs * outputs)
    y = torch.empty(images, outputs, *size, memory_format=torch.channels_last)
    added = torch.zeros(outputs) if bias is None else bias.contiguous()
    _run(_winograd().convolve, _parts(x), images, *size, inputs, outputs, x, by, added, y)
    return y


@cache
def _kernels() -> Any:
    try:
        import oneshot.nn.cpu.kernels as kernels
    except ImportError:  # as on a machine that only trains on a GPU
        return None
    return kernels


@cache
def _winograd() -> Any:
    """Compiled when first asked for."""
    import oneshot.nn.cpu.winograd as winograd

    return winograd


@cache
def _depthwise() -> Any:
    """Compiled when first asked for."""
    import oneshot.nn.cpu.depthwise as depthwise

    return depthwise


@cache
def _team() -> Any:
    """What runs a function in threads: OpenMP's own call, of whose threads PyTorch made use before; else Python's."""
    run = getattr(ctypes.CDLL(None), "GOMP_parallel", None) if sys.platform == "linux" else None
    if run is not None:
        run.argtypes, run.restype = [ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint], None
    return run or _in_threads


def _in_threads(address: int, numbers: Numbers, threads: int, _: int) -> None:
    function = ctypes.CFUNCTYPE(None, ctypes.c_void_p)(address)
    with ThreadPoolExecutor(threads) as pool:
        for _done in pool.map(function, [ctypes.addressof(numbers)] * threads):
            pass


@cache
def _function(kernel: Any) -> tuple[int, Any]:
    """A kernel's address, and something to call."""
    return kernel.address, ctypes.CFUNCTYPE(None, ctypes.c_void_p)(kernel.address)


def _run(kernel: Any, parts: int, *arguments: int | Tensor | Numbers, team: bool = True) -> None:
    """A kernel, by the threads that PyTorch may use."""
    address, function = _function(kernel)
    numbers = _int64(0, parts, *map(_number, arguments))
    threads = min(torch.get_num_threads(), parts)
    if team and threads > 1:
        _team()(address, numbers, threads, 0)
    else:
        function(numbers)


def _number(argument: int | Tensor | Numbers) -> int:
    """Itself, or an address."""
    if isinstance(argument, int):
        return argument
    return argument.data_ptr() if isinstance(argument, Tensor) else ctypes.addressof(argument)


def _int64(*numbers: int) -> Numbers:
    return (ctypes.c_int64 * len(numbers))(*numbers)


def _float32(*numbers: float) -> Numbers:
    return (ctypes.c_float * len(numbers))(*numbers)


def _addresses(tensors: Iterable[Tensor | None]) -> Numbers:
    return _int64(*(0 if x is None else x.data_ptr() for x in tensors))


def _bounds(clamps: Iterable[Clamp]) -> tuple[Numbers, Numbers]:
    lows, highs = zip(*clamps, strict=True)
    return _float32(*lows), _float32(*highs)


def _parts(x: Tensor) -> int:
    return -(-x.numel() // PART)

"""The one door to loops over images that numba compiles; it may answer "no", and then PyTorch does all.

They work on channels-last float32 images on a CPU: ask `is_rows`, or `convolves`. Inside `without_loops` the answer is
always no.
"""

from oneshot.nn.cpu.rows import (
    LINEAR,
    RELU,
    RELU6,
    Clamp,
    Running,
    Term,
    as_rows,
    box_mean,
    channels,
    combined,
    convolved,
    convolves,
    correlated,
    differentiable_once,
    gathered,
    is_rows,
    normalised,
    over_images,
    repeats,
    spread,
    without_loops,
)

__all__ = [
    "LINEAR", "RELU", "RELU6", "Clamp", "Running", "Term", "as_rows", "box_mean", "channels", "combined", "convolved",
    "convolves", "correlated", "differentiable_once", "gathered", "is_rows", "normalised", "over_images", "repeats",
    "spread", "without_loops",
]  # fmt: skip

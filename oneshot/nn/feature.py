"""What flows between choice blocks: a sum of images that is made when somebody needs it, and then only once."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from oneshot.distributed import world
from oneshot.nn.operations import ReluConvNorm
from oneshot.nn.rows import channels, combined
from oneshot.nn.shifted import shifted_relus


class Feature:
    """The sum of some tensors [B, C, H, W], and what operations prepared from it (ReLU, pooling), each computed once.

    `shift` [C] is to be added too, but not worth a pass over the images yet, and without gradients the terms may have
    to be multiplied by `scales` [C] first. Where one image stands for many equal ones, `images` says for how many.
    """

    def __init__(
        self, *terms: Tensor, shift: Tensor | None = None, images: int = 1, scales: tuple[Tensor | None, ...] = ()
    ) -> None:
        self.terms: tuple[Tensor, ...] = terms
        self.scales = scales or (None,) * len(terms)
        self.shift, self.images = shift, images
        self._prepared: dict[Callable[[Tensor], Tensor], Tensor] = {}
        self._rectified: dict[int, tuple[Tensor | None, Tensor]] = {}

    @property
    def value(self) -> Tensor:
        """The sum without the shift."""
        if self._is_sum:
            self.terms, self.scales = (combined(self.terms, self.scales),), (None,)
        return self.terms[0]

    def whole(self) -> Tensor:
        """The sum, for all images."""
        value = self.value if self.shift is None else self.value + channels(self.shift, self.value)
        return value if self.images == 1 else value.expand(self.images, -1, -1, -1)

    def through(self, operation: nn.Module, how: How | None = None, *vectors: Tensor | None) -> Feature:
        """What `how(operation, self, *vectors)` makes of this, or the operation alone; it obeys nothing else.

        Whoever sends many architectures through a network overrides this, and makes what they have in common once.
        """
        return Feature(operation(self.whole())) if how is None else how(operation, self, *vectors)

    def __add__(self, other: Feature) -> Feature:
        images = self.images if self.images == other.images else 1
        scales = self.scales + other.scales
        return Feature(*self.terms, *other.terms, shift=added(self.shift, other.shift), images=images, scales=scales)

    def times(self, weight: float | Tensor) -> Feature:
        """A weight of exactly 1.0 costs nothing."""
        if isinstance(weight, float) and weight == 1.0:
            return self
        shift = None if self.shift is None else self.shift * weight
        return Feature(self.value * weight, shift=shift, images=self.images)

    def scaled(self, scale: Tensor) -> Feature:
        """Each channel times its entry of a vector [C]."""
        shift = None if self.shift is None else self.shift * scale
        return Feature(self.value * channels(scale, self.value), shift=shift, images=self.images)

    def zeros(self) -> Feature:
        """Zeros for a whole batch, as one image where an image has several pixels (BatchNorm needs more than one)."""
        value = self.value
        if self.images > 1 or value.shape[2] * value.shape[3] == 1:
            return Feature(torch.zeros_like(value), images=self.images)
        return Feature(torch.zeros_like(value[:1]), images=len(value))

    def prepared(self, how: Callable[[Tensor], Tensor]) -> Tensor:
        """A step without weights on the value."""
        if how not in self._prepared:
            self._prepared[how] = how(self.value)
        return self._prepared[how]

    def rectify(self, shifts: Iterable[Tensor | None]) -> None:
        """Make what several operations begin with at once: relu(sum + shift) for these vectors, relu for None."""
        todo = [*dict.fromkeys(shifts)]
        if not self._waits and all(added(self.shift, shift) is None for shift in todo):
            return
        vectors = [added(self.shift, shift) for shift in todo]
        if torch.is_grad_enabled():
            same = len({term.shape for term in self.terms}) == 1
            made = shifted_relus(self.terms if same else (self.value,), vectors)
        else:
            made = [combined(self.terms, self.scales, vector, rectify=True) for vector in vectors]
        self._rectified.update((id(shift), (shift, y)) for shift, y in zip(todo, made, strict=True))

    @property
    def _is_sum(self) -> bool:
        return len(self.terms) > 1 or self.scales[0] is not None

    @property
    def _waits(self) -> bool:
        """Whether the sum is not made yet, and its ReLU can be made without it."""
        return self._is_sum and not torch.is_grad_enabled()

    def is_rectified(self, shift: Tensor | None) -> bool:
        """Whether relu(sum + shift) is more than a ReLU, or there already."""
        return self._waits or id(shift) in self._rectified or added(self.shift, shift) is not None

    def rectified(self, shift: Tensor | None) -> Tensor:
        """relu(sum + shift) where `is_rectified`."""
        if id(shift) not in self._rectified:
            self.rectify([shift])
        return self._rectified[id(shift)][1]


How = Callable[..., Feature]
"""`(operation, feature, *vectors) -> Feature`: a way to apply an operation, with vectors over channels or None."""


def added(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def repeated(operation: nn.Module, x: Tensor, images: int) -> Feature:
    """The operation on x, which stands for so many equal images: BatchNorm must not know that it saw only one.

    Its mean and variance are the same, but not the correction of the running variance for the size of the sample.
    """
    norms = [m for m in operation.modules() if isinstance(m, nn.BatchNorm2d) and m.training] if images > 1 else []
    before = [None if norm.running_var is None else norm.running_var.clone() for norm in norms]
    y = operation(x)
    for norm, old in zip(norms, before, strict=True):
        if old is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
            pixels = y.numel() // y.shape[1] * world()
            rate = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            kept = old * (1 - rate)
            factor = (pixels - 1) * images / (pixels * images - 1)
            norm.running_var = kept + (norm.running_var - kept) * factor  # a new one: autograd watches the old
    return Feature(y, images=images)


def normalised_later(operation: ReluConvNorm, x: Tensor, images: int) -> Feature:
    """The operation on relu(x), BatchNorm left to whoever takes the sum where it uses the batch's own statistics."""
    norm = operation.norm
    if images == 1 and norm.training and not torch.is_grad_enabled():
        y = operation.conv(x)
        collected = norm.collect(y)
        return Feature(norm(y)) if collected is None else Feature(y, scales=collected[:1], shift=collected[1])
    return repeated(operation, x, images)

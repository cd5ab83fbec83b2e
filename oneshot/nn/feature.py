"""What flows between choice blocks: a sum of images that is made when somebody needs it, and then only once."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from oneshot.base.distributed import world
from oneshot.nn.cpu import RELU, Clamp, Term, channels
from oneshot.nn.norm import BatchNorm, batch_norms, is_watched
from oneshot.nn.operations import ConvNorm, ReluConvNorm
from oneshot.nn.sums import Wanted, make


class Feature:
    """The sum of some tensors [B, C, H, W], and what operations prepared from it (ReLU, pooling), each computed once.

    BatchNorm of a term may still have to be done. `shift` [C] is to be added too, but not worth a pass over the images
    yet. Where one image stands for many equal ones, `images` says for how many.
    """

    def __init__(self, *terms: Tensor | Term, shift: Tensor | None = None, images: int = 1) -> None:
        self.terms: tuple[Term, ...] = tuple(term if isinstance(term, Term) else Term(term) for term in terms)
        self.shift, self.images = shift, images
        self._prepared: dict[Callable[[Tensor], Tensor], Tensor] = {}
        self._made: dict[Wanted, list[Tensor]] = {}

    @property
    def value(self) -> Tensor:
        """The sum without the shift."""
        if self.is_sum and Wanted() not in self._made:
            self.terms = (Term(make(self.terms, [Wanted()])[0]),)
        return self._take(Wanted()) if self.is_sum else self.terms[0].tensor

    def whole(self) -> Tensor:
        """The sum, for all images."""
        value = self.value if self.shift is None else self._take(Wanted(self.shift))
        return value if self.images == 1 else value.expand(self.images, -1, -1, -1)

    def whole_and_rectified(self) -> tuple[Tensor, Tensor]:
        """The sum, for all images, and its ReLU."""
        if self.images > 1:
            value = self.whole()
            return value, F.relu(value)
        if self.shift is None:
            return self.value, self.rectified()
        value, relu = make(self.terms, [Wanted(self.shift), Wanted(self.shift, RELU)])
        return value, relu

    def through(
        self, operation: nn.Module, how: How | None = None, *vectors: Tensor | None, key: Hashable = None
    ) -> Feature:
        """What `how(operation, self, *vectors)` makes of this, or the operation alone; it obeys nothing but `key`."""

        def make() -> Feature:
            return Feature(operation(self.whole())) if how is None else how(operation, self, *vectors)

        return self.successor((operation, key, *vectors), make, operation)

    def __add__(self, other: Feature) -> Feature:
        return self.successor(("+", other), lambda: self._plus(other))

    def times(self, weight: float | Tensor) -> Feature:
        """A weight of exactly 1.0 costs nothing."""
        if isinstance(weight, float) and weight == 1.0:
            return self
        return self.successor(("*", weight), lambda: self._times(weight))

    def zeros(self) -> Feature:
        """Zeros for a whole batch, as one image where an image has several pixels (BatchNorm needs more than one)."""
        return self.successor(("0",), self._zeros)

    def successor(self, key: Key, make: Callable[[], Feature], operation: nn.Module | None = None) -> Feature:
        """What `make` makes of this; with equal keys it makes the same, but for the statistics of the operation.

        Whoever sends many architectures through a network overrides this, and makes what they have in common once.
        """
        return make()

    def _plus(self, other: Feature) -> Feature:
        images = self.images if self.images == other.images else 1
        return Feature(*self.terms, *other.terms, shift=added(self.shift, other.shift), images=images)

    def _times(self, weight: float | Tensor) -> Feature:
        shift = None if self.shift is None else self.shift * weight
        return Feature(self.value * weight, shift=shift, images=self.images)

    def _zeros(self) -> Feature:
        value = self.value
        if torch.compiler.is_compiling():  # how many images there are is not known
            return Feature(torch.zeros_like(value))
        if self.images > 1 or value.shape[2] * value.shape[3] == 1:
            return Feature(torch.zeros_like(value), images=self.images)
        return Feature(torch.zeros_like(value[:1]), images=len(value))

    def scaled(self, scale: Tensor) -> Feature:
        """Each channel times its entry of a vector [C]."""
        shift = None if self.shift is None else self.shift * scale
        return Feature(self.value * channels(scale, self.value), shift=shift, images=self.images)

    def prepared(self, how: Callable[[Tensor], Tensor]) -> Tensor:
        """A step without weights on the value."""
        if how not in self._prepared:
            self._prepared[how] = how(self.value)
        return self._prepared[how]

    def rectified(self, shift: Tensor | None = None, clamp: Clamp = RELU) -> Tensor:
        """relu(sum + shift), for an operation that begins with it, or another clamp of it."""
        return self._take(Wanted(added(self.shift, shift), clamp))

    def foresee(self, values: int, shifts: Sequence[Tensor | None]) -> None:
        """Make at once what is going to be taken: the value so often, and relu(sum + shift) for these."""
        wanted = [Wanted()] * (values if self.is_sum else 0) + [Wanted(added(self.shift, b), RELU) for b in shifts]
        if wanted:
            for key, y in zip(wanted, make(self.terms, wanted), strict=True):
                self._made.setdefault(key, []).append(y)

    def make_both(self) -> None:
        """Make the value and its ReLU in one pass, and let go of the terms: for passes without gradients."""
        if self.is_sum:
            value, relu = make(self.terms, [Wanted(), Wanted(self.shift, RELU)])
            self.terms = (Term(value),)
            self._made[Wanted(self.shift, RELU)] = [relu]

    def tensors(self) -> Iterator[Tensor]:
        """Everything of images that this holds."""
        yield from (term.tensor for term in self.terms)
        yield from self._prepared.values()
        yield from (y for made in self._made.values() for y in made)

    @property
    def is_sum(self) -> bool:
        """Whether there is still something to add or to normalise."""
        return len(self.terms) > 1 or any(term.scale is not None for term in self.terms)

    def _take(self, wanted: Wanted) -> Tensor:
        """What was foreseen, each time another one where gradients are taken, else what is made now."""
        found = self._made.get(wanted)
        if found is None:
            found = self._made[wanted] = make(self.terms, [wanted])
        if len(found) > 1:
            return found.pop()
        return found[0]


How = Callable[..., Feature]
"""`(operation, feature, *vectors) -> Feature`: a way to apply an operation, with vectors over channels or None."""
Key = tuple[Hashable, ...]
"""Says what is done to a feature, given what it is: modules, words, vectors, other features."""


def added(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    return b if a is None else a if b is None else a + b


def repeated(operation: nn.Module, x: Tensor, images: int) -> Feature:
    """The operation on x, which stands for so many equal images: BatchNorm must not know that it saw only one.

    Its mean and variance are the same, but not the correction of the running variance for the size of the sample.
    """
    norms = [norm for norm in batch_norms(operation) if norm.training] if images > 1 else []
    before = [None if norm.running_var is None else norm.running_var.clone() for norm in norms]
    y = operation(x)
    for norm, old in zip(norms, before, strict=True):
        if old is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
            pixels = y.numel() // y.shape[1] * world()
            rate = 1 / float(norm.num_batches_tracked) if norm.momentum is None else norm.momentum
            kept = old * (1 - rate)
            factor = (pixels - 1) * images / (pixels * images - 1)
            norm.running_var.data.sub_(kept).mul_(factor).add_(kept)  # data, because autograd watches its versions
    return Feature(y, images=images)


def normalised_later(operation: ReluConvNorm | ConvNorm, x: Tensor, images: int = 1) -> Feature:
    """The convolution of x, its BatchNorm left to whoever takes the sum where it uses the batch's own statistics."""
    norm = operation.norm
    if images == 1 and isinstance(norm, BatchNorm) and norm.training and not is_watched(operation):
        return Feature(norm.later(operation.conv(x)))
    return repeated(operation, x, images)

"""The choice block: the options of one site, of which a gate picks the ones that run, and a context their weights."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Iterator, Sequence

from torch import Tensor, nn

from oneshot.gates import Gate
from oneshot.nn.chance import Path
from oneshot.nn.contexts.base import ALONE, Context, ContextWeights, Given
from oneshot.nn.cpu import channels
from oneshot.nn.feature import Feature, added, normalised_later, repeated
from oneshot.nn.norm import is_watched
from oneshot.nn.operations import Operations, Pool, Prepared, ReluConvNorm, Skip, Zero

__all__ = ["ChoiceBlock", "Feature", "split", "split_if_due"]


class ChoiceBlock(Path):
    """The candidate operations of one site; `contexts` is the number of copies that a split makes of them."""

    def __init__(
        self,
        options: Sequence[str],
        operations: Operations,
        channels_in: int,
        channels_out: int,
        stride: int = 1,
        contexts: int = 1,
    ) -> None:
        super().__init__()
        unknown = [option for option in options if option not in operations]
        if unknown:
            raise ValueError(f"no operation named {', '.join(unknown)}; there are {', '.join(operations)}")
        self.options = nn.ModuleList(operations[option](channels_in, channels_out, stride) for option in options)
        self.count, self.contexts = len(options), contexts

    @property
    def is_split(self) -> bool:
        return len(self.options) > self.count

    def split(self) -> dict[nn.Parameter, nn.Parameter]:
        """Give every context a copy of the options; returns the parameter that each new one is a copy of.

        The option i of context c is then `options[c * count + i]`.
        """
        if self.is_split:
            raise ValueError(f"the weights are split already, into {self.contexts} contexts")
        origin: dict[nn.Parameter, nn.Parameter] = {}
        first = list(self.options)
        for _ in range(1, self.contexts):
            for option in first:
                copied = copy.deepcopy(option)
                origin.update(zip(copied.parameters(), option.parameters(), strict=True))
                self.options.append(copied)
        return origin

    def runs(self, gate: Gate) -> bool:
        """Whether the gate asks for anything but zeros."""
        return any(not isinstance(self.options[option], Zero) for option, _ in gate)

    def takes(self, gate: Gate, given: Given = ALONE) -> tuple[list[Hashable], list[Tensor | None]]:
        """What `Feature.foresee` is told for this block.

        A key for each value that it takes, equal where a step of preparation is shared with other blocks, and the
        vectors that operations add before a ReLU.
        """
        values, shifts = list[Hashable](), list[Tensor | None]()
        for number, (option, _) in enumerate(gate):
            operation = self.options[option]
            if isinstance(operation, ReluConvNorm) and not given.scale:
                shifts.append(given.shift[number] if given.shift else None)
            elif not isinstance(operation, Zero):
                shared = isinstance(operation, Prepared) and not given.scale
                values.append(operation.prepare if shared else (self, number))
        return values, shifts

    def forward(self, x: Feature, gate: Gate, given: Given = ALONE) -> Tensor:
        """The weighted sum over the gate's options; a weight of exactly 1.0 costs nothing."""
        return self.lazy(x, gate, given).whole()

    def lazy(self, x: Feature, gate: Gate, given: Given = ALONE) -> Feature:
        """`forward` whose sum is not yet made: whoever adds or rectifies the result does so in one go."""
        total: Feature | None = None
        for number, (option, weight) in enumerate(gate):
            if isinstance(self.options[option], Zero):
                continue
            scale = given.scale[number] if given.scale else None
            shift = given.shift[number] if given.shift else None
            for context, share in self._copies(given.context):
                operation = self.options[context * self.count + option]
                y = x.through(operation, _applied, shift, scale).times(share).times(weight)
                total = y if total is None else total + y
        if total is None:
            raise AssertionError("a block whose gate holds only zeros must be left out, see `runs`")
        if self.drop_path is None or all(isinstance(self.options[option], Skip) for option, _ in gate):
            return total  # identities are never dropped, as in DARTS's code
        return Feature(self.dropped(total.whole()))

    def _copies(self, context: Context) -> Iterator[tuple[int, float | Tensor]]:
        if not self.is_split:
            yield 0, 1.0
        elif isinstance(context, int):
            yield context, 1.0
        else:
            yield from enumerate(context.unbind())


def split(net: nn.Module) -> dict[nn.Parameter, nn.Parameter]:
    """Split every choice block of a network that was built for it; returns each new parameter's origin.

    ValueError for a second split, and for a network that has no contexts to split into.
    """
    blocks = [module for module in net.modules() if isinstance(module, ChoiceBlock) and module.contexts > 1]
    if not blocks:
        raise ValueError("this network has no weights to split: it was built without the context split")
    return {new: old for block in blocks for new, old in block.split().items()}


def split_if_due(net: nn.Module, epoch: int) -> dict[nn.Parameter, nn.Parameter]:
    """Split a network's weights if it has trained so many epochs; returns each new parameter's origin, if any."""
    due = [m.split_epoch for m in net.modules() if isinstance(m, ContextWeights) and m.splits]
    is_split = any(isinstance(module, ChoiceBlock) and module.is_split for module in net.modules())
    return split(net) if due and not is_split and 0 < due[0] <= epoch else {}


def _applied(operation: nn.Module, x: Feature, shift: Tensor | None, scale: Tensor | None) -> Feature:
    """The operation on the feature, scaled, plus the shift, in as few passes over the images as it takes."""
    if scale is not None:
        x = x.scaled(scale)
    how = operation.prepare if isinstance(operation, Prepared) else None
    if isinstance(operation, ReluConvNorm):
        return normalised_later(operation, x.rectified(shift), x.images)
    shift = added(x.shift, shift)
    if shift is None:
        return repeated(operation, x.value if how is None else x.prepared(how), x.images)
    if isinstance(operation, Skip) and not is_watched(operation):
        return Feature(x.value, shift=shift, images=x.images)
    if isinstance(operation, Pool):  # a constant's average is that constant
        pooled = x.prepared(operation.prepare)
        if operation.project is None:
            return Feature(pooled, shift=shift, images=x.images)
        return repeated(operation, pooled + channels(shift, pooled), x.images)
    value = x.value + channels(shift, x.value)
    return repeated(operation, value if how is None else how(value), x.images)

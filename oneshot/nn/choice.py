"""The choice block: the options of one site, of which a gate picks the ones that run."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import Tensor, nn

from oneshot.gates import Gate
from oneshot.nn.operations import Operations, Prepared, Zero


class Feature:
    """A tensor, and what operations that share it prepared from it (ReLU, pooling), each computed once."""

    def __init__(self, value: Tensor) -> None:
        self.value = value
        self._prepared: dict[Callable[[Tensor], Tensor], Tensor] = {}

    def prepared(self, how: Callable[[Tensor], Tensor]) -> Tensor:
        if how not in self._prepared:
            self._prepared[how] = how(self.value)
        return self._prepared[how]


class ChoiceBlock(nn.Module):
    """The candidate operations of one site."""

    def __init__(
        self, options: Sequence[str], operations: Operations, channels_in: int, channels_out: int, stride: int = 1
    ) -> None:
        super().__init__()
        unknown = [option for option in options if option not in operations]
        if unknown:
            raise ValueError(f"no operation named {', '.join(unknown)}; there are {', '.join(operations)}")
        self.options = nn.ModuleList(operations[option](channels_in, channels_out, stride) for option in options)

    def runs(self, gate: Gate) -> bool:
        """Whether the gate asks for anything but zeros."""
        return any(not isinstance(self.options[option], Zero) for option, _ in gate)

    def forward(self, x: Feature, gate: Gate) -> Tensor:
        """The weighted sum over the gate's options; a weight of exactly 1.0 costs nothing."""
        total: Tensor | None = None
        for option, weight in gate:
            operation = self.options[option]
            if isinstance(operation, Zero):
                continue
            y = operation(x.prepared(operation.prepare) if isinstance(operation, Prepared) else x.value)
            if not (isinstance(weight, float) and weight == 1.0):
                y = y * weight
            total = y if total is None else total + y
        if total is None:
            raise AssertionError("a block whose gate holds only zeros must be left out, see `runs`")
        return total

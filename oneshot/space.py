"""Search spaces as data: decisions, architectures, and what an architecture is called. Imports no torch."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cached_property, wraps
from inspect import signature
from itertools import product
from math import prod
from numbers import Integral
from typing import TYPE_CHECKING, Any, ClassVar, Self

from oneshot.base.foreign import LONGEST, shortened
from oneshot.cost import SIZES, Cost
from oneshot.registry import SKELETONS, resolved

if TYPE_CHECKING:
    import numpy as np

Arch = tuple[int, ...]
"""One option index a decision."""
Graph = Sequence[tuple[str, str, str]]
"""(source node, target node, operation) of each connection; an operation without a name passes on what it gets."""


@dataclass(frozen=True)
class Decision:
    """A named choice among options."""

    name: str
    options: tuple[str, ...]

    def __post_init__(self) -> None:
        if not self.options or len(set(self.options)) != len(self.options):
            raise ValueError(f"decision {self.name!r} needs distinct options, got {self.options}")


def _blamed(parse: Callable[[Any, str], Arch]) -> Callable[[Any, str], Arch]:
    """A space's way to read strings, whose mistakes are said to be its own."""

    @wraps(parse)
    def guarded(self: Space, text: str) -> Arch:
        try:
            return parse(self, text)
        except ValueError as error:
            if len(str(error)) <= LONGEST:
                raise
            raise ValueError(shortened(str(error))) from None  # what came may be as long as a file
        except Exception as error:
            words = f"the search space {self.name} fails to read {text!r}: {type(error).__name__}: {error}"
            raise ValueError(shortened(words)) from error

    return guarded


@dataclass(frozen=True)
class Space(ABC):
    """A finite set of architectures; frozen, hashable, and cheap to create."""

    name: str
    decisions: tuple[Decision, ...]

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if "parse" in cls.__dict__:
            setattr(cls, "parse", _blamed(cls.__dict__["parse"]))  # noqa: B010

    zero: ClassVar[str | None] = None
    """The option that is nothing, which may be mixed but is never derived."""
    baseline: ClassVar[str] = "parameters"
    """The fact that ranks best of those that cost nothing, with which predictions are averaged."""
    encoding: ClassVar[str] = "oneshot.samplers.encoding:Independent"
    """How samplers that learn write its architectures, a reference."""
    variation: ClassVar[str] = "oneshot.search.variation:ByDecision"
    """How evolution varies its architectures, a reference."""
    counting: ClassVar[str] = "oneshot.nn.counting:counted_alone"
    """How its architectures' costs are counted where there is no formula, a reference."""

    @cached_property
    def sites(self) -> tuple[int, ...]:
        """The decision that each site of the network obeys; skeletons repeat the sites of a shared cell."""
        return tuple(range(len(self.decisions)))

    @cached_property
    def site_options(self) -> tuple[tuple[str, ...], ...]:
        """The options at each site of the network."""
        return tuple(self.decisions[decision].options for decision in self.sites)

    @cached_property
    def wiring(self) -> tuple[tuple[tuple[int, int, int], ...], ...]:
        """What runs where, for each site: (decision, choice, option) for every option that a choice makes run."""
        return tuple(tuple((d, i, i) for i in range(len(self.decisions[d].options))) for d in self.sites)

    @cached_property
    def size(self) -> int:
        """How many option combinations there are, before `allows`."""
        return prod(len(decision.options) for decision in self.decisions)

    @property
    def is_product(self) -> bool:
        """Whether every combination of options is allowed."""
        return type(self).allows is Space.allows

    @property
    def derives(self) -> bool:
        """Whether `strongest` finds an architecture that is allowed, whatever the numbers."""
        return self.is_product or type(self).strongest is not Space.strongest

    @property
    def is_enumerable(self) -> bool:
        """Whether all of it fits in memory as a list."""
        return self.size <= 1_000_000

    def __iter__(self) -> Iterator[Arch]:
        """Every allowed architecture, in lexicographic order of the option indices."""
        every = product(*(range(len(decision.options)) for decision in self.decisions))
        return iter(every) if self.is_product else (arch for arch in every if self.allows(arch))

    def propose(self, rng: np.random.Generator) -> Arch:
        """A draw of which all that the space allows is equally likely; what it does not allow is drawn again."""
        return tuple(rng.integers(self._counts).tolist())

    @cached_property
    def _counts(self) -> tuple[int, ...]:
        return tuple(len(decision.options) for decision in self.decisions)

    def allows(self, arch: Arch) -> bool:
        """Whether this is an architecture of the space: one valid option index a decision."""
        return len(arch) == len(self.decisions) and all(
            isinstance(i, (int, Integral)) and 0 <= i < len(decision.options)
            for i, decision in zip(arch, self.decisions, strict=True)
        )

    def check(self, arch: Sequence[int]) -> Arch:
        """The architecture as a tuple of ints; ValueError where the space does not allow it."""
        candidate = tuple(arch)
        if not self.allows(candidate):
            shape, came = [len(decision.options) for decision in self.decisions], shortened(str(candidate), 300)
            raise ValueError(
                f"{came} is no architecture of {self.name}: expected {len(shape)} option indices below {shape}"
            )
        return tuple(int(i) for i in candidate)

    def gates(self, arch: Arch) -> tuple[tuple[tuple[int, float], ...], ...]:
        """What runs at each site of the network, and with what weight, for one architecture: its options, with 1.0."""
        return tuple(tuple((option, 1.0) for d, choice, option in site if arch[d] == choice) for site in self.wiring)

    def only(self, arch: Arch) -> Self:
        """The space that contains this architecture alone, each decision left with one option."""
        arch = self.check(arch)
        decisions = tuple(Decision(d.name, (d.options[i],)) for d, i in zip(self.decisions, arch, strict=True))
        return type(self)(name=f"{self.name}:{self.format(arch)}", decisions=decisions)

    def operations(self, arch: Arch) -> tuple[str, ...]:
        """The option of each decision."""
        return tuple(d.options[i] for d, i in zip(self.decisions, self.check(arch), strict=True))

    def choosing(self, operations: Sequence[str], text: str) -> Arch:
        """The architecture with these options, one a decision, that a string names; ValueError for a foreign one."""
        for operation, decision in zip(operations, self.decisions, strict=True):
            if operation not in decision.options:
                raise ValueError(
                    f"operation {operation!r} of {text!r} is not in {self.name}; "
                    f"{decision.name} takes one of {', '.join(decision.options)}"
                )
        return tuple(d.options.index(o) for d, o in zip(self.decisions, operations, strict=True))

    def bucket(self, arch: Arch) -> int | None:
        """The balance class that a balanced sampler draws first; None for an architecture not worth training."""
        self.check(arch)
        return 0

    @abstractmethod
    def parse(self, text: str) -> Arch:
        """The architecture that a string of this space names; ValueError says what was expected and what came."""

    @abstractmethod
    def format(self, arch: Arch) -> str:
        """The string of an architecture; `parse` reads it back."""

    @abstractmethod
    def canonical(self, arch: Arch) -> Arch:
        """One fixed representative of all architectures that compute the same function."""

    def strongest(self, weights: Sequence[Sequence[float]]) -> Arch:
        """The architecture that a number for each option of every decision stands for, by the rule of the space.

        That is the option with the largest number of each decision, of equal ones the first, zeros left out.
        """
        found = []
        for decision, vector in zip(self.decisions, weights, strict=True):
            allowed = [i for i, option in enumerate(decision.options) if option != self.zero]
            found.append(max(allowed or range(len(vector)), key=vector.__getitem__))
        return tuple(found)

    def graphs(self, options: Sequence[Sequence[str]]) -> dict[str, Graph]:
        """The graph of each cell by its title, given the options at each site; none where sites are no edges."""
        return {}

    def facts(self, arch: Arch) -> dict[str, float]:
        """Training-free numbers of an architecture that serve as trivial predictors of its accuracy.

        By default its cost; nothing where the space is registered with no network. Spaces of cells also say what lies
        on a path from input to output: the names of `live_facts`.
        """
        if type(self).cost is Space.cost and self.name not in SKELETONS:
            self.check(arch)
            return {}
        cost = self.cost(arch)
        return {"parameters": float(cost.params), "multiply_adds": cost.mflops}

    def cost(self, arch: Arch, **size: Any) -> Cost:
        """Parameters and multiply-adds of the stand-alone network; a size that is not given is the published one's.

        Sizes are those of `oneshot.cost.SIZES`; one that the space's networks do not have plays no part, and a space
        may know more settings of its network. By default they are counted on the network that the space is registered
        with. ValueError where it is not.
        """
        return resolved(self.counting)(self, self.check(arch), **size)

    def sizes(self, settings: Any) -> dict[str, Any]:
        """Of the settings of its network (a dataclass) those that `cost` takes: all where it counts on the network."""
        given = {f.name: getattr(settings, f.name) for f in fields(settings)}
        if type(self).cost is Space.cost:
            return given
        own = [p.name for p in signature(type(self).cost).parameters.values() if p.kind is p.KEYWORD_ONLY]
        return {name: given[name] for name in (*SIZES, *own) if name in given}

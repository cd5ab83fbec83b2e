"""Any number of options at a site: a space whose decisions are "this option at this site: off or on".

What EnTranNAS-DST (arXiv 2101.11342, equations 7 to 10) and HM-NAS search in.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import prod
from typing import TYPE_CHECKING, Self

from oneshot.space import Arch, Decision, Graph, Space

if TYPE_CHECKING:
    import numpy as np

OFF, ON = SWITCH = ("off", "on")
NOTHING = "none"


@dataclass(frozen=True)
class Subsets(Space):
    """The options of another space, any number of them at each of its sites.

    Strings are `a+b|none|c`: for each site the options that are on. A decision that is left with one choice keeps it.
    """

    sites_of: tuple[tuple[str, ...], ...] = ()
    """The options at each site, without the one that is nothing."""
    into: tuple[int, ...] = ()
    """The node that each site leads into, of which every one takes something; empty where a site may hold nothing."""
    whole: Space | None = None
    """The space whose options these are."""

    def __post_init__(self) -> None:
        if len(self.decisions) != sum(map(len, self.sites_of)) or any(
            not set(decision.options) <= set(SWITCH) for decision in self.decisions
        ):
            raise ValueError(
                f"{self.name} needs a decision off or on for each of {sum(map(len, self.sites_of))} options"
            )
        if len(self.into) not in (0, len(self.sites_of)) or list(self.into) != sorted(self.into):
            raise ValueError(
                f"{self.name} needs a node for each of {len(self.sites_of)} sites, sorted, got {self.into}"
            )
        if not all(any(ON in self.decisions[d].options for d in node) for node in self.switches):
            raise ValueError(f"{self.name} needs an option that may be on into every node")

    @classmethod
    def of(cls, space: Space, name: str, into: tuple[int, ...] = ()) -> Self:
        """All subsets of the options at each site of a space, or those with something at some site `into` each node."""
        options = tuple(tuple(o for o in site if o != space.zero) for site in space.site_options)
        names = [space.decisions[decision].name for decision in space.sites]
        decisions = [Decision(f"{n} {o}", SWITCH) for n, site in zip(names, options, strict=True) for o in site]
        return cls(name, tuple(decisions), options, into, space)

    @cached_property
    def sites(self) -> tuple[int, ...]:
        """A site obeys several decisions; `wiring` says which. Here is the first of each."""
        return tuple(self._first)

    @cached_property
    def _first(self) -> list[int]:
        return [sum(map(len, self.sites_of[:site])) for site in range(len(self.sites_of))]

    @cached_property
    def site_options(self) -> tuple[tuple[str, ...], ...]:
        """Those that may be on."""
        return tuple(tuple(self.sites_of[site][k] for _, _, k in wires) for site, wires in enumerate(self._possible))

    @cached_property
    def _possible(self) -> list[list[tuple[int, int, int]]]:
        """(decision, choice, option of the whole site) of what may be on."""
        found = []
        for site, first in zip(self.sites_of, self._first, strict=True):
            switches = [(first + k, self.decisions[first + k].options, k) for k in range(len(site))]
            found.append([(d, options.index(ON), k) for d, options, k in switches if ON in options])
        return found

    @cached_property
    def wiring(self) -> tuple[tuple[tuple[int, int, int], ...], ...]:
        return tuple(tuple((d, choice, i) for i, (d, choice, _) in enumerate(site)) for site in self._possible)

    @cached_property
    def nodes(self) -> tuple[tuple[int, ...], ...]:
        """The sites that lead into each node that takes something."""
        return tuple(tuple(s for s, n in enumerate(self.into) if n == node) for node in dict.fromkeys(self.into))

    @cached_property
    def switches(self) -> tuple[tuple[int, ...], ...]:
        """The decisions of each node."""
        ends = [*self._first, len(self.decisions)]
        return tuple(tuple(d for s in sites for d in range(ends[s], ends[s + 1])) for sites in self.nodes)

    @property
    def is_product(self) -> bool:
        return not self.into

    def allows(self, arch: Arch) -> bool:
        return super().allows(arch) and all(
            any(self.decisions[d].options[arch[d]] == ON for d in node) for node in self.switches
        )

    @cached_property
    def size(self) -> int:
        """How many architectures there are."""
        if not self.into:
            return super().size
        return prod(
            prod(len(self.decisions[d].options) for d in node) - all(OFF in self.decisions[d].options for d in node)
            for node in self.switches
        )

    def __iter__(self) -> Iterator[Arch]:
        return self._continued((), 0) if self.into else super().__iter__()

    def propose(self, rng: np.random.Generator) -> Arch:
        if not self.into:
            return super().propose(rng)
        return tuple(i for node in self.switches for i in self._something(node, rng))

    def _something(self, node: tuple[int, ...], rng: np.random.Generator) -> Arch:
        """A draw of a node's decisions, again until something is on."""
        options = [self.decisions[d].options for d in node]
        while True:
            drawn = rng.integers([len(each) for each in options]).tolist()
            if any(each[i] == ON for each, i in zip(options, drawn, strict=True)):
                return tuple(drawn)

    def _continued(self, begun: Arch, node: int) -> Iterator[Arch]:
        """What begins so, by nodes, of which each takes something."""
        if node == len(self.switches):
            yield begun
            return
        for own in product(*(range(len(self.decisions[d].options)) for d in self.switches[node])):
            if any(self.decisions[d].options[i] == ON for d, i in zip(self.switches[node], own, strict=True)):
                yield from self._continued((*begun, *own), node + 1)

    def only(self, arch: Arch) -> Self:
        arch = self.check(arch)
        decisions = tuple(Decision(d.name, (d.options[i],)) for d, i in zip(self.decisions, arch, strict=True))
        return type(self)(f"{self.name}:{self.format(arch)}", decisions, self.sites_of, self.into, self.whole)

    def options_on(self, arch: Arch) -> tuple[tuple[str, ...], ...]:
        """The options that are on at each site."""
        switches = iter(self.operations(arch))
        return tuple(tuple(option for option in site if next(switches) == ON) for site in self.sites_of)

    def of_options(self, on: Sequence[Collection[str]], text: str) -> Arch:
        """The architecture with these options at each site, that a string names; ValueError where there is none."""
        for number, (options, site) in enumerate(zip(on, self.sites_of, strict=True)):
            for option in options:
                if option not in site:
                    raise ValueError(
                        f"operation {option!r} of {text!r} is not in {self.name}; {self._site_name(number)} takes one "
                        f"of {', '.join(site)}, or several"
                    )
        arch = self.choosing(
            [ON if o in options else OFF for options, site in zip(on, self.sites_of, strict=True) for o in site], text
        )
        if not self.allows(arch):
            empty = next(sites for sites in self.nodes if not any(on[site] for site in sites))
            raise ValueError(
                f"{text!r} is no architecture of {self.name}: expected an option on one at least of "
                f"{', '.join(map(self._site_name, empty))}"
            )
        return arch

    def parse(self, text: str) -> Arch:
        parts = text.strip().split("|")
        if len(parts) != len(self.sites_of):
            raise ValueError(
                f"{text!r} is no architecture of {self.name}: expected {len(self.sites_of)} sets of options 'a+b' or "
                f"{NOTHING!r}, joined by '|', got {len(parts)}"
            )
        arch = self.of_options([() if part == NOTHING else part.split("+") for part in parts], text)
        if self.format(arch) != text.strip():
            raise ValueError(
                f"{text!r} is no architecture of {self.name}: expected options in the order of "
                f"{', '.join('+'.join(site) for site in dict.fromkeys(self.sites_of))}, or {NOTHING!r}"
            )
        return arch

    def format(self, arch: Arch) -> str:
        return "|".join("+".join(options) or NOTHING for options in self.options_on(arch))

    def canonical(self, arch: Arch) -> Arch:
        """The architecture itself."""
        return self.check(arch)

    def strongest(self, weights: Sequence[Sequence[float]]) -> Arch:
        """What is likelier on than off, and into a node where nothing is what is likeliest."""
        arch = list(super().strongest(weights))
        for node in self.switches:
            options = {d: self.decisions[d].options for d in node}
            if not any(options[d][arch[d]] == ON for d in node):
                able = [d for d in node if ON in options[d]]
                best = max(able, key=lambda d: weights[d][options[d].index(ON)])
                arch[best] = options[best].index(ON)
        return tuple(arch)

    def graphs(self, options: Sequence[Sequence[str]]) -> dict[str, Graph]:
        return {} if self.whole is None else self.whole.graphs(options)

    def one_each(self, strengths: Sequence[Sequence[float]]) -> Arch:
        """The architecture of the whole space with the strongest option at each site, by its own rule where it has one.

        `strengths` holds for each site a number for each of `sites_of`; what is not above zero is off.
        """
        assert self.whole is not None
        vectors = []
        for decision, options, numbers in zip(self.whole.decisions, self.sites_of, strengths, strict=True):
            strong = dict(zip(options, numbers, strict=True))
            vectors.append([max(strong.get(option, 0.0), 0.0) for option in decision.options])
        single = tuple(
            decision.options.index(self.whole.zero)
            if self.whole.zero and not any(vector)
            else vector.index(max(vector))
            for decision, vector in zip(self.whole.decisions, vectors, strict=True)
        )
        return single if self.whole.allows(single) else self.whole.strongest(vectors)

    def of_whole(self, arch: Arch) -> Arch:
        """An architecture of the whole space, each of its options on; ValueError where it leaves a node without any."""
        assert self.whole is not None
        operations = [() if o == self.whole.zero else (o,) for o in self.whole.operations(arch)]
        return self.of_options(operations, self.whole.format(arch))

    def _site_name(self, site: int) -> str:
        return self.decisions[self._first[site]].name.rpartition(" ")[0]

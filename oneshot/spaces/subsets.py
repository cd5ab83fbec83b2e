"""Any number of options at a site: a space whose decisions are "this option at this site: off or on"."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Self

from oneshot.space import Arch, Decision, Space

OFF, ON = SWITCH = ("off", "on")
NOTHING = "none"


@dataclass(frozen=True)
class Subsets(Space):
    """The options of another space, any number of them at each of its sites.

    Strings are `a+b|none|c`: for each site the options that are on. A decision that is left with one choice keeps it.
    """

    sites_of: tuple[tuple[str, ...], ...] = ()
    """The options at each site, without the one that is nothing."""

    def __post_init__(self) -> None:
        if len(self.decisions) != sum(map(len, self.sites_of)) or any(
            not set(decision.options) <= set(SWITCH) for decision in self.decisions
        ):
            raise ValueError(
                f"{self.name} needs a decision off or on for each of {sum(map(len, self.sites_of))} options"
            )

    @classmethod
    def of(cls, space: Space, name: str) -> Self:
        """All subsets of the options at each site of a space."""
        options = tuple(tuple(o for o in site if o != space.zero) for site in space.site_options)
        names = [space.decisions[decision].name for decision in space.sites]
        decisions = [Decision(f"{n} {o}", SWITCH) for n, site in zip(names, options, strict=True) for o in site]
        return cls(name, tuple(decisions), options)

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

    def only(self, arch: Arch) -> Self:
        arch = self.check(arch)
        decisions = tuple(Decision(d.name, (d.options[i],)) for d, i in zip(self.decisions, arch, strict=True))
        return type(self)(f"{self.name}:{self.format(arch)}", decisions, self.sites_of)

    def parse(self, text: str) -> Arch:
        parts = text.strip().split("|")
        if len(parts) != len(self.sites_of):
            raise ValueError(
                f"{text!r} is no architecture of {self.name}: expected {len(self.sites_of)} sets of options 'a+b' or "
                f"{NOTHING!r}, joined by '|', got {len(parts)}"
            )
        chosen = [set() if part == NOTHING else set(part.split("+")) for part in parts]
        switches = [ON if o in on else OFF for on, site in zip(chosen, self.sites_of, strict=True) for o in site]
        arch = self.choosing(switches, text)
        if self.format(arch) != text.strip():
            raise ValueError(
                f"{text!r} is no architecture of {self.name}: expected options in the order of "
                f"{', '.join('+'.join(site) for site in dict.fromkeys(self.sites_of))}, or {NOTHING!r}"
            )
        return arch

    def format(self, arch: Arch) -> str:
        switches = iter(self.operations(arch))
        sets = ["+".join(option for option in site if next(switches) == ON) for site in self.sites_of]
        return "|".join(one or NOTHING for one in sets)

    def canonical(self, arch: Arch) -> Arch:
        """The architecture itself."""
        return self.check(arch)

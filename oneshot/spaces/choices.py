"""Spaces that are read off a network: named choices, each with named options."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from oneshot.space import Arch, Decision, Space


@dataclass(frozen=True)
class Choices(Space):
    """Named decisions, each obeyed at one or more sites; strings are `kernel:3x3,depth:two`."""

    obeyed: tuple[int, ...] = field(default=())
    """The decision of each site; empty for one site a decision."""

    def __post_init__(self) -> None:
        words = [word for d in self.decisions for word in (d.name, *d.options)]
        odd = sorted({word for word in words if not re.fullmatch(r"[^\s,:|]+", word)})
        if odd or not self.decisions:
            raise ValueError(f"choices and options must be words without ',', ':' and '|', got {odd or 'no choice'}")
        if self.obeyed and set(self.obeyed) != set(range(len(self.decisions))):
            raise ValueError(f"sites must obey each of {len(self.decisions)} decisions, got {self.obeyed}")

    @cached_property
    def sites(self) -> tuple[int, ...]:
        return self.obeyed or tuple(range(len(self.decisions)))

    def only(self, arch: Arch) -> Self:
        arch = self.check(arch)
        decisions = tuple(Decision(d.name, (d.options[i],)) for d, i in zip(self.decisions, arch, strict=True))
        return type(self)(f"{self.name}:{self.format(arch)}", decisions, self.obeyed)

    def parse(self, text: str) -> Arch:
        pairs = [pair.partition(":") for pair in text.strip().split(",")]
        names, asked = [d.name for d in self.decisions], [name for name, _, _ in pairs]
        if asked != names:
            raise ValueError(
                f"{text!r} is no architecture of {self.name}: expected {','.join(f'{name}:OPTION' for name in names)}"
            )
        return self.choosing([option for _, _, option in pairs], text)

    def format(self, arch: Arch) -> str:
        return ",".join(f"{d.name}:{o}" for d, o in zip(self.decisions, self.operations(arch), strict=True))

    def canonical(self, arch: Arch) -> Arch:
        """The architecture itself: different options count as different functions."""
        return self.check(arch)

"""Sequential search spaces: a chain of layers, one choice each. One's own is `sequential(name, options, layers)`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from oneshot.space import Arch, Decision, Space

SEPARATOR = "-"


class Layer(NamedTuple):
    """What a layer makes of an image, whichever option it runs."""

    channels_in: int
    channels_out: int
    stride: int = 1


@dataclass(frozen=True)
class Sequential(Space):
    """A chain of layers; strings are the options in their order, such as `k3e3-k5e6-skip`."""

    def __post_init__(self) -> None:
        if not self.decisions:
            raise ValueError(f"the space {self.name} needs at least one decision, got none")
        odd = sorted({o for d in self.decisions for o in d.options if not re.fullmatch(rf"[^\s{SEPARATOR}]+", o)})
        if odd:
            raise ValueError(f"options must be words without {SEPARATOR!r}, which strings join them by, got {odd}")

    def parse(self, text: str) -> Arch:
        options = text.strip().split(SEPARATOR)
        if len(options) != len(self.decisions):
            raise ValueError(
                f"{text!r} is no architecture of {self.name}: expected {len(self.decisions)} options joined by "
                f"{SEPARATOR!r}, got {len(options)}"
            )
        return self.choosing(options, text)

    def format(self, arch: Arch) -> str:
        return SEPARATOR.join(self.operations(arch))

    def canonical(self, arch: Arch) -> Arch:
        """The architecture itself: different options in any layer count as different functions."""
        return self.check(arch)


def sequential(name: str, options: Sequence[str], layers: int) -> Sequential:
    """The space with the same options in every layer."""
    return Sequential(name, tuple(Decision(f"layer {i}", tuple(options)) for i in range(layers)))

"""An ordinary network is enough: `Choice` modules inside any `nn.Module` are a search space and its supernet."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, ClassVar

from torch import Tensor, nn

from oneshot.gates import Gate, Gates, of_cells
from oneshot.nn.blocks import block_output
from oneshot.nn.feature import Feature
from oneshot.registry import register_space
from oneshot.space import Decision, Space
from oneshot.spaces.choices import Choices


class Choice(nn.Module):
    """One of some modules, which take the same and give the same; choices of one name obey one decision."""

    def __init__(self, name: str, options: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.name, self.names = name, tuple(options)
        self.options = nn.ModuleList(options.values())
        self.gate: Gate = ()
        """What runs, told by the network before every pass."""

    def forward(self, *inputs: Any) -> Any:
        if not self.gate:
            raise ValueError(f"the choice {self.name!r} runs nothing: expected a gate with at least one option")
        total = None
        for option, weight in self.gate:
            y = self.options[option](*inputs)
            y = y if isinstance(weight, float) and weight == 1.0 else y * weight
            total = y if total is None else total + y
        return None if total is None else block_output(total)

    def keep(self, options: Sequence[str]) -> None:
        """Forget all others."""
        kept = [self.options[self.names.index(option)] for option in options]
        self.names, self.options = tuple(options), nn.ModuleList(kept)


class ChoiceNet(nn.Module):
    """A network with choices as a supernet, or of one architecture alone (`space.only(arch)`, all other options gone).

    Where it is an `nn.Sequential`, architectures that begin alike may share the results of its first modules.
    """

    def __init__(self, network: nn.Module, space: Space) -> None:
        super().__init__()
        self.network, self.space = network, space
        self._choices = choices_in(network)
        for choice, options in zip(self._choices, space.site_options, strict=True):
            choice.keep(options)

    def forward(self, x: Tensor, gates: Gates) -> Tensor:
        """Logits [B, classes] of images [B, 3, H, W], float, normalised."""
        self._tell(gates)
        return self.network(x)

    @property
    def features(self) -> Callable[[Feature, Gates], Feature] | None:
        """`forward` as steps of which architectures that begin alike may share the results; None for no chain."""
        return self._features if isinstance(self.network, nn.Sequential) else None

    def _features(self, x: Feature, gates: Gates) -> Feature:
        self._tell(gates)
        for module in self.network.children():
            x = x.through(module, key=tuple(choice.gate for choice in choices_in(module)))
        return x

    def _tell(self, gates: Gates) -> None:
        (own,) = of_cells(gates, len(self._choices), 1)
        for choice, gate in zip(self._choices, own, strict=True):
            choice.gate = gate


def choices_in(network: nn.Module) -> list[Choice]:
    """The choices of a network, in the order of its modules: the sites of its space."""
    return [module for module in network.modules() if isinstance(module, Choice)]


def space_of(network: nn.Module, name: str = "choices") -> Choices:
    """The search space that the choices of a network make.

    ValueError where it has none, or choices of one name have different options.
    """
    found, sites = dict[str, tuple[str, ...]](), list[int]()
    for choice in choices_in(network):
        if found.setdefault(choice.name, choice.names) != choice.names:
            raise ValueError(
                f"choices named {choice.name!r} are one decision: expected the options "
                f"{', '.join(found[choice.name])}, got {', '.join(choice.names)}"
            )
        sites.append(list(found).index(choice.name))
    if not found:
        raise ValueError(f"a search space needs a network with at least one Choice, got {type(network).__name__}")
    return Choices(name, tuple(Decision(*each) for each in found.items()), tuple(sites))


def register_network(name: str, make: Any, image_size: int = 32) -> Choices:
    """Register the space of a network, and the network, under a name.

    `make(classes)` makes it, freshly initialised; or it is a frozen dataclass of settings whose own `make(classes)`
    does. `image_size` is that at which costs are counted where nothing else is said.
    """
    is_settings = isinstance(make, type) and is_dataclass(make)
    maker: Any = make
    base: Any = maker if is_settings else object

    def network(settings: Any, classes: int) -> nn.Module:
        return maker.make(settings, classes) if is_settings else maker(classes)

    @dataclass(frozen=True)
    class Network(base):
        sizes: ClassVar[dict[str, int]] = {"image_size": image_size}

        def make(self, space: Space, classes: int, alone: bool = False) -> ChoiceNet:
            return ChoiceNet(network(self, classes), space)

    Network.__doc__ = make.__doc__
    space = space_of(network(Network(), 10), name)
    register_space(space, Network)
    return space

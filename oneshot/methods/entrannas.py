"""EnTranNAS (arXiv 2101.11342): engine cells mix all options, transit cells run what is derived from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from oneshot.base.bounds import check_least
from oneshot.gates import ENGINES, Gates, PerCell, engines, in_cells, mixture
from oneshot.methods.architecture import Differentiable, refuse
from oneshot.methods.base import Setup, Step
from oneshot.methods.phases import Phase
from oneshot.methods.temperature import check_annealed, check_lasts, temperature_in

if TYPE_CHECKING:
    from oneshot.training.recipe import Recipe


@dataclass(frozen=True)
class EnTranNasSettings:
    """Equation 5's mixture in engine cells; in transit cells what is derived from it, anew in every iteration.

    Feature sharing and the bottleneck (equation 6, section 2.5) are settings of the network: `sharing`, `bottleneck`.

    Args:
        engine_cells: of each kind of cell the first, half of them, the last, or all (Table 1)
        temperature: that of the first epoch
        temperature_ratio: by which it falls every epoch
        arch_learning_rate: Adam's, of the architecture parameters (ImageNet: 6e-3)
        arch_weight_decay: Adam's
    """

    engine_cells: str = "first"
    temperature: float = 5.0
    temperature_ratio: float = 0.923
    arch_learning_rate: float = 6e-4
    arch_weight_decay: float = 1e-3

    def __post_init__(self) -> None:
        check_least(self, arch_learning_rate=0, arch_weight_decay=0)
        check_annealed(self)
        if self.engine_cells not in ENGINES:
            raise ValueError(f"engine_cells must be one of {', '.join(ENGINES)}, got {self.engine_cells!r}")

    def make(self, setup: Setup) -> EnTranNas:
        why = f"searches for cells that a network repeats, and {setup.space.name} has none, or no rule to derive them"
        refuse("entrannas", setup, why, lambda space: space.derives, lambda net: hasattr(net, "cell_sites"))
        return EnTranNas(setup, self)


class EnTranNas(Differentiable):
    """See `EnTranNasSettings`; derives by the space's rule, top-2 in DARTS's, one option an edge in NAS-Bench-201."""

    temperature: Tensor

    def __init__(
        self, setup: Setup, settings: EnTranNasSettings | None = None, sizes: Sequence[int] | None = None
    ) -> None:
        self.settings = s = settings or EnTranNasSettings()
        super().__init__(setup.space, s.arch_learning_rate, s.arch_weight_decay, sizes=sizes)
        self.cell_sites: tuple[tuple[int, ...], ...] = setup.net.cell_sites  # pyright: ignore[reportAttributeAccessIssue]
        self.engines = engines(self.cell_sites, s.engine_cells)
        self.register_buffer("temperature", torch.tensor(s.temperature))

    def phases(self, recipe: Recipe) -> Sequence[Phase]:
        phases = super().phases(recipe)
        check_lasts(self.settings, phases)
        return phases

    def step(self, step: Step) -> None:
        self.temperature.fill_(temperature_in(self.settings, step.epoch))
        images, labels = step.held_out()
        step.learn(self.architecture, step.loss(step.net(images, self.gates()), labels), "valid_loss")
        self.regularise(step)
        step.update(self.architecture)
        with torch.no_grad():
            gates = self.gates()
        step.learn(step.weights, step.loss(step.net(step.images, gates), step.labels))

    def regularise(self, step: Step) -> None:
        """What else the architecture learns from."""

    def probabilities(self) -> list[Tensor]:
        """Equation 5."""
        return [(alpha / self.temperature).softmax(0) for alpha in self.alphas]

    def gates(self) -> PerCell:
        """Those of each cell: the mixture of engine cells, or what is derived from it."""
        mixed = self.mixture()
        derived = self.derived(mixed)
        return in_cells(self.cell_sites, [mixed if is_engine else derived for is_engine in self.engines])

    def mixture(self) -> Gates:
        return mixture(self.space, self.probabilities())

    def derived(self, mixed: Gates) -> Gates:
        """What transit cells run, given what engine cells do."""
        arch = self.derive()
        assert arch is not None
        return self.space.gates(arch)

    def facts(self) -> dict[str, float]:
        return {**super().facts(), "temperature": float(self.temperature)}

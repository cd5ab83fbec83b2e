"""VAENAS-G (VAENAS, Algorithm 3): ProxylessNAS's architecture parameters on paths that a VAE draws."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from oneshot.base.bounds import check_least
from oneshot.methods.architecture import refuse_forbidden
from oneshot.methods.base import Setup, Step
from oneshot.methods.proxylessnas import ProxylessNas, ProxylessNasSettings
from oneshot.samplers.base import Sampler
from oneshot.space import Space


@dataclass(frozen=True)
class VaenasGSettings:
    """Paths by a sampler that learns, from p(a|z) alone where it is vae-only; derived from what the paths teach.

    Args:
        arch_learning_rate: Adam's, of the architecture parameters, as of proxylessnas; the paper gives none
        arch_weight_decay: Adam's
    """

    sampler: ClassVar[str] = "vae-only"
    """Where none is chosen."""

    arch_learning_rate: float = 1e-3
    arch_weight_decay: float = 0.0

    def __post_init__(self) -> None:
        check_least(self, arch_learning_rate=0, arch_weight_decay=0)

    def make(self, setup: Setup) -> VaenasG:
        refuse_forbidden("vaenas-g", setup)
        return VaenasG(setup.space, setup.sampler, self)


class VaenasG(ProxylessNas):
    """See `VaenasGSettings`. Of two paths the first is open, as in ProxylessNAS; it is the one that weights train on.

    Decisions on which both paths agree learn nothing in a step.
    """

    def __init__(self, space: Space, sampler: Sampler, settings: VaenasGSettings | None = None) -> None:
        if sampler.plan is None:
            raise ValueError(
                f"vaenas-g takes its paths from a sampler that learns: sampler must be vae-only or vae, "
                f"got {type(sampler).__name__}"
            )
        made = settings or VaenasGSettings()
        super().__init__(space, ProxylessNasSettings(made.arch_learning_rate, made.arch_weight_decay))
        self.sampler = sampler

    def step(self, step: Step) -> None:
        assert self.sampler is not None
        arch, other = self.sampler.draw(2, step.rng)
        paths = [[a, b] if a != b else [a] for a, b in zip(arch, other, strict=True)]
        images, labels = step.held_out()
        before = [alpha.detach().clone() for alpha in self.alphas]
        step.learn(self.architecture, step.loss(step.net(images, self.gates(paths, arch)), labels), "valid_loss")
        step.update(self.architecture)
        self.rescale(before, paths)
        step.learn(step.weights, step.loss(step.net(step.images, self.space.gates(arch)), step.labels))

"""Single-path one-shot training (SPOS, arXiv 1904.00420): each step trains the paths that a sampler draws."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from oneshot.methods.base import Method, Setup, Step
from oneshot.methods.phases import Phase, check_images
from oneshot.samplers.base import Sampler
from oneshot.space import Arch, Space

if TYPE_CHECKING:
    from oneshot.training.recipe import Recipe


@dataclass(frozen=True)
class SinglePathSettings:
    """One loss for each architecture of the sampler's group; derives nothing where there are several.

    Args:
        images: train, or all: the validation images are trained on, too
    """

    images: str = "train"

    def __post_init__(self) -> None:
        check_images(self.images)

    def make(self, setup: Setup) -> SinglePath:
        return SinglePath(setup.space, setup.sampler, self.images)


class SinglePath(Method):
    """See `SinglePathSettings`."""

    def __init__(self, space: Space, sampler: Sampler, images: str = "train") -> None:
        super().__init__(space)
        self.sampler, self.images = sampler, images

    def phases(self, recipe: Recipe) -> Sequence[Phase]:
        return [Phase("train", recipe, self.images)]

    def step(self, step: Step) -> None:
        assert self.sampler is not None
        for arch in self.sampler.draw(self.sampler.group, step.rng):
            gates = self.space.gates(arch)
            step.learn(step.weights, step.loss(step.net(step.images, gates), step.labels))

    def derive(self) -> Arch | None:
        """The architecture of a space that has one."""
        return (0,) * len(self.space.decisions) if self.space.size == 1 else None

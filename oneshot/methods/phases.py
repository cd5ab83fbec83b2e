"""The parts of a training that differ in what is trained, on which images, and how."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from oneshot.training.recipe import Recipe


@dataclass(frozen=True)
class Phase:
    """Some epochs by one recipe, whose learning rate has its whole course within them.

    Args:
        name: as the metrics and the method call it
        recipe: how the weights are trained; `recipe.epochs` is the length of the phase
        images: train, or all: the validation images are trained on, too
        continues: keep the momentum of the phase before, which a fresh optimiser would not
    """

    name: str
    recipe: Recipe
    images: str = "train"
    continues: bool = False

    def __post_init__(self) -> None:
        check_images(self.images)


def check_images(images: str) -> None:
    """ValueError for images that no phase trains on."""
    if images not in ("train", "all"):
        raise ValueError(f"a phase's images are train or all, got {images!r}")

"""What training does to its images. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass

from oneshot.base.bounds import check_least


@dataclass(frozen=True)
class Augmentation:
    """What training does to an image, in this order; all but shift, flip and cutout are for image folders.

    A random resized crop of at least `crop_scale` of the area, at an aspect ratio of 3/4 to 4/3 (1 crops nothing), with
    `interpolation` bilinear, bicubic or random; a random shift by up to `shift` pixels (zeros move in); a horizontal
    flip; brightness, contrast and saturation changed by up to the share `color_jitter`; a `cutout` square set to the
    mean.
    """

    shift: int = 4
    flip: bool = True
    cutout: int = 0
    crop_scale: float = 1.0
    interpolation: str = "bilinear"
    color_jitter: float = 0.0

    def __post_init__(self) -> None:
        if not 0 < self.crop_scale <= 1:
            raise ValueError(f"crop_scale must be above 0 and at most 1 (which does not crop), got {self.crop_scale}")
        check_least(self, color_jitter=0)
        if self.interpolation not in ("bilinear", "bicubic", "random"):
            raise ValueError(f"interpolation must be bilinear, bicubic or random, got {self.interpolation!r}")
        if self.crop_scale == 1 and self.interpolation != "bilinear":
            raise ValueError(
                f"interpolation {self.interpolation} is for random crops: crop_scale must be below 1, got 1"
            )

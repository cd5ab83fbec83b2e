"""Augmentations must be possible; what they do to pixels is tested where they are applied."""

from __future__ import annotations

import math

import pytest

from oneshot.data.augmentation import Augmentation


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"crop_scale": 0.0}, r"crop_scale must be above 0 and at most 1 \(which does not crop\), got 0.0"),
        ({"crop_scale": 1.1}, "crop_scale must be above 0"),
        ({"crop_scale": math.nan}, "crop_scale must be above 0"),
        ({"color_jitter": -0.1}, "color_jitter must be a finite number of at least 0, got -0.1"),
        ({"color_jitter": math.inf}, "color_jitter must be a finite number"),
        ({"interpolation": "nearest"}, "interpolation must be bilinear, bicubic or random, got 'nearest'"),
        ({"interpolation": "random"}, "interpolation random is for random crops: crop_scale must be below 1, got 1"),
    ],
)
def test_bad_ones(values: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Augmentation(**values)


def test_the_limits_are_possible() -> None:
    assert Augmentation(crop_scale=1e-3, interpolation="bicubic", color_jitter=2.0).crop_scale == 1e-3
    assert Augmentation(crop_scale=1).interpolation == "bilinear"

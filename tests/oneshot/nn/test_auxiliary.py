"""The auxiliary classifier: its averages are those of DARTS's networks."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from oneshot.nn.auxiliary import AuxiliaryHead, FourCorners


@pytest.mark.parametrize(("side", "stride"), [(8, 3), (7, 2)])
def test_averages_are_those_of_darts(side: int, stride: int) -> None:
    """cnn/model.py of its code: boxes of 5x5 at stride 3 for CIFAR's 8x8, at stride 2 for ImageNet's 7x7."""
    x = torch.randn(2, 3, side, side)
    assert torch.equal(FourCorners()(x), F.avg_pool2d(x, 5, stride, count_include_pad=False))


@pytest.mark.parametrize("side", [1, 2, 5, 6, 16])
def test_other_sizes_give_four_values_too(side: int) -> None:
    assert FourCorners()(torch.randn(2, 3, side, side)).shape == (2, 3, 2, 2)


def test_what_it_says_is_taken_once_and_in_training_alone() -> None:
    head = AuxiliaryHead(4, 7, 0.4)
    head(torch.randn(3, 4, 8, 8))
    said = head.take()
    assert said is not None
    assert said.shape == (3, 7)
    assert head.take() is None
    head.eval()(torch.randn(3, 4, 8, 8))
    assert head.take() is None

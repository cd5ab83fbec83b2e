"""Gates of architectures and mixtures."""

from __future__ import annotations

import pytest
import torch

from oneshot.gates import fixed, mixture
from oneshot.spaces.nasbench201 import ALL, CONV


def test_fixed_gates_weigh_exactly_one() -> None:
    assert fixed(ALL, (0, 1, 2, 3, 4, 0)) == (
        ((0, 1.0),),
        ((1, 1.0),),
        ((2, 1.0),),
        ((3, 1.0),),
        ((4, 1.0),),
        ((0, 1.0),),
    )


def test_mixtures_hold_every_option() -> None:
    weights = [torch.tensor([0.25, 0.75])] * 6
    gates = mixture(CONV, weights)
    assert [[option for option, _ in gate] for gate in gates] == [[0, 1]] * 6
    assert [float(weight) for _, weight in gates[0]] == [0.25, 0.75]


def test_mixtures_of_the_wrong_size_are_refused() -> None:
    with pytest.raises(ValueError, match=r"edge 0->1 takes 2 weights, got shape \(3,\)"):
        mixture(CONV, [torch.zeros(3)] * 6)

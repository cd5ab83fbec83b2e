"""Sequential spaces: strings, restrictions, and what is no space."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from oneshot.samplers.fair import StrictlyFair
from oneshot.space import Decision
from oneshot.spaces.sequential import Layer, Sequential, sequential

SMALL = sequential("small", ("conv3", "conv5", "skip"), layers=2)


def test_all_nine_in_order() -> None:
    assert [SMALL.format(arch) for arch in SMALL] == [
        "conv3-conv3", "conv3-conv5", "conv3-skip", "conv5-conv3", "conv5-conv5", "conv5-skip",
        "skip-conv3", "skip-conv5", "skip-skip",
    ]  # fmt: skip
    assert [SMALL.parse(SMALL.format(arch)) for arch in SMALL] == list(SMALL)
    assert [SMALL.canonical(arch) for arch in SMALL] == list(SMALL)
    assert (SMALL.size, SMALL.is_product, SMALL.facts((0, 1)), SMALL.bucket((0, 1))) == (9, True, {}, 0)


def test_layers_may_have_options_of_their_own() -> None:
    space = Sequential("mixed", (Decision("first", ("a",)), Decision("second", ("b", "c"))))
    assert space.parse(" a-c\n") == (0, 1)
    assert space.operations((0, 1)) == ("a", "c")
    assert pickle.loads(pickle.dumps(space)) == space


def test_only_keeps_the_class_and_the_strings() -> None:
    alone = SMALL.only((2, 1))
    assert type(alone) is Sequential
    assert (list(alone), alone.format((0, 0)), alone.name) == ([(0, 0)], "skip-conv5", "small:skip-conv5")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("conv3", "expected 2 options joined by '-', got 1"),
        ("conv3-conv3-conv3", "expected 2 options joined by '-', got 3"),
        ("conv3-conv7", "operation 'conv7' .* is not in small; layer 1 takes one of conv3, conv5, skip"),
        ("", "got 1"),
    ],
)
def test_no_architecture_of_the_space(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SMALL.parse(text)


@pytest.mark.parametrize("odd", ["conv-3", "conv 3", ""])
def test_options_must_not_break_the_strings(odd: str) -> None:
    with pytest.raises(ValueError, match="options must be words without '-'"):
        sequential("odd", ("conv3", odd), 2)


def test_a_space_has_decisions() -> None:
    with pytest.raises(ValueError, match="needs at least one decision"):
        sequential("none", ("a",), 0)


def test_strictly_fair_sampling_uses_each_option_of_each_layer_once() -> None:
    group = StrictlyFair(SMALL).draw(3, np.random.default_rng(0))
    assert [sorted(column) for column in zip(*group, strict=True)] == [[0, 1, 2]] * 2


def test_a_layer_keeps_the_size_unless_told_otherwise() -> None:
    assert Layer(3, 8) == (3, 8, 1)

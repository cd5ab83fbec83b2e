"""Any number of options at a site: strings, what must be there, and the ways to and from the whole space."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest

from oneshot.nn.counting import counted
from oneshot.samplers.uniform import Uniform
from oneshot.space import Decision
from oneshot.spaces.darts import ALL as DARTS
from oneshot.spaces.darts import SUBSETS as CELLS
from oneshot.spaces.nasbench201 import ALL, CONV1, CONV3, NONE, POOL, SKIP, nasbench201
from oneshot.spaces.nasbench201_subsets import ANY, SUBSETS
from oneshot.spaces.subsets import OFF, Subsets
from oneshot.supernets.nasbench201 import NasBench201Net


def test_strings_and_what_they_may_not_be() -> None:
    text = "nor_conv_1x1+nor_conv_3x3|none|skip_connect|none|none|avg_pool_3x3"
    arch = SUBSETS.parse(text)
    assert SUBSETS.format(arch) == text
    assert SUBSETS.options_on(arch) == ((CONV1, CONV3), (), (SKIP,), (), (), (POOL,))
    for odd, message in (
        (text.replace("skip_connect", "none"), "expected an option on one at least of edge 0->2, edge 1->2$"),
        (text.replace("skip_connect", "sep_conv_3x3"), "'sep_conv_3x3' of .* edge 1->2 takes one of skip_connect, "),
        (text.replace("nor_conv_1x1+nor_conv_3x3", "nor_conv_3x3+nor_conv_1x1"), "expected options in the order of"),
        (text.replace("nor_conv_1x1+", "nor_conv_3x3+"), "expected options in the order of"),
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "expected 6 sets of options"),
    ):
        with pytest.raises(ValueError, match=message):
            SUBSETS.parse(odd)


def test_size_by_counting() -> None:
    small = Subsets.of(nasbench201((NONE, SKIP), "few"), "few-subsets", (1, 2, 2, 3, 3, 3))
    archs = list(small)
    every = [arch for arch in product((0, 1), repeat=6) if arch[0] and any(arch[1:3]) and any(arch[3:])]
    assert archs == every
    assert small.size == len(every) == 1 * 3 * 7
    assert SUBSETS.size == 15 * 255 * 4095
    assert not SUBSETS.is_product
    counts = np.unique(np.array(Uniform(small).draw(4200, np.random.default_rng(0))), axis=0, return_counts=True)[1]
    assert len(counts) == 21
    assert counts == pytest.approx(200, abs=60)


def test_to_the_whole_space_and_back() -> None:
    """An architecture of NAS-Bench-201 is a subset, unless a node of it takes nothing."""
    cell = ALL.parse("|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|avg_pool_3x3~2|")
    arch = SUBSETS.of_whole(cell)
    assert SUBSETS.format(arch) == "nor_conv_3x3|none|skip_connect|none|none|avg_pool_3x3"
    on = iter(arch)
    assert SUBSETS.one_each([[float(next(on)) for _ in site] for site in SUBSETS.sites_of]) == cell
    with pytest.raises(ValueError, match="expected an option on one at least of edge 0->1"):
        SUBSETS.of_whole((0,) * 6)


def test_the_strongest_option_of_each_edge() -> None:
    """What is off stays off, however strong the others are; of equal ones the first."""
    strengths = [[0.0, 0.2, 0.7, 0.1], [0.0] * 4, [0.5, 0.5, 0.0, 0.0], [-1.0] * 4, [0.0, 0.0, 0.0, 1e-9], [0.0] * 4]
    assert ALL.operations(SUBSETS.one_each(strengths)) == (CONV3, NONE, SKIP, NONE, POOL, NONE)
    rng = np.random.default_rng(0)
    found = CELLS.one_each([rng.random(len(site)).tolist() for site in CELLS.sites_of])
    assert DARTS.allows(found)


def test_what_is_derived_holds_something_at_every_node() -> None:
    weights = [[0.9, 0.1]] * len(SUBSETS.decisions)
    weights[2], weights[4], weights[-1] = [0.8, 0.2], [0.3, 0.7], [0.6, 0.4]
    assert SUBSETS.format(SUBSETS.strongest(weights)) == "nor_conv_3x3|skip_connect|none|none|none|avg_pool_3x3"
    assert SUBSETS.derives


def test_costs_are_those_of_the_network() -> None:
    all_live = "nor_conv_1x1+nor_conv_3x3|skip_connect+nor_conv_3x3|avg_pool_3x3|nor_conv_1x1|skip_connect|nor_conv_3x3"
    dead = "nor_conv_1x1|nor_conv_3x3+avg_pool_3x3|none|nor_conv_1x1|nor_conv_3x3|none"
    for arch in map(SUBSETS.parse, (all_live, dead)):
        alone = SUBSETS.only(arch)
        net = NasBench201Net(alone, 4, 1, affine=True)
        got = counted(net, alone.gates((0,) * len(arch)), 8)
        said = SUBSETS.cost(arch, channels=4, cells=1, image_size=8)
        assert (got.params, got.mflops) == (said.params, pytest.approx(said.mflops))
        assert SUBSETS.cost(SUBSETS.canonical(arch)) == SUBSETS.cost(arch)
    kept = "nor_conv_1x1|none|avg_pool_3x3|nor_conv_1x1|nor_conv_3x3|none"
    assert SUBSETS.format(SUBSETS.canonical(SUBSETS.parse(dead))) == kept
    assert SUBSETS.facts(SUBSETS.of_whole((3,) * 6)) == ALL.facts((3,) * 6)


def test_spaces_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="needs a node for each of 6 sites"):
        Subsets.of(ALL, "odd", (1, 2))
    with pytest.raises(ValueError, match="needs a decision off or on for each of 24 options"):
        replace(SUBSETS, decisions=SUBSETS.decisions[:3])
    off = tuple(Decision(d.name, (OFF,)) for d in SUBSETS.decisions[:4])
    with pytest.raises(ValueError, match="needs an option that may be on into every node"):
        replace(SUBSETS, decisions=(*off, *SUBSETS.decisions[4:]))


def test_facts_say_what_is_live() -> None:
    dead = "nor_conv_1x1|nor_conv_3x3+avg_pool_3x3|none|nor_conv_1x1|nor_conv_3x3|none"
    facts, in_any = SUBSETS.facts(SUBSETS.parse(dead)), ANY.facts(ANY.parse(dead))
    assert facts["live_parameters"] == facts["parameters"] == in_any["live_parameters"] < in_any["parameters"]
    assert (facts["convolutions"], facts["convolutions_3x3"], facts["live_depth"]) == (4, 2, 2)
    pooled = "skip_connect+avg_pool_3x3|none|none|none|skip_connect|none"
    assert ANY.facts(ANY.parse(pooled))["live_depth"] == 1
    assert ANY.facts(ANY.parse("none|none|none|none|none|none"))["live_depth"] == -1

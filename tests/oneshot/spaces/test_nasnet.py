"""The NASNet-like space: its size, its strings, what is dead, and a published cost."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneshot.spaces.cell_operations import SEP3, SKIP, cost
from oneshot.spaces.cell_operations import VAENAS as OPERATIONS
from oneshot.spaces.cells import EDGES, NODES, NONE, layout, live_edges, used_inputs
from oneshot.spaces.nasnet import ALL, NasNet, nasnet

ARCHS = st.tuples(*[st.integers(0, 7)] * 28)
THIN = st.tuples(*[st.sampled_from((0, 0, 0, 3, 4))] * 28)
"""With many edges that are not there."""

DARTS_V2 = (
    "sep_conv_3x3~0+sep_conv_3x3~1|sep_conv_3x3~0+sep_conv_3x3~1|skip_connect~0+sep_conv_3x3~1|"
    "skip_connect~0+dil_conv_3x3~2/"
    "max_pool_3x3~0+max_pool_3x3~1|max_pool_3x3~1+skip_connect~2|max_pool_3x3~0+skip_connect~2|"
    "max_pool_3x3~1+skip_connect~2"
)


def test_the_space_of_the_paper() -> None:
    assert len(OPERATIONS) == 8
    assert [sum(b == node for _, b in EDGES) for node in NODES] == [2, 3, 4, 5]
    assert (len(ALL.decisions), ALL.size, ALL.is_product) == (28, 8**28, True)


def test_the_published_size_of_a_network_of_darts() -> None:
    """Its second-order cell has 3,349,342 parameters at 36 channels and 20 cells (arXiv 1806.09055: 3.3M)."""
    assert ALL.cost(ALL.parse(DARTS_V2)).params == 3_349_342


def test_depths_of_the_paper() -> None:
    """8 and 20 cells, a third and two thirds of the way down a reduction, as in DARTS."""
    for cells, depth in ((2, 8), (6, 20)):
        assert [i for i, reduces in enumerate(layout(cells)) if reduces] == [depth // 3, 2 * depth // 3]
        assert len(layout(cells)) == depth


@given(ARCHS | THIN)
def test_strings_round_trip(arch: tuple[int, ...]) -> None:
    assert ALL.parse(ALL.format(arch)) == arch
    assert ALL.only(arch).format((0,) * 28) == ALL.format(arch)


def test_a_string_by_hand() -> None:
    text = "sep_conv_7x7~0+skip_connect~1|none|none|dil_conv_3x3~4/none|max_pool_3x3~2|none|none"
    operations = dict.fromkeys(product((0, 1), EDGES), NONE)
    operations |= {(0, (0, 2)): "sep_conv_7x7", (0, (1, 2)): SKIP, (0, (4, 5)): "dil_conv_3x3"}
    operations |= {(1, (2, 3)): "max_pool_3x3"}
    arch = ALL.parse(f" {text}\n")
    assert ALL.operations(arch) == tuple(operations.values())
    assert ALL.format(arch) == text


@pytest.mark.parametrize(
    "text",
    [
        "none|none|none|none",
        "none|none|none/none|none|none|none",
        "none|none|none|none|none/none|none|none|none",
        "skip_connect~2|none|none|none/none|none|none|none",
        "skip_connect~1+skip_connect~0|none|none|none/none|none|none|none",
        "skip_connect~0+skip_connect~0|none|none|none/none|none|none|none",
        "none~0|none|none|none/none|none|none|none",
        "skip_connect|none|none|none/none|none|none|none",
        "|||/|||",
        "none|none|none|none/none|none|none|none/none",
    ],
)
def test_odd_strings_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no pair of cells; expected the edges into each node by their sources"):
        ALL.parse(text)


def test_operations_that_a_space_does_not_have_are_refused() -> None:
    text = "none|none|none|skip_connect~3/none|none|none|none"
    with pytest.raises(ValueError, match=r"'sep_9x9' of .* is not in nasnet; normal edge 3-5 takes one of none, avg"):
        ALL.parse(text.replace("skip_connect", "sep_9x9"))
    with pytest.raises(ValueError, match=r"'none' of .* is not in full; normal edge 0-2 takes one of skip_connect$"):
        nasnet((SKIP,), "full").parse(text)
    with pytest.raises(ValueError, match=r"unknown options \['conv'\]"):
        nasnet((SKIP, "conv"))
    with pytest.raises(ValueError, match=r"has 28 decisions .* got 3 decisions"):
        NasNet("short", ALL.decisions[:3])


def twin(operations: tuple[str, ...], cells: int) -> list[tuple[int, ...]]:
    """The edges of all ways from the stem to the last cell, in a network whose nodes are all written out."""
    kinds = layout(cells)
    ways = []
    for cell, reduces in enumerate(kinds):
        for edge, (a, b) in enumerate(EDGES):
            if operations[edge + len(EDGES) * reduces] != NONE:
                # an input is the output of an earlier cell; everything before the first one is the stem
                start = (max(cell - 2 + a, -1), "out") if a < 2 else (cell, a)
                ways.append((start, (cell, b), (cell, edge)))
        ways += [((cell, node), (cell, "out"), None) for node in NODES]

    def spread(found: set, forward: bool) -> set:
        while True:
            more = {w[1] if forward else w[0] for w in ways if (w[0] if forward else w[1]) in found} - found
            if not more:
                return found
            found |= more

    reached, needed = spread({(-1, "out")}, True), spread({(len(kinds) - 1, "out")}, False)
    live = {name for a, b, name in ways if name and a in reached and b in needed}
    return [tuple(edge for edge in range(len(EDGES)) if (cell, edge) in live) for cell in range(len(kinds))]


@given(THIN, st.integers(1, 3))
def test_live_edges_are_those_on_a_way_through_the_network(arch: tuple[int, ...], cells: int) -> None:
    operations = ALL.operations(arch)
    assert live_edges([operation != NONE for operation in operations], cells) == twin(operations, cells)


@given(THIN, st.integers(1, 3))
def test_the_canonical_architecture_runs_the_same(arch: tuple[int, ...], cells: int) -> None:
    """The same operations on the same edges of every cell, and none that runs in no network."""
    canonical = ALL.canonical(arch)
    before, after = ALL.operations(arch), ALL.operations(canonical)
    runs = twin(before, cells)
    assert twin(after, cells) == runs
    for reduces, edges in zip(layout(cells), runs, strict=True):
        assert all(before[e + 14 * reduces] == after[e + 14 * reduces] for e in edges)
    assert ALL.cost(canonical, cells=cells) == ALL.cost(arch, cells=cells)
    assert ALL.canonical(canonical) == canonical


def test_what_canonical_removes() -> None:
    """2->3 leaves a node that nothing reaches, and so does 3->5 then; in the other cell 2->3 stays."""
    text = "none|sep_conv_3x3~2|skip_connect~0|sep_conv_3x3~3/skip_connect~1|sep_conv_3x3~2|none|none"
    kept = "none|none|skip_connect~0|none/skip_connect~1|sep_conv_3x3~2|none|none"
    assert ALL.format(ALL.canonical(ALL.parse(text))) == kept
    dead = "none|sep_conv_3x3~2|none|none/skip_connect~1|none|none|none"
    assert ALL.canonical(ALL.parse(dead)) == (0,) * 28
    alone = ALL.only(ALL.parse(text))
    assert alone.canonical((0,) * 28) == (0,) * 28


def test_buckets_and_facts() -> None:
    def arch(*names: str) -> tuple[int, ...]:
        return ALL.parse("/".join(f"none|{name}|none|none" for name in names))

    reaching, lost = "sep_conv_3x3~1", "sep_conv_3x3~2"
    buckets = [ALL.bucket(arch(*names)) for names in product((reaching, lost), repeat=2)]
    assert buckets == [0, None, None, None]
    facts = ALL.facts(arch(reaching, lost))
    assert (facts["convolutions"], facts["convolutions_3x3"], facts["live_depth"]) == (1, 1, -1)
    assert ALL.facts(arch(reaching, reaching))["live_depth"] == 20
    assert ALL.facts(arch("sep_conv_5x5~1", "skip_connect~1"))["live_depth"] == 18
    chain = ALL.parse("sep_conv_3x3~0|skip_connect~0+sep_conv_5x5~2|none|none/skip_connect~1|none|none|none")
    assert (ALL.facts(chain)["live_depth"], ALL.facts(chain)["convolutions_3x3"]) == (18, 1)
    assert ALL.facts(ALL.parse(DARTS_V2))["convolutions"] == 6
    assert facts["parameters"] < ALL.facts(arch(reaching, reaching))["parameters"]


def test_cost_by_hand() -> None:
    """Three cells matter at one cell a stage: the normal ones take the cell before last, the others nothing."""
    operations = [NONE] * 28
    operations[EDGES.index((0, 5))] = SEP3
    runs = live_edges([o != NONE for o in operations], 1)
    assert [used_inputs(edges) for edges in runs] == [[0], [], [0], [], [0]]
    multiplies = 27 * 6 * 64
    params = 27 * 6 + 12 + (4 * 8) * 10 + 10
    multiplies += (4 * 8) * 10 + 10
    # channels in, width, side: the stem, then what cell 0 gives at twice the size, then the same of cell 2
    for before, width, side in ((6, 2, 8), (8, 4, 4), (16, 8, 2)):
        params += before * width + 2 * width + 2 * (9 * width + width * width + 2 * width)
        multiplies += (before * width + 2 * (9 * width + width * width)) * side**2
    connections = tuple(() if operation == NONE else (operation,) for operation in operations)
    found = cost(connections, channels=2, cells=1, image_size=8)
    assert (found.params, found.mflops) == (params, multiplies / 1e6)

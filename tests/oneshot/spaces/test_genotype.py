"""Genotypes of the field: what is read, what is refused, and that nothing is executed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from oneshot.spaces.cells import NODES
from oneshot.spaces.darts import ALL, EXTENDED_ALL, EXTENDED_SUBSETS, SUBSETS
from oneshot.spaces.genotype import FIELDS, genotype, read_genotype
from oneshot.spaces.nasnet import ALL as NASNET

PAIRS = [("sep_conv_3x3", 0), ("skip_connect", 1)] * 3 + [("max_pool_3x3", 4), ("dil_conv_5x5", 2)]
PLAIN = {"normal": PAIRS, "normal_concat": [2, 3, 4, 5], "reduce": PAIRS, "reduce_concat": [2, 3, 4, 5]}


def written(**fields: object) -> str:
    return f"Genotype({', '.join(f'{name}={value!r}' for name, value in {**PLAIN, **fields}.items())})"


def test_read_and_printed() -> None:
    """An edge's place in a node's pair does not matter; the concatenation is printed as a range."""
    arch = ALL.parse(written())
    half = (
        "[('sep_conv_3x3', 0), ('skip_connect', 1), ('sep_conv_3x3', 0), ('skip_connect', 1), ('sep_conv_3x3', 0), "
        "('skip_connect', 1), ('dil_conv_5x5', 2), ('max_pool_3x3', 4)]"
    )
    text = f"Genotype(normal={half}, normal_concat=range(2, 6), reduce={half}, reduce_concat=range(2, 6))"
    assert ALL.genotype(arch) == text
    assert ALL.parse(f"\n {text} ") == arch
    assert ALL.format(arch).startswith("sep_conv_3x3~0+skip_connect~1|")


@pytest.mark.parametrize("concat", ["range(2, 6)", "(2, 3, 4, 5)", "[2, 3, 4, 5]"])
def test_other_ways_to_write_the_same(concat: str) -> None:
    nested = [PAIRS[i : i + 2] for i in range(0, 8, 2)]
    triples = [(o, 2 + i // 2, source) for i, (o, source) in enumerate(PAIRS)]
    positions = f"Genotype({PAIRS!r}, {concat}, {PAIRS!r}, {concat})"
    for text in (positions, written(normal=nested), written(normal=triples, reduce=tuple(map(tuple, nested)))):
        assert ALL.parse(text) == ALL.parse(written())


@pytest.mark.parametrize("space", [ALL, EXTENDED_ALL, SUBSETS, EXTENDED_SUBSETS, NASNET], ids=lambda space: space.name)
def test_round_trips(space) -> None:
    rng = np.random.default_rng(0)
    for _ in range(30):
        arch = space.propose(rng)
        assert space.parse(space.genotype(arch)) == arch
        assert space.parse(space.format(arch)) == arch


def test_any_number_of_connections_are_triples() -> None:
    """As FairDARTS prints them (arXiv 1911.12126)."""
    text = SUBSETS.genotype(SUBSETS.of_whole(ALL.parse(written())))
    assert text == ALL.genotype(ALL.parse(written()))
    more = [("sep_conv_3x3", 2, 0), ("max_pool_3x3", 2, 0), *[("skip_connect", node, 1) for node in NODES]]
    arch = SUBSETS.parse(written(normal=more))
    assert "('max_pool_3x3', 2, 0), ('sep_conv_3x3', 2, 0), ('skip_connect', 2, 1)" in SUBSETS.genotype(arch)
    assert "('skip_connect', 2, 1)" in SUBSETS.genotype(arch).split("reduce=")[1]
    with pytest.raises(ValueError, match=r"expected one operation on an edge, got .* on normal edge 0-2"):
        ALL.parse(written(normal=more))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"normal": [("sep_conv_3x3", 2), *PAIRS[1:]]}, "normal of a genotype: node 2 takes nodes 0 to 1, got .*, 2"),
        ({"reduce": [*PAIRS[:7], ("sep_conv_3x3", 5)]}, "reduce of a genotype: node 5 takes nodes 0 to 4, got .*, 5"),
        ({"normal": [("sep_conv_3x3", -1), *PAIRS[1:]]}, "node 2 takes nodes 0 to 1"),
        ({"normal": [("sep_conv_9x9", 0), *PAIRS[1:]]}, "'sep_conv_9x9' of .* is not in darts; normal edge 0-2 takes"),
        ({"normal": [("conv_1x1", 0), *PAIRS[1:]]}, "'conv_1x1' of .* is not in darts; normal edge 0-2 takes one of"),
        ({"normal": [*PAIRS, *PAIRS[:2]]}, "expected two .* for each of 4 nodes"),
        ({"normal": PAIRS[:6]}, "expected two .* for each of 4 nodes"),
        ({"normal": 3}, "expected two .* for each of 4 nodes, .* got 3"),
        ({"normal": [(0, "sep_conv_3x3"), *PAIRS[1:]]}, "expected \\('operation', source\\), got \\(0"),
        ({"normal": [*PAIRS[:1] * 2, *PAIRS[2:]]}, "sep_conv_3x3 from 0 to node 2 stands twice"),
        ({"normal": [("skip_connect", 6, 0)]}, "nodes are 2 to 5, got 6"),
        ({"normal": [("skip_connect", node, 0) for node in NODES]}, "expected 2 inputs of every node, got 1 of node 2"),
        ({"normal": [("skip_connect", 0), ("max_pool_3x3", 0), *PAIRS[2:]]}, "expected one operation on an edge"),
        ({"normal_concat": [4, 5, 6]}, "normal_concat of a genotype must be all of nodes 2 to 5, got"),
        ({"reduce_concat": 5}, "reduce_concat of a genotype must be all of nodes 2 to 5, got 5"),
        ({"more": 1}, "a genotype must have normal, normal_concat, reduce, reduce_concat, got .*more"),
    ],
)
def test_odd_genotypes_are_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ALL.parse(written(**fields))


def test_another_spaces_strings_are_refused() -> None:
    for text in ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", "Genotype", "Genotype()", "Genotype(normal"):
        with pytest.raises(ValueError, match=r"is no pair of cells|is no genotype|must have normal"):
            ALL.parse(text)
    with pytest.raises(ValueError, match=r"'dil_conv_5x5' of .* is not in nasnet"):
        NASNET.parse(written())
    with pytest.raises(ValueError, match="expected an option on one at least of normal edge 0-2, normal edge 1-2"):
        SUBSETS.parse("none|skip_connect~0|skip_connect~0|skip_connect~0/" + "|".join(["skip_connect~0"] * 4))


def test_nothing_in_it_is_executed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    evil = f"__import__('pathlib').Path({str(mark)!r}).touch()"
    for text in (
        f"Genotype(normal={evil}, normal_concat=[], reduce=[], reduce_concat=[])",
        f"Genotype(normal=[], normal_concat=range(2, {evil}), reduce=[], reduce_concat=[])",
        f"Genotype({evil})",
        f"Genotype.__init__({evil})",
        "Genotype(normal=" + "(" * 5000 + ")" * 5000 + ")",
        "Genotype(" + "x" * 30_000 + ")",
        "Genotype(**{'normal': 1})",
        "Genotype(normal=[], normal_concat=range(0, 10**10), reduce=[], reduce_concat=[])",
        "Genotype(normal=[], normal_concat=range(0, 10000000000), reduce=[], reduce_concat=[])",
    ):
        with pytest.raises(ValueError, match="genotype"):
            read_genotype(text)
    assert not mark.exists()


@given(st.text(max_size=80), st.sampled_from(FIELDS))
def test_any_text_is_read_or_refused(text: str, field: str) -> None:
    for genotyped in (
        f"Genotype({text})",
        written().replace(field, text, 1),
        written().replace("'sep_conv_3x3'", text, 1),
    ):
        try:
            connections = read_genotype(genotyped)
        except ValueError:
            continue
        assert read_genotype(genotype(connections)) == connections

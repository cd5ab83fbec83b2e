"""NAS-Bench-201: what cells compute, how they are named, and what they cost."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from oneshot.spaces.nasbench201 import (
    ALL,
    CONV,
    EDGES,
    NO_ZERO,
    OPERATIONS,
    PATHS,
    POOL,
    NasBench201,
    cost,
    live_convolutions,
    live_edges,
)


def numeric(operations: tuple[str, ...], pool_is_linear: bool) -> float:
    """The cell's output on a random number, with a fixed nonlinear map for each operation; 0 maps to 0."""
    maps = {
        "nor_conv_1x1": lambda v: np.sin(1.7 * v) + 0.3 * v * v,
        "nor_conv_3x3": lambda v: np.tanh(0.9 * v) - 0.2 * v**3,
        POOL: (lambda v: 0.37 * v) if pool_is_linear else (lambda v: np.expm1(0.37 * v)),
        "skip_connect": lambda v: v,
        "none": lambda v: 0.0,
    }
    nodes = [0.7368]
    for target in range(1, 4):
        edges = (i for i, edge in enumerate(EDGES) if edge[1] == target)
        nodes.append(sum(maps[operations[i]](nodes[EDGES[i][0]]) for i in edges))
    return float(nodes[3])


@pytest.mark.parametrize(("pool_is_linear", "classes"), [(False, 4930), (True, 4660)])
def test_canonical_classes_are_the_functions(pool_is_linear: bool, classes: int) -> None:
    """Same class if and only if the random nonlinear maps give the same number, on all 15,625 cells."""
    by_class: dict[tuple, set[float]] = {}
    for arch in ALL:
        value = round(numeric(ALL.operations(arch), pool_is_linear), 9)
        by_class.setdefault(ALL.canonical(arch, pool_is_linear), set()).add(value)
    assert len(by_class) == classes
    assert all(len(values) == 1 for values in by_class.values())
    assert len({value for values in by_class.values() for value in values}) == classes


def test_published_rule_counts_6466() -> None:
    assert len({ALL.published_class(arch) for arch in ALL}) == 6466


def test_sizes() -> None:
    assert [len(list(space)) for space in (ALL, NO_ZERO, CONV)] == [15625, 4096, 64]


def test_string_of_the_paper() -> None:
    text = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|none~1|nor_conv_1x1~2|"
    assert ALL.operations(ALL.parse(text)) == (
        "nor_conv_3x3", "none", "skip_connect", "avg_pool_3x3", "none", "nor_conv_1x1",
    )  # fmt: skip


def test_an_architecture_outside_a_restricted_space_says_which_operation() -> None:
    text = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    with pytest.raises(
        ValueError, match=r"operation 'none' .* is not in nasbench201-no-zero; edge 0->1 takes one of skip"
    ):
        NO_ZERO.parse(text)
    with pytest.raises(ValueError, match="not in nasbench201-conv"):
        CONV.parse(text.replace("none", "skip_connect"))


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown options \\['conv_9x9'\\]"):
        NasBench201("odd", tuple(d.__class__(d.name, ("conv_9x9",)) for d in ALL.decisions))


def test_341_cells_have_no_live_path_and_buckets_count_convolutions() -> None:
    buckets = Counter(ALL.bucket(arch) for arch in ALL)
    assert buckets[None] == 341
    assert set(buckets) == {None, 0, 1, 2}
    for arch in list(ALL)[::97]:
        operations = ALL.operations(arch)
        on_paths = [sum("conv" in operations[e] for e in p) for p in PATHS if all(operations[e] != "none" for e in p)]
        assert live_convolutions(operations) == max(on_paths, default=None)
        assert bool(live_edges(operations)) == bool(on_paths)


def test_cost_by_hand() -> None:
    """C=1, one cell a stage, 2 classes, 4x4 images, a 3x3 convolution on the last edge."""
    stages = (9 + 2) + (9 * 4 + 4) + (9 * 16 + 8)
    reductions = (9 * 2 + 9 * 4 + 2 + 8) + (9 * 8 + 9 * 16 + 8 + 16)
    got = cost(("none",) * 5 + ("nor_conv_3x3",), channels=1, cells=1, classes=2, image_size=4)
    assert got.params == (27 + 2) + stages + reductions + 8 + (8 + 2)
    multiplies = 27 * 16 + 9 * 16 + (18 + 36 + 2) * 4 + 36 * 4 + (72 + 144 + 8) + 144 + 10
    assert got.mflops == pytest.approx(multiplies / 1e6)


def test_cost_equals_the_published_table(real_data: Path) -> None:
    from pyarrow.parquet import read_table

    table = read_table(
        real_data / "nasbench201.parquet", columns=["arch", "cifar10_params", "cifar10_mflops"]
    ).to_pydict()
    costs = [cost(ALL.operations(ALL.parse(text))) for text in table["arch"]]
    assert len(costs) == 15625
    assert [c.params for c in costs] == table["cifar10_params"]
    assert np.allclose([c.mflops for c in costs], table["cifar10_mflops"], rtol=0, atol=1e-9)


def test_operations_are_in_the_published_order() -> None:
    assert OPERATIONS == ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")


def test_live_facts_are_those_of_the_edges_without_which_something_else_is_computed() -> None:
    """The slow rule: an edge is dead where zero in its place computes the same function."""
    none = OPERATIONS.index("none")
    for arch in list(ALL)[::61]:
        kept = tuple(option if live else none for option, live in zip(arch, _alive(arch), strict=True))
        facts, cleaned = ALL.facts(arch), ALL.facts(kept)
        assert ALL.canonical(kept) == ALL.canonical(arch)
        assert facts["live_parameters"] == cleaned["live_parameters"] == cleaned["parameters"] <= facts["parameters"]
        assert facts["live_multiply_adds"] == cleaned["multiply_adds"]
        assert facts["live_depth"] == cleaned["live_depth"]


def _alive(arch: tuple[int, ...]) -> list[bool]:
    none = OPERATIONS.index("none")
    return [
        option != none and ALL.canonical(arch) != ALL.canonical((*arch[:edge], none, *arch[edge + 1 :]))
        for edge, option in enumerate(arch)
    ]


@pytest.mark.parametrize(
    ("text", "depth"),
    [
        ("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", -1),
        ("|none~0|+|none~0|none~1|+|skip_connect~0|nor_conv_3x3~1|none~2|", 0),
        ("|avg_pool_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|", 3),
        ("|skip_connect~0|+|none~0|nor_conv_1x1~1|+|nor_conv_3x3~0|none~1|skip_connect~2|", 1),
    ],
)
def test_depth_of_the_longest_live_path(text: str, depth: int) -> None:
    assert ALL.facts(ALL.parse(text))["live_depth"] == depth


def test_live_parameters_alone_rank_as_well_as_is_said(real_data: Path) -> None:
    from oneshot.benchmarks.scoring.measures import kendall_tau
    from oneshot.benchmarks.table import find_table

    table = find_table("nasbench201", real_data)
    facts = [ALL.facts(arch) for arch in table.archs]
    truth = table.values("cifar10_test_200")
    taus = {name: kendall_tau(np.array([fact[name] for fact in facts]), truth) for name in facts[0]}
    assert taus["live_parameters"] == pytest.approx(0.654, abs=5e-4)
    assert taus["parameters"] == pytest.approx(0.578, abs=5e-4)
    assert max(taus, key=taus.__getitem__) == ALL.baseline

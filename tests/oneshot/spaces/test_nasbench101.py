"""NAS-Bench-101 as a search space: architectures, their limits, and what their networks cost."""

from __future__ import annotations

from itertools import islice, product

import numpy as np
import pytest
from nasbench_pytorch.model import Network
from nasbench_pytorch.model.model import compute_vertex_channels
from torch import Tensor, nn

from oneshot.nn.counting import counted
from oneshot.samplers.uniform import Uniform
from oneshot.space import Arch, Decision
from oneshot.spaces.nasbench101 import ALL, EDGES, INNER, NasBench101, cost, nasbench101, vertex_channels
from oneshot.spaces.nasbench101_cell import CONV1, INPUT, OPERATIONS, OUTPUT, POOL, Cell
from oneshot.spaces.nasbench201 import ALL as OTHER

DRAWN = Uniform(ALL).draw(200, np.random.default_rng(0))


def arch_of(edges: set[tuple[int, int]], labels: tuple[int, ...] = (0,) * INNER) -> Arch:
    return tuple(int(edge in edges) for edge in EDGES) + labels


def test_decisions_are_21_edges_and_5_operations() -> None:
    assert [d.name for d in ALL.decisions[:4]] == ["edge 0->1", "edge 0->2", "edge 1->2", "edge 0->3"]
    assert [d.options for d in ALL.decisions[21:]] == [OPERATIONS] * 5
    assert ALL.size == 2**21 * 3**5


@pytest.mark.parametrize("vertices", range(2, 8))
def test_graphs_of_every_size_round_trip(vertices: int) -> None:
    """A chain with an edge from input to output."""
    rng = np.random.default_rng(vertices)
    matrix = np.eye(vertices, k=1, dtype=int)
    matrix[0, -1] = 1
    operations = [INPUT, *rng.choice(OPERATIONS, size=vertices - 2).tolist(), OUTPUT]
    arch = ALL.from_graph(matrix.tolist(), operations)
    assert ALL.graph(arch) == (matrix.tolist(), operations)
    assert ALL.cell(arch).graph() == (matrix.tolist(), operations)


def test_every_architecture_round_trips_through_graph_and_string() -> None:
    for arch in DRAWN:
        assert ALL.from_graph(*ALL.graph(arch)) == arch
        assert ALL.parse(ALL.format(arch)) == arch
        assert ALL.from_cell(ALL.cell(arch)) == ALL.parse(str(ALL.cell(arch)))


def test_strings() -> None:
    assert ALL.format(arch_of({(0, 6)})) == "output~0"
    assert ALL.format(arch_of({(0, 1), (1, 6)}, (2, 0, 0, 0, 0))) == "maxpool3x3~0|output~1"
    idle = arch_of({(0, 1), (1, 6)}, (2, 0, 1, 0, 0))
    assert ALL.format(idle) == "maxpool3x3~0|conv3x3~|conv1x1~|output~1"
    assert ALL.cell(idle) == Cell(5, (2,))


def test_the_limit_is_on_the_edges_that_are_connected() -> None:
    dense = {(a, b) for b in range(1, 5) for a in range(1, b)}  # among vertices that the input does not reach
    assert ALL.allows(arch_of(dense | {(b, 6) for b in range(1, 6)} | {(0, 6)}))
    nine = {(0, b) for b in (1, 2, 3, 4)} | {(b, 6) for b in (1, 2, 3, 4)} | {(0, 6)}
    assert ALL.check(arch_of(nine)) == arch_of(nine)
    with pytest.raises(ValueError, match=r"no architecture of nasbench101: expected at most 9 edges .*, got 10"):
        ALL.check(arch_of(nine | {(1, 2)}))


def test_a_disconnected_cell_says_so() -> None:
    for edges in (set(), {(0, 1), (2, 6)}, {(0, 5)}):
        assert not ALL.allows(arch_of(edges))
        with pytest.raises(ValueError, match="no architecture of nasbench101: expected a path from input to output"):
            ALL.format(arch_of(edges))
    with pytest.raises(ValueError, match=r"conv3x3~0\|output~ is no architecture of nasbench101: expected a path"):
        ALL.parse("conv3x3~0|output~")


def test_a_larger_graph_counts_by_what_pruning_leaves() -> None:
    """As in the official API; seven vertices are not pruned, so that they can be read back."""
    chain = np.eye(9, k=1, dtype=int)
    operations = [INPUT, *[CONV1] * 7, OUTPUT]
    with pytest.raises(ValueError, match="expected at most 7 vertices between input and output, got 9"):
        ALL.from_graph(chain.tolist(), operations)
    chain[1, 8] = 1
    chain[7, 8] = 0
    assert ALL.format(ALL.from_graph(chain.tolist(), operations)) == "conv1x1~0|output~1"


@pytest.mark.parametrize("cell", [Cell(2, ()), Cell(-1, (0,)), Cell(5, (3,)), Cell(5, (-1,))])
def test_what_is_no_cell(cell: Cell) -> None:
    with pytest.raises(ValueError, match=r"expected bits .* labels from 0 to 2, got Cell\("):
        ALL.from_cell(cell)


def test_enumeration_is_every_allowed_architecture_in_order() -> None:
    free = {(0, 1), (0, 2), (1, 2), (1, 6), (2, 6), (0, 6)}
    edges = tuple(Decision(f"edge {a}->{b}", d.options if (a, b) in free else d.options[:1])
                  for (a, b), d in zip(EDGES, ALL.decisions, strict=False))  # fmt: skip
    space = NasBench101("small", edges + tuple(Decision(f"vertex {v}", OPERATIONS[:2]) for v in range(1, 6)))
    every = [arch for arch in product(*(range(len(d.options)) for d in space.decisions)) if space.allows(arch)]
    assert list(space) == every
    without = sum((a & d) | (b & e) | (a & c & e) for a, b, c, d, e in product((0, 1), repeat=5))
    assert len(every) == (2**5 + without) * 2**5  # with the edge 0->6, and without it


def test_enumeration_begins_with_the_smallest_cell() -> None:
    assert [ALL.format(arch) for arch in islice(ALL, 2)] == ["output~0", "conv3x3~|" * 4 + "conv1x1~|output~0"]


def test_restricted_spaces() -> None:
    space = nasbench101((CONV1, POOL), "nasbench101-light")
    arch = space.parse("maxpool3x3~0|output~1")
    assert arch[21:] == (1, 0, 0, 0, 0)
    assert space.cell(arch) == Cell(5, (2,))
    assert space.canonical(arch) == arch
    with pytest.raises(ValueError, match=r"'conv3x3-bn-relu' of .* is not in nasbench101-light; vertex 1 takes one of"):
        space.parse("conv3x3~0|output~1")
    with pytest.raises(ValueError, match="edge 0->2 takes one of absent"):
        ALL.only(arch_of({(0, 1), (1, 6)})).parse("conv3x3~0|conv3x3~0|output~12")


def test_other_decisions_are_refused() -> None:
    with pytest.raises(ValueError, match="NAS-Bench-101 has 26 decisions, got 6"):
        NasBench101("odd", OTHER.decisions)
    with pytest.raises(ValueError, match=r"vertex 1 takes options of .*; got the unknown \['conv5x5'\]"):
        nasbench101(("conv5x5",))


def test_canonical_is_shared_by_equal_hashes_alone() -> None:
    hashes: dict[str, set[Arch]] = {}
    for arch in DRAWN:
        hashes.setdefault(ALL.graph_hash(arch), set()).add(ALL.canonical(arch))
    assert all(len(same) == 1 for same in hashes.values())
    assert len(set().union(*hashes.values())) == len(hashes) < len(DRAWN)


def test_three_of_four_random_graphs_are_allowed() -> None:
    """1,538,083 of 2,097,152, by enumeration; so rejection sampling works."""
    rng = np.random.default_rng(0)
    n, chance = 4000, 1_538_083 / 2**21
    accepted = sum(ALL.allows(tuple(row)) for row in rng.integers([2] * 21 + [3] * 5, size=(n, 26)).tolist())
    assert abs(accepted - n * chance) < 4 * (n * chance * (1 - chance)) ** 0.5


def test_channels_are_the_official_ones() -> None:
    uneven = 0
    for arch in DRAWN:
        cell = ALL.cell(arch)
        for width in (8, 128, 256):
            official = compute_vertex_channels(width, width, np.array(cell.graph()[0]))[1:-1]
            assert list(vertex_channels(cell.bits, cell.vertices, width)) == official
            uneven += len(set(official)) > 1
    assert uneven > 20


class Alone(nn.Module):
    """The reference network, called as networks are here."""

    def __init__(self, cell: Cell, channels: int, modules: int, classes: int) -> None:
        super().__init__()
        matrix, operations = cell.graph()
        graph = np.array(matrix), operations
        self.net = Network(graph, classes, stem_out_channels=channels, num_modules_per_stack=modules)

    def forward(self, x: Tensor, gates: object) -> Tensor:
        return self.net(x)


@pytest.mark.parametrize(("channels", "modules", "classes", "size"), [(8, 2, 10, 16), (12, 1, 7, 8)])
def test_cost_is_that_of_the_reference_network(channels: int, modules: int, classes: int, size: int) -> None:
    for cell in [Cell(1, ()), *(ALL.cell(arch) for arch in DRAWN[:12])]:
        net = Alone(cell, channels, modules, classes)
        got, expected = counted(net, (), size), cost(cell, channels, modules, classes, size)
        assert got.params == expected.params
        assert got.mflops == pytest.approx(expected.mflops)


@pytest.mark.parametrize(
    ("text", "params"),
    [
        ("output~0", 882570),
        ("conv3x3~0|output~1", 10177674),
        ("maxpool3x3~0|output~01", 1756298),
        ("conv1x1~0|output~01", 2793866),
    ],
)
def test_published_parameters(text: str, params: int) -> None:
    assert cost(ALL.cell(ALL.parse(text))).params == params


def test_cost_by_hand() -> None:
    """C=1, one cell a stack, 2 classes, 4x4 images: a 1x1 projection in each stack alone."""
    got = cost(Cell(1, ()), channels=1, modules=1, classes=2, image_size=4)
    assert got.params == (27 + 2) + (1 + 2) + (2 + 4) + (8 + 8) + (4 * 2 + 2)
    assert got.mflops == pytest.approx((27 * 16 + 1 * 16 + 2 * 4 + 8 * 1 + 10) / 1e6)


def test_facts_count_what_is_connected() -> None:
    arch = ALL.parse("conv3x3~0|conv1x1~1|conv3x3~|maxpool3x3~2|conv3x3~0|output~4")
    facts, whole = ALL.facts(arch), cost(ALL.cell(arch))
    assert (facts["parameters"], facts["multiply_adds"]) == (whole.params, whole.mflops)
    assert (facts["live_parameters"], facts["live_multiply_adds"]) == (whole.params, whole.mflops)
    assert (facts["convolutions"], facts["convolutions_3x3"], facts["live_depth"]) == (2, 1, 3)
    assert ALL.facts(ALL.parse("output~0"))["live_depth"] == 0

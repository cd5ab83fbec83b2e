"""How often random cells are which model: counted, and drawn."""

from __future__ import annotations

import numpy as np
import pytest

from oneshot.samplers.encoding import ByNumbers
from oneshot.samplers.exact_edges import ExactEdges
from oneshot.spaces.nasbench101 import ALL, EDGES
from oneshot.spaces.nasbench101_batch import Cells, models
from oneshot.spaces.nasbench101_shares import graphs_of, model_shares


def test_graphs_of_so_many_edges() -> None:
    assert len(graphs_of()) == 2**21
    assert len(graphs_of(9)) == 293_930  # 21 over 9
    assert len(graphs_of(0)) == 1


@pytest.mark.parametrize(
    ("graph", "chances"),
    [
        ("conv3x3~0|conv3x3~1|output~2", [1 / 9] * 9),  # one after the other: the order of the operations counts
        ("conv3x3~0|conv3x3~0|output~12", [1 / 9] * 3 + [2 / 9] * 3),  # side by side: it does not
    ],
)
def test_two_vertices(graph: str, chances: list[float]) -> None:
    bits = sum(1 << k for k, edge in enumerate(ALL.parse(graph)[: len(EDGES)]) if edge)
    shares = model_shares(np.array([bits, 0]))  # without any edge it is no cell
    assert np.sort(shares[shares > 0]) == pytest.approx(chances)


def test_graphs_without_cells_are_refused() -> None:
    with pytest.raises(ValueError, match="connect input and output, got 2 that do not"):
        model_shares(np.array([0, 1 << 10]))


def test_cells_of_nine_edges_are_drawn_as_often_as_counted() -> None:
    shares = model_shares(graphs_of(9))
    assert shares.sum() == pytest.approx(1)
    drawn = Cells.of(ByNumbers(ExactEdges(ALL)).draw(4_000, np.random.default_rng(0)))
    found = drawn.facts()
    for name, values in models().facts().items():
        error = np.sqrt((shares @ values**2 - (shares @ values) ** 2) / len(drawn))
        assert found[name].mean() == pytest.approx(shares @ values, abs=float(4 * error)), name
    sizes = np.bincount(models().vertices_N, shares, 8)
    assert np.bincount(drawn.vertices_N, minlength=8) / len(drawn) == pytest.approx(sizes, abs=0.04)

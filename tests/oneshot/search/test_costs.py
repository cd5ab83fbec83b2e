"""Costs by architecture, against published values and against counting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oneshot.benchmarks.table import find_table

from oneshot.cost import Cost
from oneshot.search.costs import formula, measures
from oneshot.space import Arch, Space
from oneshot.spaces import fairnas, nasbench101, nasbench201
from oneshot.spaces.nasbench101 import ALL as CELLS
from oneshot.spaces.nasbench101_cell import Cell
from oneshot.spaces.nasbench201 import ALL, NasBench201
from oneshot.spaces.sequential import sequential

# the inception-like cell of the official API's example
INCEPTION = "conv1x1~0|conv3x3~0|conv3x3~0|conv3x3~2|maxpool3x3~034|output~15"


def test_published_costs_of_nasbench201(real_data: Path) -> None:
    table, cost = find_table(real_data / "nasbench201.parquet"), formula(ALL)
    assert cost is not None
    rows = np.random.default_rng(0).choice(len(table), 50, replace=False)
    for row in rows:
        found = cost(table.archs[row])
        assert found.params == table.values("cifar10_params")[row]
        assert found.mflops == pytest.approx(table.values("cifar10_mflops")[row], rel=1e-4)


def test_published_parameters_of_nasbench101(real_data: Path) -> None:
    frame = pd.read_parquet(real_data / "nasbench101.parquet", columns=["adj_bits", "ops", "trainable_parameters"])
    for bits, operations, params in frame.sample(200, random_state=0).itertuples(index=False):
        arch = CELLS.from_cell(Cell(int(bits), tuple(map(int, operations))))
        assert cost_of(CELLS, arch).params == params


def cost_of(space: Space, arch: Arch, **size: int) -> Cost:
    cost = formula(space, **size)
    assert cost is not None
    return cost(arch)


def test_isomorphic_cells_cost_the_same() -> None:
    one, other = CELLS.parse("conv1x1~0|conv3x3~0|output~012"), CELLS.parse("conv3x3~0|conv1x1~0|output~012")
    assert one != other
    assert cost_of(CELLS, one) == cost_of(CELLS, other)


def test_sizes() -> None:
    arch, cell, chain = (3,) * 6, CELLS.parse(INCEPTION), (0,) * 19
    sizes = {"channels": 4, "cells": 1, "classes": 7, "image_size": 8}
    assert cost_of(ALL, arch, **sizes) == nasbench201.cost(ALL.operations(arch), **sizes)
    assert cost_of(CELLS, cell, cells=1) == nasbench101.cost(CELLS.cell(cell).canonical(), modules=1)
    assert cost_of(CELLS, cell, cells=1) != cost_of(CELLS, cell)
    assert cost_of(fairnas.ALL, chain, cells=3) == fairnas.cost(fairnas.ALL.operations(chain))
    with pytest.raises(ValueError, match="has the sizes channels, cells, classes, image_size, got depth"):
        formula(ALL, depth=3)


def test_spaces_with_a_cost_of_their_own_and_without() -> None:
    class Priced(NasBench201):
        def cost(self, arch: tuple[int, ...], **size: int) -> Cost:
            return Cost(sum(arch), size.get("channels", 1))

    found = formula(Priced("priced", ALL.decisions), channels=9)
    assert found is not None
    known = measures(found)
    assert (known["params"]((1,) * 6), known["macs"]((1,) * 6)) == (6.0, 9)
    assert formula(sequential("mine", ("a", "b"), 3)) is None

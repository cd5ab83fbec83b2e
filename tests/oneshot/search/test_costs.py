"""Costs by architecture, against published values and against counting."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oneshot.benchmarks.table import find_table

from oneshot.cost import Cost
from oneshot.search.costs import measures
from oneshot.spaces import fairnas, nasbench101, nasbench201
from oneshot.spaces.nasbench101 import ALL as CELLS
from oneshot.spaces.nasbench101_cell import Cell
from oneshot.spaces.nasbench201 import ALL, NasBench201
from oneshot.spaces.sequential import sequential

# the inception-like cell of the official API's example
INCEPTION = "conv1x1~0|conv3x3~0|conv3x3~0|conv3x3~2|maxpool3x3~034|output~15"


def test_published_costs_of_nasbench201(real_data: Path) -> None:
    table, cost = find_table(real_data / "nasbench201.parquet"), ALL.cost
    rows = np.random.default_rng(0).choice(len(table), 50, replace=False)
    for row in rows:
        found = cost(table.archs[row])
        assert found.params == table.values("cifar10_params")[row]
        assert found.mflops == pytest.approx(table.values("cifar10_mflops")[row], rel=1e-4)


def test_published_parameters_of_nasbench101(real_data: Path) -> None:
    frame = pd.read_parquet(real_data / "nasbench101.parquet", columns=["adj_bits", "ops", "trainable_parameters"])
    for bits, operations, params in frame.sample(200, random_state=0).itertuples(index=False):
        arch = CELLS.from_cell(Cell(int(bits), tuple(map(int, operations))))
        assert CELLS.cost(arch).params == params


def test_isomorphic_cells_cost_the_same() -> None:
    one, other = CELLS.parse("conv1x1~0|conv3x3~0|output~012"), CELLS.parse("conv3x3~0|conv1x1~0|output~012")
    assert one != other
    assert CELLS.cost(one) == CELLS.cost(other)


def test_sizes() -> None:
    arch, cell, chain = (3,) * 6, CELLS.parse(INCEPTION), (0,) * 19
    sizes = {"channels": 4, "cells": 1, "classes": 7, "image_size": 8}
    assert ALL.cost(arch, **sizes) == nasbench201.cost(ALL.operations(arch), **sizes)
    assert CELLS.cost(cell, cells=1) == nasbench101.cost(CELLS.cell(cell).canonical(), modules=1)
    assert CELLS.cost(cell, cells=1) != CELLS.cost(cell)
    assert fairnas.ALL.cost(chain, cells=3) == fairnas.cost(fairnas.ALL.operations(chain))


def test_a_search_reads_a_space_s_own_costs() -> None:
    class Priced(NasBench201):
        def cost(self, arch: tuple[int, ...], **size: int) -> Cost:
            return Cost(sum(arch), size.get("channels", 1))

    known = measures(partial(Priced("priced", ALL.decisions).cost, channels=9))
    assert (known["params"]((1,) * 6), known["macs"]((1,) * 6)) == (6.0, 9)


def test_a_space_without_a_network_has_no_costs() -> None:
    with pytest.raises(ValueError, match="no search space 'mine'"):
        sequential("mine", ("a", "b"), 3).cost((0, 0, 0))

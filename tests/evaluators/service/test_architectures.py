"""What architectures are and cost, the front of what is known, and the best single change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from oneshot.benchmarks.table import Benchmark, write
from oneshot.evaluators.service.describing import Costs, cells, neighbours, operations, scattered
from oneshot.evaluators.service.ranking import Known

from oneshot.registry import SPACES
from oneshot.samplers.uniform import distinct
from oneshot.space import Arch, Space
from oneshot.spaces.darts import ALL as DARTS
from oneshot.spaces.nasbench101 import ALL as NASBENCH101
from oneshot.spaces.nasbench201 import ALL
from oneshot.spaces.sequential import sequential
from tests.evaluators.service.serving import ARCHS, STRINGS, Counting, Served, accuracy, failed, table


def some(space: Space, count: int = 3) -> list[Arch]:
    return distinct(space, count, np.random.default_rng(0))


def test_cells_and_costs(tmp_path: Path) -> None:
    served = Served(tmp_path)
    asked = [STRINGS[0], list(ARCHS[1])]
    found = served.run(lambda client: client.post("/v1/architectures", json={"architectures": asked})).json()
    rows = found["architectures"]
    assert [row["arch"] for row in rows] == STRINGS[:2]
    for row, arch in zip(rows, ARCHS, strict=False):
        cost = ALL.cost(arch)
        assert row["cost"] == {"params": cost.params, "mflops": pytest.approx(cost.mflops)}
        (cell,) = row["cells"]
        assert len(cell["edges"]) == sum(o != "none" for o in ALL.operations(arch))
    assert not served.evaluator.asked


@pytest.mark.parametrize("name", [name for name in SPACES if name not in ("nasbench201-any",)])
def test_every_space_is_described(name: str) -> None:
    space = SPACES[name]
    for arch in some(space):
        graphs = cells(space, arch)
        named = {operation for edges in graphs.values() for _, _, operation in edges} - {""}
        assert named <= set(operations(space))
        assert Costs(space, {}, None)(arch)["params"]


def test_reduction_cells_and_vertices() -> None:
    assert set(cells(DARTS, some(DARTS)[0])) == {"normal cell", "reduction cell"}
    (edges,) = cells(NASBENCH101, NASBENCH101.parse("conv1x1~0|conv3x3~0|output~12")).values()
    vertices = "1 conv1x1-bn-relu", "2 conv3x3-bn-relu"
    assert set(edges) == {("input", v, "") for v in vertices} | {(v, "output", "") for v in vertices}


def test_what_has_no_network_has_no_cost() -> None:
    costs = Costs(sequential("nowhere", ("a", "b"), 3), {}, None)
    assert costs((0, 1, 0)) == {"params": None, "mflops": None}


def known_of(archs: list[Arch]) -> Known:
    known = Known(ALL)
    known.add(known.rows(archs, Counting()(archs).values))
    return known


def test_nothing_undercuts_the_front() -> None:
    found = scattered(known_of(ARCHS), Costs(ALL, {"channels": 8, "cells": 1}, None))
    assert found["predicted"] == sorted(found["predicted"], reverse=True)
    for name in ("params", "mflops"):
        points = list(zip(found["predicted"], found["costs"][name], strict=True))
        front = [points[i] for i in found["fronts"][name]]
        assert front[0][0] == max(found["predicted"])
        for a, c in front:
            assert not [1 for other, cost in points if (other > a and cost <= c) or (other >= a and cost < c)]
        assert [c for _, c in front] == sorted((c for _, c in front), reverse=True)
    assert set(found["archs"]) == set(STRINGS)


def test_fronts_survive_thinning(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = scattered(known_of(ARCHS), Costs(ALL, {}, None))
    monkeypatch.setattr("oneshot.evaluators.service.describing.POINTS", 10)
    few = scattered(known_of(ARCHS), Costs(ALL, {}, None))
    assert len(few["archs"]) < 40
    for name in ("params", "mflops"):
        assert [few["archs"][i] for i in few["fronts"][name]] == [whole["archs"][i] for i in whole["fronts"][name]]


def test_latencies_are_those_of_the_table(tmp_path: Path) -> None:
    times = np.arange(len(ARCHS), dtype=float)
    columns = {"digits_test": table(tmp_path).values("digits_test"), "edgegpu_latency": times}
    truth: Benchmark = write(tmp_path / "timed.parquet", ARCHS, columns, ALL, {})
    served = Served(tmp_path, truth=truth)
    served.post(STRINGS[:20])
    found = served.get("/v1/costs").json()
    ms = dict(zip(found["archs"], found["costs"]["edgegpu_latency"], strict=True))
    assert ms[STRINGS[7]] == 7.0
    assert found["known"] == 20


def test_one_change_is_one_change() -> None:
    arch = ARCHS[3]
    found = neighbours(ALL, arch)
    assert len({ALL.canonical(each) for _, _, each in found} | {ALL.canonical(arch)}) == len(found) + 1
    for decision, option, changed in found:
        assert [i for i in range(6) if changed[i] != arch[i]] == [decision]
        assert changed[decision] == option
    for space in (DARTS, NASBENCH101):
        origin = some(space)[0]
        assert neighbours(space, origin)
        assert all(space.allows(each) for _, _, each in neighbours(space, origin))


def test_the_best_change(tmp_path: Path) -> None:
    served = Served(tmp_path)
    arch = ARCHS[3]
    found = served.get(f"/v1/improvements/{','.join(map(str, arch))}?limit=2").json()
    changes = neighbours(ALL, arch)
    best = max(accuracy(each) for _, _, each in changes)
    assert found["of"]["arch"] == STRINGS[3]
    assert found["tried"] == len(changes)
    assert len(found["changes"]) == 2
    first: dict[str, Any] = found["changes"][0]
    assert first["prediction"]["accuracy"] == best
    place = [d.name for d in ALL.decisions].index(first["decision"])
    assert first["before"] == ALL.decisions[place].options[arch[place]]
    assert first["option"] == ALL.decisions[place].options[first["prediction"]["indices"][place]]
    failed(served.get("/v1/improvements/no-cell"), 422, "'no-cell' is no NAS-Bench-201 string")
    failed(Served(tmp_path, archs=5).get(f"/v1/improvements/{STRINGS[3]}"), 413, "differ in one decision")


def test_too_much_is_refused(tmp_path: Path) -> None:
    asked = {"architectures": [list(ARCHS[0])] * 201}
    answer = Served(tmp_path).run(lambda client: client.post("/v1/architectures", json=asked))
    failed(answer, 413, "200 architectures described")


def test_random_ones_are_of_the_space(tmp_path: Path) -> None:
    served = Served(tmp_path, Counting(DARTS))
    answers = [served.get("/v1/random") for _ in range(5)]
    assert len({answer.json()["arch"] for answer in answers}) == 5
    assert all(DARTS.allows(tuple(answer.json()["indices"])) for answer in answers)
    assert {answer.headers["cache-control"] for answer in answers} == {"no-store"}
    assert not served.evaluator.asked


def test_how_many_were_measured(tmp_path: Path) -> None:
    served = Served(tmp_path, truth=table(tmp_path, ARCHS[:7]))
    served.post(STRINGS[:20])
    ranking = served.get("/v1/ranking").json()
    assert (ranking["known"], ranking["measured"]) == (20, 7)

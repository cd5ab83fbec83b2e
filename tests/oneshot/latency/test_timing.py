"""Latencies: medians whose intervals hold, whole networks, and sums over operations that were measured once."""

from __future__ import annotations

import json
import time
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest
import torch

from oneshot.export.extract import Extracted, untrained
from oneshot.latency.networks import measure
from oneshot.latency.table import OperationTable, compared
from oneshot.latency.timing import Latency, Timing, timed
from oneshot.registry import SPACES, skeleton_of
from oneshot.runs.config import Config
from oneshot.samplers.uniform import distinct

FAST = Timing(warmup=1, rounds=9)
BIG = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"
SMALL = "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|"


def network(arch: str, channels: int = 4) -> Extracted:
    config = Config.of(channels=channels, cells=1)
    return untrained(config, SPACES["nasbench201"].parse(arch), 10, 8)


def test_the_interval_holds_the_median_as_often_as_it_says() -> None:
    rng, hits = np.random.default_rng(0), 0
    for _ in range(400):
        found = Latency.of((rng.exponential(1e-3, 31)).tolist())
        assert found.low <= found.median <= found.high
        hits += found.low <= np.log(2) <= found.high
    assert 0.93 <= hits / 400 <= 0.995


def test_calls_are_timed_in_turn_after_a_warm_up() -> None:
    order: list[str] = []

    def call(name: str, seconds: float) -> None:
        order.append(name)
        time.sleep(seconds)

    found = timed({"a": lambda: call("a", 0.001), "b": lambda: call("b", 0.004)}, Timing(warmup=2, rounds=5))
    assert order == ["a", "a", "b", "b", *["a", "b"] * 5]
    assert 1 <= found["a"].median < found["b"].median
    before = torch.get_num_threads()
    timed({"a": lambda: order.append(str(torch.get_num_threads()))}, Timing(warmup=0, rounds=5, threads=2))
    assert order[-1] == "2"
    assert torch.get_num_threads() == before


def test_whole_networks_by_every_program_that_is_here() -> None:
    pytest.importorskip("onnxruntime", reason='needs the extra: pip install -e ".[export]"')
    networks = {"big": network(BIG, 16), "small": network(SMALL, 16)}
    for backend in ("torch", "onnxruntime"):
        found = measure(networks, backend, [1, 32], FAST)
        medians = {(row["name"], row["batch_size"]): row["median"] for row in found["rows"]}
        assert medians["big", 32] > medians["small", 32]
        assert medians["big", 32] > medians["big", 1]
        protocol = found["protocol"]
        assert (protocol["backend"], protocol["rounds"], protocol["threads"]) == (backend, 9, 1)
        assert protocol["processor"]
    with pytest.raises(ValueError, match="no backend 'tpu'; there are torch, cuda, onnxruntime"):
        measure(networks, "tpu")
    with pytest.raises(ValueError, match="batch sizes must be at least 1"):
        measure(networks, "torch", [0])
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="backend cuda needs a GPU"):
            measure(networks, "cuda")


def test_an_operation_is_measured_once_and_a_network_is_their_sum(tmp_path: Path) -> None:
    table = OperationTable(2, FAST)
    module = network(BIG)
    first = table(module)
    times = dict(table.times)
    assert first == pytest.approx(table(module))
    assert table.times == times
    kinds = {key.split()[0] for key in times}
    assert "aten.convolution.default" in kinds
    assert any("batch_norm" in kind for kind in kinds)
    table.times = dict.fromkeys(times, 1.0)
    operations = table(module)
    assert operations > len(times)  # some run several times
    table.times, table.between = dict.fromkeys(times, 0.0), 0.0
    table.fit([module], [operations * 0.5])
    assert table.between == pytest.approx(0.5)
    assert table(module) == pytest.approx(operations * 0.5)
    table(network("|avg_pool_3x3~0|+|none~0|none~1|+|none~0|avg_pool_3x3~1|none~2|"))
    assert len(table.times) > len(times)
    table.save(tmp_path / "ops.json")
    again = OperationTable.open(tmp_path / "ops.json")
    assert (again.times, again.between, again.batch, again.timing) == (table.times, table.between, 2, FAST)


@pytest.mark.parametrize("space", SPACES)
def test_every_space_has_sums(space: str) -> None:
    known, sizes = {f.name for f in fields(skeleton_of(space))}, {"channels": 8, "cells": 1}
    config = Config.of(space=space, **{f"space.{k}": v for k, v in sizes.items() if k in known})
    table, arch = OperationTable(1, Timing(warmup=0, rounds=5)), distinct(SPACES[space], 1, np.random.default_rng(0))[0]
    module = untrained(config, arch, 10, 32)
    expected, known = table(module), dict(table.times)
    assert table.of(config, arch, 10, 32) == pytest.approx(expected)
    assert table.times == known


def test_a_table_of_another_machine_is_refused(tmp_path: Path) -> None:
    table, path = OperationTable(1, FAST), tmp_path / "ops.json"
    table(network(SMALL))
    table.save(path)
    document = json.loads(path.read_text())
    document["protocol"]["processor"] = "Another"
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="was measured elsewhere: processor Another there"):
        OperationTable.open(path)
    for content, words in (("[]", "is no table of operations"), ("{", "is no JSON document")):
        path.write_text(content)
        with pytest.raises(ValueError, match=words):
            OperationTable.open(path)
    del document["operations"]
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match="is no whole table"):
        OperationTable.open(path)


def test_how_far_sums_are_off() -> None:
    found = compared([1.0, 2.0, 4.0], [1.0, 2.5, 5.0])
    assert found["median_error"] == pytest.approx(0.2)
    assert found["largest_error"] == pytest.approx(0.2)
    assert found["kendall_tau"] == pytest.approx(1)
    assert compared([1.0], [2.0])["kendall_tau"] is None


@pytest.mark.parametrize(("values", "words"), [({"rounds": 1}, "rounds"), ({"threads": 0}, "threads")])
def test_timings_that_say_nothing(values: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Timing(**values)

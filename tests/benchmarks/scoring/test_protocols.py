"""Which architectures a protocol chooses: against slow rules, whatever the order of the table."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from oneshot.benchmarks.scoring.measures import kendall_tau
from oneshot.benchmarks.scoring.protocols import PREDICTED, STRATA, equivalences, protocol_named, seed_column
from oneshot.benchmarks.table import Benchmark, find_table, write

from oneshot.spaces.nasbench201 import ALL, CONV


def chosen(table: Benchmark, name: str, seed: int = 0, column: str = "digits_test_20") -> list[str]:
    rows = protocol_named(name, seed).rows(table, table.values(column))
    assert rows is not None
    assert rows.tolist() == sorted(set(rows.tolist()))
    return [table.strings[row] for row in rows]


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Benchmark:
    """All 15,625 cells with a random truth."""
    truth = np.random.default_rng(0).random(15_625)
    return write(tmp_path_factory.mktemp("all") / "all.parquet", list(ALL), {"x_test": truth}, ALL, {})


def test_predicted_leaves_the_choice_to_the_file(table: Benchmark) -> None:
    assert PREDICTED.rows(table, table.values("digits_test_20")) is None
    assert protocol_named("predicted") is PREDICTED


def test_full_is_every_architecture_with_a_truth(table: Benchmark, tmp_path: Path) -> None:
    assert chosen(table, "full") == table.strings
    truth = np.where(np.arange(64) % 4 == 0, np.nan, table.values("digits_test_20"))
    holes = write(tmp_path / "holes.parquet", table.archs, {"digits_test_20": truth}, CONV, {})
    assert chosen(holes, "full") == [text for i, text in enumerate(table.strings) if i % 4]
    assert {*chosen(holes, "random-40")} < {*chosen(holes, "full")}


@pytest.mark.parametrize("name", ["random-20", "stratified-30", "unique"])
def test_a_choice_depends_on_architectures_and_seed_alone(table: Benchmark, tmp_path: Path, name: str) -> None:
    turned = write(
        tmp_path / "turned.parquet",
        table.archs[::-1],
        {"digits_test_20": table.values("digits_test_20")[::-1]},
        CONV,
        {},
    )
    assert sorted(chosen(turned, name)) == sorted(chosen(table, name))
    if name != "unique":
        assert chosen(table, name, seed=1) != chosen(table, name)


def test_random_takes_every_architecture_equally_often(table: Benchmark) -> None:
    counts = Counter(text for seed in range(300) for text in chosen(table, "random-16", seed))
    assert sum(counts.values()) == 300 * 16
    expected, deviation = 300 / 4, np.sqrt(300 * 0.25 * 0.75)
    assert len(counts) == 64
    assert max(abs(count - expected) for count in counts.values()) < 4 * deviation


def test_random_of_fewer_is_all(table: Benchmark) -> None:
    assert chosen(table, "random-1000") == table.strings


def test_unique_is_one_of_each_class(everything: Benchmark) -> None:
    one_each = chosen(everything, "unique", column="x_test")
    assert len(one_each) == 4930
    assert chosen(everything, "unique-4930", column="x_test") == one_each
    canonical = {ALL.canonical(ALL.parse(text)) for text in one_each}
    assert len(canonical) == 4930
    members: dict[tuple[int, ...], list[str]] = {}
    for text in everything.strings:
        members.setdefault(ALL.canonical(ALL.parse(text)), []).append(text)
    assert sorted(one_each) == sorted(min(texts) for texts in members.values())


def test_unique_6466_is_the_published_rule(everything: Benchmark) -> None:
    one_each = chosen(everything, "unique-6466", column="x_test")
    assert len({ALL.published_class(ALL.parse(text)) for text in one_each}) == len(one_each) == 6466
    assert list(equivalences(ALL)) == ["canonical", "published"]


def test_a_rule_with_another_number_of_classes_is_refused(everything: Benchmark, table: Benchmark) -> None:
    message = "expected 15 classes among the 15625 .* found 4930 by the canonical rule, 6466 by the published rule"
    with pytest.raises(ValueError, match=message):
        chosen(everything, "unique-15", column="x_test")
    with pytest.raises(ValueError, match="expected 6466 classes among the 64 architectures of small"):
        chosen(table, "unique-6466")


@pytest.mark.parametrize("count", [1, 19, 20, 33, 47, 64])
def test_strata_are_as_equal_as_their_sizes_allow(table: Benchmark, tmp_path: Path, count: int) -> None:
    rng = np.random.default_rng(count)
    truth = rng.beta(8, 1, 64) * 80 + 10
    skewed = write(tmp_path / "skewed.parquet", table.archs, {"digits_test_20": truth}, CONV, {})
    edges = np.linspace(truth.min(), truth.max(), STRATA + 1)
    stratum = np.clip(np.searchsorted(edges, truth, "right") - 1, 0, STRATA - 1)
    sizes = np.bincount(stratum, minlength=STRATA)
    picked = [skewed.strings.index(text) for text in chosen(skewed, f"stratified-{count}")]
    taken = np.bincount(stratum[picked], minlength=STRATA)
    assert taken.sum() == count
    for a, b in combinations(range(STRATA), 2):
        for less, more in ((a, b), (b, a)):
            assert taken[less] >= taken[more] - 1 or taken[less] == sizes[less]


def test_strata_of_a_constant_or_small_table(table: Benchmark, tmp_path: Path) -> None:
    constant = write(tmp_path / "constant.parquet", table.archs, {"digits_test_20": np.ones(64)}, CONV, {})
    assert len(chosen(constant, "stratified-30")) == 30
    with pytest.raises(ValueError, match="stratified-320 needs as many architectures, small has 64"):
        chosen(table, "stratified-320")


@pytest.mark.parametrize("name", ["", "random", "random-0", "random-x", "stratified", "Full", "unique-", "full-3"])
def test_unknown_names(name: str) -> None:
    with pytest.raises(ValueError, match=r"unknown scoring protocol .*; expected predicted, full, random-N"):
        protocol_named(name)


def test_protocols_say_what_they_are() -> None:
    assert [protocol_named(name, 3).name for name in ("random-7", "stratified-7", "unique-7")] == [
        "random-7",
        "stratified-7",
        "unique-7",
    ]
    assert (protocol_named("random-7", 3).seed, protocol_named("full", 3).seed) == (3, None)


def test_single_seeds_have_columns(table: Benchmark, tmp_path: Path) -> None:
    values = np.arange(64.0)
    columns = {"x_test": values, "x_test_seed3": values, "x_test_seed4": values, "y_run0": values, "y": values}
    seeds = write(tmp_path / "seeds.parquet", table.archs, columns, CONV, {})
    assert seed_column(seeds, "x_test", 3) == "x_test_seed3"
    assert seed_column(seeds, "y", 0) == "y_run0"
    with pytest.raises(
        ValueError, match=r"no column 'x_test_seed5'; of 'x_test' it has 'x_test_seed3', 'x_test_seed4'"
    ):
        seed_column(seeds, "x_test", 5)
    with pytest.raises(ValueError, match="it has none of single seeds"):
        seed_column(table, "digits_test_20", 0)


def test_stratified_correlations_are_not_those_of_the_space(real_data: Path) -> None:
    table = find_table("nasbench201", real_data)
    truth = table.values("cifar10_test_200")
    for column, full, stratified in (("cifar10_valid_12", 0.5943, 0.87), ("cifar10_params", 0.5778, 0.49)):
        taus = {}
        for name in ("full", "random-1000", "stratified-320"):
            rows = protocol_named(name).rows(table, truth)
            taus[name] = kendall_tau(table.values(column)[rows], truth[rows])
        assert taus["full"] == pytest.approx(full, abs=5e-5)
        assert taus["random-1000"] == pytest.approx(full, abs=0.04)
        assert taus["stratified-320"] == pytest.approx(stratified, abs=0.05)

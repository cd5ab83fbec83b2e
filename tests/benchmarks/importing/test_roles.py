"""What an import declares of a table's columns, and what it refuses to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from oneshot.benchmarks.importing.files import import_any
from oneshot.benchmarks.importing.roles import Roles, declare
from oneshot.benchmarks.scoring.predictions import Predicted
from oneshot.benchmarks.scoring.protocols import seed_column
from oneshot.benchmarks.scoring.score import score
from oneshot.benchmarks.table import Benchmark, write

from oneshot.spaces.nasbench201 import CONV
from tests.benchmarks.official201 import write_pth

ARCHS = [CONV.format(arch) for arch in CONV]
NAMES = ("cifar10_test", "cifar10_test_0", "cifar10_test_1", "cifar10_test_2", "cifar10_valid", "steps")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A mean, the three seeds that it is of, a second measurement, whole numbers, and a text."""
    rng = np.random.default_rng(0)
    seeds = 90 + rng.normal(size=(64, 3))
    values = np.column_stack([seeds.mean(1), seeds, seeds.mean(1) + rng.normal(0, 0.1, 64)])
    lines = [
        f"{arch},{','.join(map(str, row))},{i},good" for i, (arch, row) in enumerate(zip(ARCHS, values, strict=True))
    ]
    path = tmp_path / "results.csv"
    path.write_text("\n".join([",".join(["arch", *NAMES, "note"]), *lines]) + "\n")
    return path


def declared(source: Path, roles: Roles, joined: tuple[Path, ...] = ()) -> Benchmark:
    return import_any(source, source.parent / "t.parquet", CONV, joined, roles)


def test_truth_ceiling_and_seeds_are_written(source: Path) -> None:
    table = declared(source, Roles("cifar10_test", "cifar10_valid", "cifar10_test_{seed}"))
    assert (table.truth, table.default_ceiling("cifar10_test")) == ("cifar10_test", "cifar10_valid")
    assert table.truth_seeds == {seed: f"cifar10_test_{seed}" for seed in range(3)}
    assert seed_column(table, "cifar10_test", 1) == "cifar10_test_1"
    with pytest.raises(
        ValueError, match="of 'cifar10_test' it has 'cifar10_test_0', 'cifar10_test_1', 'cifar10_test_2'"
    ):
        seed_column(table, "cifar10_test", 3)
    assert table.columns == NAMES
    assert table.metadata["source"]["columns_left_out"] == ["note"]
    plain = import_any(source, source.parent / "plain.parquet", CONV)
    assert plain.strings == table.strings
    for name in NAMES:
        np.testing.assert_array_equal(table.values(name), plain.values(name))


def test_the_mean_is_scored_once_it_is_named(source: Path) -> None:
    undeclared = import_any(source, source.parent / "plain.parquet", CONV)
    mean = Predicted(undeclared.strings, undeclared.values("cifar10_test"))
    with pytest.raises(ValueError, match="cifar10_test, cifar10_test_0, cifar10_test_1, cifar10_test_2 could each be"):
        score(mean, undeclared)
    report = score(mean, declared(source, Roles(truth="cifar10_test")), bootstraps=5)
    assert report.measures["kendall_tau"] == pytest.approx(1)
    assert report.protocol["truth"] == "cifar10_test"


def test_what_is_left_when_the_seeds_are_named(source: Path) -> None:
    assert declared(source, Roles(seeds="cifar10_test_{seed}")).truth == "cifar10_test"
    with pytest.raises(ValueError, match=r"declares no truth, and cifar10_test, cifar10_test_0, .* could each be it"):
        declared(source, Roles(ceiling="cifar10_valid"))


def test_what_was_declared_of_another_truth_does_not_stay(source: Path) -> None:
    first = declared(source, Roles("cifar10_test", "cifar10_valid", "cifar10_test_{seed}"))
    same = import_any(first.path, source.parent / "same.parquet", roles=Roles("cifar10_test"))
    assert {**same.metadata, "source": 0} == {**first.metadata, "source": 0}
    other = import_any(first.path, source.parent / "other.parquet", roles=Roles("cifar10_test_0"))
    assert other.truth == "cifar10_test_0"
    assert {"ceiling", "truth_seeds"} & set(other.metadata) == set()


def test_columns_that_are_joined_have_roles_too(source: Path) -> None:
    other = source.parent / "more.csv"
    other.write_text("arch,seed,digits_test\n" + "".join(f"{a},{s},{50 + s}\n" for a in ARCHS for s in (7, 8)))
    table = declared(source, Roles("cifar10_test", "digits_test_seed7"), (other,))
    assert table.default_ceiling("cifar10_test") == "digits_test_seed7"
    assert table.metadata["joined"][0]["file"] == "more.csv"


def test_an_official_file_may_be_declared_otherwise(tmp_path: Path) -> None:
    write_pth(tmp_path / "official.pth", 3)
    table = import_any(tmp_path / "official.pth", tmp_path / "t.parquet", roles=Roles("cifar100_test_200"))
    assert (table.truth, table.default_ceiling(table.default_truth())) == ("cifar100_test_200", "cifar100_valid_200")
    assert table.values("cifar10_params").tolist() == [int(value) for value in table.values("cifar10_params")]


@pytest.mark.parametrize(
    ("roles", "message"),
    [
        ({"truth": "tset"}, "the truth 'tset' of t is none of its columns 'cifar10_test', "),
        ({"truth": ""}, "the truth '' of t is none of its columns"),
        ({"truth": "note"}, "the truth 'note' of t holds no numbers"),
        ({"truth": "arch"}, "the truth 'arch' of t is none of its columns"),
        ({"truth": "cifar10_test", "ceiling": "note"}, "the ceiling 'note' of t holds no numbers"),
        ({"truth": "cifar10_test", "ceiling": "x"}, "the ceiling 'x' of t is none of its columns"),
        (
            {"truth": "steps", "ceiling": "steps"},
            "a ceiling that is a second measurement, got the truth 'steps' itself",
        ),
        ({"truth": "cifar10_test", "seeds": "test_{seed}"}, "no column of t matches 'test_{seed}'; its columns are"),
        ({"truth": "cifar10_test", "seeds": "cifar10_test"}, "a pattern with one {seed}, .*, got 'cifar10_test'"),
        ({"truth": "cifar10_test", "seeds": "{seed}_{seed}"}, "a pattern with one {seed}, .*, got '{seed}_{seed}'"),
        (
            {"truth": "cifar10_test_0", "seeds": "cifar10_test_{seed}"},
            "truth 'cifar10_test_0' is itself a single train",
        ),
        (
            {"truth": "cifar10_test", "ceiling": "cifar10_test_1", "seeds": "cifar10_test_{seed}"},
            "ceiling 'cifar10_test_1' is itself a single training by the pattern 'cifar10_test_{seed}'",
        ),
    ],
)
def test_roles_that_are_refused_write_nothing(source: Path, roles: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("{", r"\{")):
        declared(source, Roles(**roles))
    assert [path.name for path in source.parent.iterdir()] == ["results.csv"]


def test_two_columns_of_one_seed_and_a_truth_that_was_not_measured(source: Path) -> None:
    source.write_text(f"arch,a_1,a_01\n{ARCHS[0]},1,2\n")
    with pytest.raises(ValueError, match=r"'a_1' and 'a_01' of t are both seed 1 of 'a_\{seed\}'"):
        declared(source, Roles("a_1", seeds="a_{seed}"))
    table = write(source.parent / "empty.parquet", [(0,) * 6], {"a": [1.0], "b": [np.nan]}, CONV, {})
    with pytest.raises(ValueError, match="the truth 'b' of empty was measured of no architecture"):
        declare(table, Roles("b"), source.parent / "t.parquet")


def test_the_published_tables(real_data: Path, tmp_path: Path) -> None:
    roles = Roles("cifar10_test_200", "cifar10_valid_200")
    table = import_any(real_data / "nasbench201.parquet", tmp_path / "nb.parquet", roles=roles)
    assert (len(table), table.default_truth()) == (15625, "cifar10_test_200")
    assert table.default_ceiling("cifar10_test_200") == "cifar10_valid_200"

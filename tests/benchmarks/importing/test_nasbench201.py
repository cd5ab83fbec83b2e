"""Official files as tables: every value as the official API returns it, and nothing written of a file that is wrong."""

from __future__ import annotations

import bz2
import hashlib
import math
import os
import pickle
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nas_201_api
import nats_bench
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from oneshot.benchmarks.importing.nasbench201 import PICKLE, import_official, is_official
from oneshot.benchmarks.table import Benchmark, find_table

from oneshot.spaces.nasbench201 import ALL, cost
from tests.benchmarks.official201 import document, strings, write_pbz2, write_pth, write_simple

COUNT = 7
SAID = {
    "cifar10_train": ("cifar10", "train"),
    "cifar10_test": ("cifar10", "test"),
    "cifar10_half_train": ("cifar10-valid", "train"),
    "cifar10_half_test": ("cifar10-valid", "test"),
    "cifar10_valid": ("cifar10-valid", "valid"),
    **{f"cifar100_{word}": ("cifar100", word) for word in ("train", "valid", "test", "valtest")},
    **{f"imagenet16_{word}": ("ImageNet16-120", word) for word in ("train", "valid", "test", "valtest")},
}
"""Column: the API's data set and what its answer calls the split."""


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same results in every form."""
    folder = tmp_path_factory.mktemp("official")
    return {
        "pth": write_pth(folder / "NAS-Bench-201-v1_1-096897.pth", COUNT),
        "zip": write_pth(folder / "NAS-Bench-201-zip.pth", COUNT, zipped=True),
        "pbz2": write_pbz2(folder / f"NATS-tss-v1_0-3ffb9{PICKLE}", COUNT),
        "simple": write_simple(folder / "NATS-tss-v1_0-3ffb9-simple", COUNT),
    }


@pytest.fixture(scope="module")
def tables(sources: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Benchmark]:
    folder = tmp_path_factory.mktemp("tables")
    return {form: import_official(path, folder / f"{form}.parquet") for form, path in sources.items()}


def official(form: str, path: Path) -> Any:
    if form in ("pth", "zip"):  # the API itself loads by a default that torch no longer has
        return nas_201_api.NASBench201API(torch.load(path, weights_only=False), verbose=False)
    return nats_bench.create(str(path), "tss", fast_mode=form == "simple", verbose=False)


def answers(api: Any, index: int) -> dict[str, float]:
    """All that the official API says of one architecture, by the names of our columns."""
    said: dict[str, float] = {}
    for budget in (12, 200):
        for part, (dataset, word) in SAID.items():
            seeds = list(api.query_by_index(index, dataset, hp=str(budget)))
            for which in (False, *seeds):
                info = api.get_more_info(index, dataset, hp=str(budget), is_random=which)
                suffix = f"_seed{which}" if which else ""
                said[f"{part}_{budget}{suffix}"] = info[f"{word}-accuracy"]
                said[f"{part}_{budget}_loss{suffix}"] = info[f"{word}-loss"]
                said[f"{part}_{budget}_seconds{suffix}"] = info[f"{word}-{'all' if word == 'train' else 'per'}-time"]
    for dataset, network in (("cifar10", "cifar10"), ("cifar100", "cifar100"), ("ImageNet16-120", "imagenet16")):
        costs = api.get_cost_info(index, dataset, hp="200")
        said[f"{network}_params"] = costs["params"] * 1e6
        said[f"{network}_mflops"] = costs["flops"]
        said[f"{network}_latency_seconds"] = costs["latency"]
    return said


@pytest.mark.parametrize("form", ["pth", "zip", "pbz2", "simple"])
def test_every_value_is_the_official_apis(form: str, sources: dict[str, Path], tables: dict[str, Benchmark]) -> None:
    api, table = official(form, sources[form]), tables[form]
    assert table.strings == list(api.meta_archs) == strings(COUNT)
    found = set()
    for index, arch in enumerate(table.strings):
        row, said = table.row(arch), answers(api, index)
        found |= set(said)
        for name, value in row.items():
            assert value == pytest.approx(said.pop(name, math.nan), rel=1e-12, nan_ok=True), name
        assert not said
    assert found == set(table.columns)
    assert len(found) == 3 * (2 * 13 + (10 + 3 * 2) + 3 * 13) + 9  # means, seeds of 12 epochs, of 200; three networks


def test_the_forms_give_one_table(tables: dict[str, Benchmark]) -> None:
    one, *others = (pq.read_table(table.path).to_pandas() for table in tables.values())
    for other in others:
        pd.testing.assert_frame_equal(one, other, check_exact=True)


def test_means_are_over_the_seeds_that_are_there(tables: dict[str, Benchmark]) -> None:
    table = tables["pth"]
    single = np.array([table.values(f"cifar10_test_200_seed{seed}") for seed in (777, 888, 999)])
    assert np.isfinite(single).sum(0).tolist() == [1, 2, 3, 1, 2, 3, 1]
    np.testing.assert_allclose(np.nanmean(single, 0), table.values("cifar10_test_200"), rtol=1e-12)
    assert "cifar10_test_12_seed777" not in table.columns
    assert np.isfinite(table.values("cifar10_valid_12_seed777")).all()


def test_sizes_are_the_cells_own(tables: dict[str, Benchmark]) -> None:
    table = tables["pbz2"]
    for network, classes, size in (("cifar10", 10, 32), ("cifar100", 100, 32), ("imagenet16", 120, 16)):
        own = [cost(ALL.operations(arch), classes=classes, image_size=size) for arch in table.archs]
        assert table.values(f"{network}_params").tolist() == [one.params for one in own]
        assert table.values(f"{network}_mflops").tolist() == [one.mflops for one in own]


def test_the_table_says_where_it_is_from(sources: dict[str, Path], tables: dict[str, Benchmark]) -> None:
    table = tables["pth"]
    assert table.space == ALL
    assert (table.truth, table.default_ceiling("cifar10_test_200")) == ("cifar10_test_200", "cifar10_valid_200")
    assert table.default_ceiling("cifar100_test_12") == "cifar100_valid_12"
    source = table.metadata["source"]
    assert source["file"] == "NAS-Bench-201-v1_1-096897.pth"
    assert source["sha256"] == hashlib.sha256(sources["pth"].read_bytes()).hexdigest()
    assert source["importer"].startswith("oneshot-nas ")
    assert table.metadata["protocol"]["seeds"] == [111, 777, 888, 999]
    files = sorted(sources["simple"].iterdir())
    lines = "".join(f"{hashlib.sha256(file.read_bytes()).hexdigest()}  {file.name}\n" for file in files)
    assert tables["simple"].metadata["source"]["sha256"] == hashlib.sha256(lines.encode()).hexdigest()


def test_columns_go_by_the_names_of_the_published_table(real_data: Path, tables: dict[str, Benchmark]) -> None:
    published, table = find_table("nasbench201", real_data), tables["simple"]
    assert set(published.columns) - set(table.columns) == {"arch_index"}
    ours, theirs = table.query(table.strings), published.query(table.strings)
    assert ours["cifar10_params"].tolist() == theirs["cifar10_params"].tolist()
    np.testing.assert_allclose(ours["cifar10_mflops"], theirs["cifar10_mflops"], atol=1e-5)


def test_another_networks_size_is_not_believed(tmp_path: Path) -> None:
    content = document(nats_bench, 3)
    trial = content["arch2infos"][2]["200"]["all_results"]["cifar10", 999]
    trial["params"], trial["flop"] = trial["params"] + 1, trial["flop"] + 1
    table = import_official(write_pbz2(tmp_path / f"a{PICKLE}", content), tmp_path / "t.parquet")
    costs = nats_bench.create(content, "tss", verbose=False).get_cost_info(2, "cifar10", hp="200")
    assert table.values("cifar10_params")[2] == pytest.approx(costs["params"] * 1e6, rel=1e-12)
    assert table.values("cifar10_mflops")[2] == pytest.approx(costs["flops"], rel=1e-12)


def test_times_and_latencies_may_be_unknown(tmp_path: Path) -> None:
    content = document(nas_201_api, 2)
    for states in content["arch2infos"].values():
        for trial in states["full"]["all_results"].values():
            trial |= {"train_times": None, "eval_times": {}, "latency": None}
    del content["arch2infos"][0]["full"]["all_results"]["cifar10", 777]["latency"]  # an older ResultsCount
    table = import_official(write_pth(tmp_path / "a.pth", content), tmp_path / "t.parquet")
    assert "cifar10_test_200_loss" in table.columns
    assert "cifar10_test_12_seconds" in table.columns
    assert not {"cifar10_test_200_seconds", "cifar10_latency_seconds"} & set(table.columns)


def test_what_was_not_evaluated_is_no_row(tmp_path: Path) -> None:
    content = document(nas_201_api, 4)
    for states in content["arch2infos"].values():  # as in the first release: the short training on one data set only
        for dataset in ("cifar10", "cifar100", "ImageNet16-120"):
            del states["less"]["dataset_seed"][dataset]
    del content["arch2infos"][1]
    content["evaluated_indexes"].remove(1)
    table = import_official(write_pth(tmp_path / "a.pth", content), tmp_path / "t.parquet")
    assert table.strings == [text for i, text in enumerate(strings(4)) if i != 1]
    assert "cifar10_valid_12" in table.columns
    assert "cifar10_test_12" not in table.columns


def test_progress_is_told(sources: dict[str, Path], tmp_path: Path) -> None:
    told: list[int] = []
    import_official(sources["simple"], tmp_path / "t.parquet", told.append, lambda: told.append(-1))
    assert told == [COUNT] + [-1] * COUNT


def test_a_folder_takes_the_memory_of_one_architecture(tmp_path: Path) -> None:
    peaks = []
    for count in (3, 9):
        source = write_simple(tmp_path / f"{count}-simple", count)
        tracemalloc.start()
        import_official(source, tmp_path / "t.parquet")
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    whole = len(pickle.dumps(document(nats_bench, 6)))  # in memory it is several times that
    assert peaks[1] - peaks[0] < whole / 4


def test_forms_are_recognised(sources: dict[str, Path], tmp_path: Path) -> None:
    assert all(is_official(path) for path in sources.values())
    assert not is_official(tmp_path)
    assert not is_official(tmp_path / "table.csv")


Damage = Callable[[dict[str, Any]], Any]


def trial_of(content: dict[str, Any], index: int = 1, dataset: str = "cifar100") -> dict[str, Any]:
    return content["arch2infos"][index]["200"]["all_results"][dataset, 777]


DAMAGES: dict[str, tuple[Damage, str]] = {
    "a NaN accuracy": (
        lambda c: trial_of(c)["eval_acc1es"].update({"x-test@199": math.nan}),
        "'cifar100' 'x-test', 200 epochs of architecture 1 of .* an accuracy with seed 777 between 0 and 100, got nan",
    ),
    "an accuracy over 100": (lambda c: trial_of(c)["train_acc1es"].update({199: 100.1}), "'train', 200 .* got 100.1"),
    "an accuracy of text": (lambda c: trial_of(c)["train_acc1es"].update({199: "90"}), "got '90'"),
    "a loss of text": (lambda c: trial_of(c)["train_losses"].update({199: "1"}), "expected a loss .* got '1'"),
    "no last epoch": (lambda c: trial_of(c)["eval_acc1es"].pop("x-test@199"), "architecture 1 of .* KeyError"),
    "no time of an epoch": (lambda c: trial_of(c)["eval_times"].pop("x-test@5"), "architecture 1 of .* KeyError"),
    "no parameters": (lambda c: trial_of(c).update(params=None), "expected millions of parameters .* got None"),
    "a number for a list": (lambda c: trial_of(c).update(eval_names=3), "architecture 1 of .* TypeError"),
    "a latency of text": (lambda c: trial_of(c).update(latency="ab"), "architecture 1 of .* TypeError"),
    "another budget": (lambda c: trial_of(c).update(epochs=90), "no result of 'cifar100', seed 777, after 200 epochs"),
    "a missing training": (
        lambda c: c["arch2infos"][1]["200"]["all_results"].pop(("cifar10", 777)),
        r"200 epochs of architecture 1 of .*: there is no result of 'cifar10', seed 777",
    ),
    "a missing data set": (
        lambda c: c["arch2infos"][2]["12"]["dataset_seed"].pop("cifar100"),
        r"architecture 2 of .* lacks cifar100_test_12",
    ),
    "a data set missing from the first": (
        lambda c: c["arch2infos"][0]["12"]["dataset_seed"].pop("cifar100"),
        r"architecture 1 of .* has, unlike the first, cifar100_test_12",
    ),
    "no test results": (
        lambda c: [states["200"]["dataset_seed"].pop("cifar10") for states in c["arch2infos"].values()],
        "has no test results of 'cifar10' after 200 epochs",
    ),
    "a split of some seeds": (
        lambda c: trial_of(c)["eval_names"].remove("x-test"),
        "'x-test', 200 epochs of architecture 1 .* only some trainings have results",
    ),
    "seeds that are no list": (
        lambda c: c["arch2infos"][1]["200"]["dataset_seed"].update(cifar10="777"),
        "architecture 1 of .* expected a list of seeds for 'cifar10', got '777'",
    ),
    "a missing budget": (
        lambda c: c["arch2infos"][1].pop("12"),
        r"architecture 1 of .*: expected a dictionary with the dict '12', got NoneType",
    ),
    "another architecture's results": (
        lambda c: c["arch2infos"].update({1: c["arch2infos"][2]}),
        r"200 epochs of architecture 1 of .*: expected results of \|",
    ),
    "another space": (lambda c: c["meta_archs"].__setitem__(1, "64:64:8:8:16"), "architecture 1 .* no NAS-Bench-201"),
    "a string twice": (lambda c: c["meta_archs"].__setitem__(1, c["meta_archs"][0]), "are not all text, each another"),
    "a string that is none": (lambda c: c["meta_archs"].__setitem__(1, 7), "are not all text, each another"),
    "no strings": (lambda c: c.pop("meta_archs"), "expected a dictionary with the list 'meta_archs', got NoneType"),
    "too few strings": (lambda c: c["meta_archs"].pop(), "architecture 2 of .* is none of its 2 strings"),
    "no results": (lambda c: c.update(arch2infos=None), "a dictionary with the dict 'arch2infos', got NoneType"),
    "other indexes": (lambda c: c["evaluated_indexes"].remove(1), "'evaluated_indexes' of .* are not the numbers"),
    "indexes of text": (lambda c: c.update(evaluated_indexes=["a"]), "'evaluated_indexes' of .* are not the numbers"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_wrong_files_are_refused_and_nothing_is_written(tmp_path: Path, what: str) -> None:
    damage, message = DAMAGES[what]
    content = document(nats_bench, 3)
    damage(content)
    source = write_pbz2(tmp_path / f"wrong{PICKLE}", content)
    (tmp_path / "t.parquet").write_text("the table of before")
    with pytest.raises(ValueError, match=message) as error:
        import_official(source, tmp_path / "t.parquet")
    assert "wrong.pickle" in str(error.value)
    assert (tmp_path / "t.parquet").read_text() == "the table of before"
    assert len(list(tmp_path.iterdir())) == 2


def test_damaged_files_of_a_folder_are_named(tmp_path: Path) -> None:
    source = write_simple(tmp_path / "a-simple", 3)
    third = source / f"000002{PICKLE}"
    whole = third.read_bytes()
    for content in (whole[:-3], whole[: len(whole) // 2], b"BZh9" + bytes(100), b"", bz2.compress(b"not a pickle")):
        third.write_bytes(content)
        with pytest.raises(ValueError, match=r"000002.pickle.pbz2 is no bz2-compressed pickle, or a damaged one"):
            import_official(source, tmp_path / "t.parquet")
    third.write_bytes(bz2.compress(pickle.dumps([1, 2])))
    with pytest.raises(ValueError, match=r"architecture 2 of .*: expected a dictionary with the dict '200', got list"):
        import_official(source, tmp_path / "t.parquet")
    third.rename(source / f"2{PICKLE}")  # the other way in which the API looks for it
    (source / f"2{PICKLE}").write_bytes(whole)
    assert len(import_official(source, tmp_path / "t.parquet")) == 3
    (source / f"2{PICKLE}").unlink()
    with pytest.raises(ValueError, match=r"architecture 2 of .* is missing: there is no file 000002.pickle.pbz2"):
        import_official(source, tmp_path / "other.parquet")
    assert not (tmp_path / "other.parquet").exists()


def test_files_of_other_kinds(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected a .pth file, a .pickle.pbz2 file or .* got .*table.csv"):
        import_official(tmp_path / "table.csv", tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"there is no file .*a.pth"):
        import_official(tmp_path / "a.pth", tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"there is no file .*meta.pickle.pbz2"):
        import_official(tmp_path, tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=r"there is no folder .*gone to write t.parquet in"):
        import_official(tmp_path / "a.pth", tmp_path / "gone" / "t.parquet")
    source = write_pth(tmp_path / "a.pth", 1)
    source.write_bytes(source.read_bytes()[:-1000])
    with pytest.raises(ValueError, match=r"a.pth is no file of plain data by torch.save, or a damaged one"):
        import_official(source, tmp_path / "t.parquet")
    assert [path.name for path in tmp_path.iterdir()] == ["a.pth"]


def test_the_size_space_is_called_that(tmp_path: Path) -> None:
    named = tmp_path / f"NATS-sss-v1_0-50262{PICKLE}"
    named.write_bytes(b"whatever it holds")
    renamed = tmp_path / f"mine{PICKLE}"
    renamed.write_bytes(bz2.compress(pickle.dumps({"meta_archs": ["8:8:8:8:8", "8:8:8:8:16"]})))
    for source in (named, renamed):
        with pytest.raises(ValueError, match=r"is the size space of NATS-Bench \(sss, .*expected the topology space"):
            import_official(source, tmp_path / "t.parquet")


class Attack:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple:
        return os.system, (f"touch {self.marker}",)


@pytest.mark.parametrize("form", ["pth", "zip", "pbz2", "simple"])
def test_attack_files_are_refused(tmp_path: Path, form: str) -> None:
    marker = tmp_path / "marker"
    package = nas_201_api if form in ("pth", "zip") else nats_bench
    content = document(package, 2)
    content["arch2infos"][1]["full" if package is nas_201_api else "200"]["clear_net_done"] = Attack(marker)
    if package is nas_201_api:
        source = write_pth(tmp_path / "a.pth", content, form == "zip")
    elif form == "pbz2":
        source = write_pbz2(tmp_path / f"a{PICKLE}", content)
    else:
        source = write_simple(tmp_path / "a-simple", content)
    with pytest.raises(ValueError, match=r"is refused and nothing of it was run: it asks for posix.system"):
        import_official(source, tmp_path / "t.parquet")
    assert sorted(path.name for path in tmp_path.iterdir()) == [source.name]
    official(form, source).query_by_index(1, hp="200")
    assert marker.exists(), "the attack is none"


def test_a_state_that_is_a_path_opens_no_further_pickle(tmp_path: Path) -> None:
    marker, second = tmp_path / "marker", tmp_path / "second"
    second.write_bytes(bz2.compress(pickle.dumps(Attack(marker))))
    content = document(nats_bench, 2)
    content["arch2infos"][1]["200"] = str(second)
    source = write_pbz2(tmp_path / f"a{PICKLE}", content)
    with pytest.raises(ValueError, match=r"architecture 1 of .* expected a dictionary with the dict '200', got str"):
        import_official(source, tmp_path / "t.parquet")
    assert not marker.exists()
    with pytest.raises(AttributeError):
        nats_bench.create(str(source), "tss", verbose=False)
    assert marker.exists(), "the attack is none"


def test_fields_of_a_file_replace_no_methods(tmp_path: Path) -> None:
    content = document(nats_bench, 1)
    plain = import_official(write_pbz2(tmp_path / f"a{PICKLE}", content), tmp_path / "a.parquet")
    trial_of(content, 0).update({"get_eval": None, "get_train": 1, "__class__": "x"})
    more = import_official(write_pbz2(tmp_path / f"b{PICKLE}", content), tmp_path / "b.parquet")
    assert more.row(more.strings[0]) == pytest.approx(plain.row(plain.strings[0]), nan_ok=True)

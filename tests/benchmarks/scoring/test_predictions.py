"""Predictions of any origin, and what is wrong with bad ones."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oneshot.benchmarks.scoring.predictions import (
    Predicted,
    aligned,
    as_predicted,
    read_archs,
    read_methods,
    read_predictions,
)

from oneshot.space import Arch, Space
from oneshot.spaces.nasbench201 import CONV


def test_csv_parquet_and_json_give_the_same(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text("accuracy,extra,arch\n0.5,x,a\n0.25,y,b\n")
    document = {"space": "nasbench201", "protocol": {"seed": 3}}
    rows = pa.table({"arch": ["a", "b"], "accuracy": [0.5, 0.25]})
    pq.write_table(rows.replace_schema_metadata({"oneshot": json.dumps(document)}), tmp_path / "p.parquet")
    (tmp_path / "p.json").write_text(json.dumps({**document, "predictions": rows.to_pylist()}))
    for suffix in ("csv", "parquet", "json"):
        found = read_predictions(tmp_path / f"p.{suffix}")
        assert (list(found.archs), found.accuracy.tolist(), found.name) == (["a", "b"], [0.5, 0.25], f"p.{suffix}")
        assert (found.space, found.protocol) == (
            (None, {"ranked_by": "accuracy"})
            if suffix == "csv"
            else ("nasbench201", {"seed": 3, "ranked_by": "accuracy"})
        )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("p.csv", "arch,acc\na,1\n", "has no column 'accuracy'; its columns are arch, acc"),
        ("p.csv", "cell,accuracy\na,1\n", "has no column 'arch'; its columns are cell, accuracy"),
        ("p.csv", "arch,accuracy\na,1\nb,NaN\n", "row 2, column 'accuracy' of .*p.csv: expected a finite number"),
        (
            "p.csv",
            "arch,accuracy\na,1\nb,high\n",
            "row 2, column 'accuracy' of .*: expected a finite number, got 'high'",
        ),
        ("p.csv", "arch,accuracy\na,1\nb,2\na,1\n", "rows 1 and 3 of p.csv are the same architecture, 'a'"),
        ("p.parquet", "no parquet", "is no Parquet file, or a damaged one"),
        ("p.json", "{", "no JSON document"),
        ("p.json", "[1]", "is no table: expected a list of objects"),
        ("p.json", '{"predictions": [{"arch": "a", "accuracy": 1}, {"arch": "b", "accuracy": "x"}]}', "is no table"),
        ("p.txt", "a 1", "expected a .parquet, .csv, .tsv, .json or .jsonl file"),
    ],
)
def test_bad_files(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(ValueError, match=message):
        read_predictions(tmp_path / name)


@pytest.mark.parametrize("name", ["gone.csv", "gone.parquet", "gone.json"])
def test_missing_files(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match=f"there is no file .*{name}"):
        read_predictions(tmp_path / name)


def test_arrays_are_checked_like_files() -> None:
    with pytest.raises(ValueError, match=r"one accuracy for each of 2 architectures, got shape \(3,\)"):
        Predicted(["a", "b"], np.ones(3))
    with pytest.raises(ValueError, match="row 2, column 'accuracy' of mine: expected a finite number, got nan"):
        Predicted(["a", "b"], np.array([1, np.nan]), name="mine")


def test_architectures_come_from_text_and_tables(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x\n\n  y \n")
    (tmp_path / "a.csv").write_text("architecture,n\n007,1\ny,2\n")
    assert read_archs(tmp_path / "a.txt") == ["x", "y"]
    assert read_archs(tmp_path / "a.csv") == ["007", "y"]
    (tmp_path / "b.bin").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="expected a text file"):
        read_archs(tmp_path / "b.bin")
    with pytest.raises(ValueError, match="there is no file"):
        read_archs(tmp_path / "gone.txt")


def test_runs_are_aligned_to_the_first() -> None:
    first, second = (
        Predicted(["a", "b"], np.array([1.0, 2.0])),
        Predicted(["b", "a"], np.array([4.0, 3.0]), name="second"),
    )
    assert [run.tolist() for run in aligned([first, second])] == [[1, 2], [3, 4]]
    with pytest.raises(ValueError, match="second and predictions predict different architectures: 1 and 2, 1 of them"):
        aligned([first, Predicted(["b"], np.ones(1), name="second")])


def test_ranked_by_loss_less_is_better(tmp_path: Path) -> None:
    path = tmp_path / "p.csv"
    path.write_text("arch,accuracy,loss\na,1.0,0.5\nb,2.0,0.25\n")
    by_loss = read_predictions(path, by="loss")
    assert by_loss.accuracy.tolist() == [-0.5, -0.25]
    assert by_loss.protocol["ranked_by"] == "loss"
    with pytest.raises(ValueError, match="has no column 'size'; its columns are arch, accuracy, loss"):
        read_predictions(path, by="size")


def write_run(path: Path, **protocol: object) -> Path:
    rows = pa.table({"arch": ["a", "b"], "accuracy": [0.5, 0.25]})
    pq.write_table(rows.replace_schema_metadata({"oneshot": json.dumps({"protocol": protocol})}), path)
    return path


def test_files_of_one_method_are_grouped(tmp_path: Path) -> None:
    def run(name: str, seed: int, **more: object) -> str:
        nested = {"channels": 16, "seed": seed, **more}
        return str(write_run(tmp_path / name, evaluator="supernet", configuration=nested, checkpoint=f"sha{seed}"))

    seeds = [run(f"paper-{seed}.parquet", seed) for seed in range(3)]
    narrow = run("narrow.parquet", 0, channels=5)
    (tmp_path / "theirs.csv").write_text("arch,accuracy\na,1\nb,2\n")
    (tmp_path / "others.csv").write_text("arch,accuracy\na,1\nb,3\n")
    theirs = [str(tmp_path / name) for name in ("theirs.csv", "others.csv")]
    methods = read_methods([seeds[0], narrow, *theirs, *seeds[1:]])
    assert {name: [run.name for run in runs] for name, runs in methods.items()} == {
        "paper": ["paper-0.parquet", "paper-1.parquet", "paper-2.parquet"],
        "narrow": ["narrow.parquet"],
        "theirs": ["theirs.csv"],
        "others": ["others.csv"],
    }
    named = read_methods([f"a={seeds[0]},{theirs[0]}", f"b={seeds[1]}", f"c={seeds[2]}"])
    assert {name: [run.name for run in runs] for name, runs in named.items()} == {
        "a": ["paper-0.parquet", "theirs.csv"],
        "b": ["b"],
        "c": ["c"],
    }


def test_the_same_run_twice_is_no_second_seed(tmp_path: Path) -> None:
    first, second = (str(write_run(tmp_path / name, seed=0)) for name in ("x.parquet", "y.parquet"))
    assert [*read_methods([first, second])] == ["x", "y"]


def test_names_come_from_word_protocol_or_file(tmp_path: Path) -> None:
    odd = write_run(tmp_path / "a=b,c.parquet", name="mine")
    assert [*read_methods([str(odd)])] == ["mine"]
    assert read_predictions(odd).name == "mine"
    plain = write_run(tmp_path / "p.parquet", seed=0)
    assert read_methods([f"ours={plain}"])["ours"][0].name == "ours"
    for words in (["=x.csv"], ["a="], [f"a={plain}", f"a={plain}"]):
        with pytest.raises(ValueError, match="expected NAME=FILE or NAME=FILE,FILE"):
            read_methods(words)
    with pytest.raises(ValueError, match=r"two methods are named 'p'"):
        read_methods([str(plain), str(plain)])
    with pytest.raises(ValueError, match=r"there is no file gone.csv"):
        read_methods(["a=gone.csv"])


@dataclass
class Returned:
    """What some evaluator returns."""

    space: Space
    archs: Sequence[Arch]
    accuracy: np.ndarray
    protocol: dict[str, object]


def test_what_an_evaluator_returns_is_taken() -> None:
    archs = list(CONV)[:3]
    found = as_predicted(Returned(CONV, archs, np.array([1.0, 2, 3]), {"evaluator": "supernet", "seed": 3}))
    assert (list(found.archs), found.accuracy.tolist()) == ([CONV.format(arch) for arch in archs], [1, 2, 3])
    assert (found.space, found.protocol["seed"], found.name) == (CONV.name, 3, "supernet")
    assert as_predicted(Returned(CONV, archs, np.ones(3), {"name": "mine"})).name == "mine"
    assert as_predicted(found) is found
    with pytest.raises(ValueError, match=r"row 2, column 'accuracy' of predictions: expected a finite number, got nan"):
        as_predicted(Returned(CONV, archs, np.array([1, np.nan, 3]), {}))


def test_data_frames_are_taken() -> None:
    frame = pd.DataFrame({"note": [{}, 1], "architecture": ["a", "b"], "accuracy": [0.5, 0.25]}, index=[7, 7])
    found = as_predicted(frame)
    assert (found.archs, found.accuracy.tolist(), found.space) == (["a", "b"], [0.5, 0.25], None)
    assert as_predicted(frame.assign(accuracy=["90", "91.5"])).accuracy.tolist() == [90, 91.5]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (
            pd.DataFrame({"arch": ["a"], "acc": [1]}),
            "the data frame has no column 'accuracy'; its columns are arch, acc",
        ),
        (
            pd.DataFrame({"cell": ["a"], "accuracy": [1]}),
            "the data frame has no column 'arch'; its columns are accuracy",
        ),
        (pd.DataFrame({"arch": ["a", None], "accuracy": [1, 2]}), "row 2 of the data frame has no architecture"),
        (
            pd.DataFrame({"arch": ["a", "b"], "accuracy": [1, np.inf]}),
            "row 2, column 'accuracy' of the data frame: expected a finite number, got inf",
        ),
        (pd.DataFrame({"arch": ["a", "b"], "accuracy": [1, "x"]}), "the data frame is no table of predictions: "),
        (
            pd.DataFrame([["a", 1, 2]], columns=["arch", "accuracy", "accuracy"]),
            "the data frame has more than one column 'accuracy'",
        ),
        ({"a": 1.0}, "expected predictions of an evaluator, a data frame with .*, or a file, got dict"),
        ([1.0, 2.0], "or a file, got list"),
        ("nowhere.csv", "there is no file nowhere.csv"),
    ],
)
def test_other_things_are_refused(source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        as_predicted(source)

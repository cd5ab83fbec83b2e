"""Tables in the forms that people bring them in, and what no table is."""

from __future__ import annotations

import gzip
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from oneshot.benchmarks.columns import METADATA_KEY, architecture_strings, finite_numbers
from oneshot.benchmarks.reading import label_of, read_any

from oneshot.base.foreign import ALWAYS_UNPACKED

HERE = Path("t.csv")
ROWS = [("|a~0|+|b~0|b~1|", 90.5), ("010", 91.0), ("x,y", 0.25)]


def text_of(separator: str, decimal: str = ".") -> str:
    """As a spreadsheet writes it: what holds the separator is quoted."""
    rows = [(f'"{arch}"' if separator in arch else arch, str(value).replace(".", decimal)) for arch, value in ROWS]
    return "".join(separator.join(row) + "\n" for row in [("arch", "accuracy"), *rows])


FORMS = {
    "comma.csv": text_of(","),
    "semicolon.csv": text_of(";"),
    "comma.tsv": text_of(","),
    "decimal.csv": text_of(";", ","),
    "tab.tsv": text_of("\t"),
    "tab-decimal.tsv": text_of("\t", ","),
    "tab.csv": text_of("\t"),
    "mark.csv": "\ufeff" + text_of(";"),
    "windows.csv": text_of(";").replace("\n", "\r\n"),
    "rows.jsonl": "".join(json.dumps({"arch": a, "accuracy": v}) + "\n\n" for a, v in ROWS),
    "rows.json": json.dumps([{"arch": a, "accuracy": v} for a, v in ROWS]),
    "document.json": json.dumps({"space": "s", "predictions": [{"arch": a, "accuracy": v} for a, v in ROWS]}),
    "mapping.json": json.dumps(dict(ROWS)),
    "columns.json": json.dumps({"arch": [a for a, _ in ROWS], "accuracy": [v for _, v in ROWS]}),
}


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_the_same_table(tmp_path: Path, name: str, packed: bool) -> None:
    content = FORMS[name].encode()
    path = tmp_path / (f"{name}.gz" if packed else name)
    path.write_bytes(gzip.compress(content) if packed else content)
    table, metadata = read_any(path)
    assert architecture_strings(table, path) == [arch for arch, _ in ROWS]
    assert finite_numbers(table, "accuracy", path).tolist() == [value for _, value in ROWS]
    assert metadata == ({"space": "s"} if name == "document.json" else {})
    assert label_of(path.name) == name.partition(".")[0]


@pytest.mark.parametrize("name", ["t.csv", "t.parquet", "t.jsonl"])
def test_the_column_of_architectures_may_have_another_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    table = pa.table({"arch": ["no", "no"], "cell": ["007", "008"], "accuracy": [1.0, 2.0]})
    if name == "t.csv":
        path.write_text("arch,cell,accuracy\nno,007,1\nno,008,2\n")
    elif name == "t.jsonl":
        path.write_text("\n".join(map(json.dumps, table.to_pylist())))
    else:
        pq.write_table(table, path)
    found, _ = read_any(path, "cell")
    assert architecture_strings(found, path) == ["007", "008"]
    assert found.column_names == ["arch", "accuracy"]
    with pytest.raises(ValueError, match="has no column 'acc'; its columns are arch, cell, accuracy"):
        read_any(path, "acc")


def test_rows_that_begin_without_a_column_have_it(tmp_path: Path) -> None:
    (tmp_path / "t.json").write_text('[{"arch": "a"}, {"arch": "b", "error": "x"}]')
    assert read_any(tmp_path / "t.json")[0].column("error").to_pylist() == [None, "x"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"arch,accuracy,accuracy\na,1,2\n", "more than one column 'accuracy'"),
        ("t.csv", b"arch;arch;accuracy\na;a;1\n", "more than one column 'arch'"),
        ("t.json", b'{"a": 1, "b": 2, "a": 3}', "'a' comes twice in one object"),
        ("t.jsonl", b'{"arch": "a", "accuracy": 1}\n{"arch": "b", "arch": "c"}\n', "line 2 of .*'arch' comes twice"),
        ("t.jsonl", b'{"arch": "a"}\nno\n', "line 2 of .* is no JSON document"),
        ("t.json", b'{"a": {"b": 1}}', "is no table: expected a list of objects"),
        ("t.json", b"[]", "is no table"),
        ("t.json", b'{"predictions": 5}', "is no table"),
        ("t.json", b'{"space": 5, "predictions": [{"arch": "a"}]}', "'space' that .* must be a str, got 5"),
        ("t.json", b'{"protocol": [], "predictions": [{"arch": "a"}]}', "'protocol' that .* must be a dict"),
        ("t.json", b'{"a": 1' + b"0" * 400 + b"}", "is no table"),
        ("t.json", b'{"a": 1' + b"0" * 5000 + b"}", "is no JSON document"),
        ("t.json", b'{"predictions": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "nested too deeply"),
        ("t.jsonl", b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        ("t.json", b'{"arch": "\xff"}', "is no JSON document"),
        ("t.csv", b"arch,x\n\xff\xfe,1\n", "no well-formed CSV table"),
        ("t.csv.gz", b"no gzip", "is no gzip file, or a damaged one"),
        ("t.csv.gz", gzip.compress(b"arch,x\na,1\n", mtime=0)[:-9], "is no gzip file, or a damaged one"),
        ("t.csv.gz", gzip.compress(bytes(ALWAYS_UNPACKED + 1), mtime=0), "unpacks to more than 100 times its size"),
        ("t.parquet.gz", b"", r"expected a \.parquet"),
    ],
)
def test_what_is_no_table_of_use(tmp_path: Path, name: str, content: bytes, said: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_any(tmp_path / name)


def test_columns_of_parquet_have_different_names(tmp_path: Path) -> None:
    twice = pa.table([pa.array(["a"]), pa.array([1.0]), pa.array([2.0])], names=["arch", "accuracy", "accuracy"])
    pq.write_table(twice, tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="more than one column 'accuracy'"):
        read_any(tmp_path / "t.parquet")


def test_a_small_file_of_endless_rows_is_refused(tmp_path: Path) -> None:
    rows = pa.table({"arch": pa.DictionaryArray.from_arrays(np.zeros(2_000_000, np.int8), ["a"])})
    pq.write_table(rows, tmp_path / "t.parquet")
    assert (tmp_path / "t.parquet").stat().st_size < 10_000
    with pytest.raises(ValueError, match="promises 2,000,000 rows"):
        read_any(tmp_path / "t.parquet")


@pytest.mark.parametrize("start", [4, 100, 300, -200])
def test_damaged_parquet_is_an_error_of_the_file(tmp_path: Path, start: int) -> None:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"arch": [f"a{i}" for i in range(50)], "accuracy": np.arange(50.0)}), path)
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    for _ in range(60):
        content = bytearray(whole)
        at = range(len(content))[start]
        content[at : at + 8] = rng.bytes(8)
        path.write_bytes(content)
        with suppress(ValueError):  # some of it is still a table
            table, _ = read_any(path)
            finite_numbers(table, "accuracy", path)


def test_csv_and_parquet_have_the_same_columns(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("arch,accuracy\n010,90.5\n011,91\n")
    table, metadata = read_any(tmp_path / "t.csv")
    assert architecture_strings(table, HERE) == ["010", "011"]  # not numbers
    assert metadata == {}
    pq.write_table(table.replace_schema_metadata({METADATA_KEY: b'{"a": 1}'}), tmp_path / "t.parquet")
    again, metadata = read_any(tmp_path / "t.parquet")
    assert metadata == {"a": 1}
    for each in (table, again):
        np.testing.assert_array_equal(finite_numbers(each, "accuracy", HERE), [90.5, 91])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.txt", b"", r"expected a \.parquet, \.csv, \.tsv, \.json or \.jsonl file"),
        ("absent.csv", None, "there is no file"),
        ("absent.parquet", None, "there is no file"),
        ("t.parquet", b"PAR1 and nothing", "no Parquet file, or a damaged one"),
        ("t.csv", b"arch,x\na,1\nb\n", "no well-formed CSV table"),
    ],
)
def test_what_is_no_table(tmp_path: Path, name: str, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_any(tmp_path / name)


@pytest.mark.parametrize("text", [b"not json", b"[1]"])
def test_metadata_of_ours_is_one_object(tmp_path: Path, text: bytes) -> None:
    pq.write_table(pa.table({"arch": ["a"]}).replace_schema_metadata({METADATA_KEY: text}), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match="is not one JSON object"):
        read_any(tmp_path / "t.parquet")

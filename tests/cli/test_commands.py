"""The command line: help, one loop on small things, bad input, and stops."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest

from oneshot.cli import COMMANDS, main
from oneshot.cli.benchmark import ACTIONS
from tests.test_readme import test_commands_and_options_exist as commands_and_options_exist

TINY = "--preset demo --channels 2 --epochs 2 --batch-size 324"
DEEP = "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|"


def oneshot(text: str) -> int:
    return main(shlex.split(text))


def exit_code(words: list[str]) -> int:
    try:
        return main(words)
    except SystemExit as stop:  # the parser's own way
        return int(stop.code or 0)


def fails(capsys: pytest.CaptureFixture[str], text: str, *words: str) -> None:
    """Exit code 2, one message that says so, and no traceback."""
    code = exit_code(shlex.split(text))
    error = capsys.readouterr().err
    assert code == 2
    assert all(word in error for word in words), error
    assert "Traceback" not in error


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("runs") / "run"
    assert oneshot(f"train {TINY} --out {path}") == 0
    return path


@pytest.mark.parametrize("words", [[], *([name] for name in COMMANDS), *(["benchmark", action] for action in ACTIONS)])
def test_help_ends_with_an_example(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code([*words, "--help"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    example = text[text.rindex("example:") + 8 :]
    assert example.strip().startswith("oneshot " + " ".join(words[:1]))


def test_unknown_commands(capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, "trian", "no command 'trian'; did you mean train?")
    fails(capsys, "xyz", "no command 'xyz'", "there are demo, data")
    fails(capsys, "benchmark crate", "no action 'crate'")
    assert oneshot("") == 2


def test_spaces(capsys: pytest.CaptureFixture[str]) -> None:
    assert oneshot("spaces --json") == 0
    spaces = json.loads(capsys.readouterr().out)
    assert {s["name"]: s["size"] for s in spaces}["nasbench201-no-zero"] == 4096
    assert oneshot("spaces nasbench201-conv") == 0
    assert "edge 2->3 nor_conv_1x1, nor_conv_3x3" in " ".join(capsys.readouterr().out.split())
    fails(capsys, "spaces nasbench301", "no search space 'nasbench301'", "did you mean nasbench201?")


def test_train_writes_a_whole_run_folder(run: Path) -> None:
    names = sorted(p.name for p in run.iterdir())
    files = ["checkpoint.json", "config.json", "data.json", "metrics.jsonl", "state-2.safetensors", "tensorboard"]
    assert names == files
    config = json.loads((run / "config.json").read_text())
    assert (config["recipe"]["epochs"], config["space"]["channels"], config["dataset"]) == (2, 2, "digits")
    assert len((run / "metrics.jsonl").read_text().splitlines()) == 2


def test_predict_strings_samples_files_and_all(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert oneshot(f"predict {run} '{DEEP}' --json") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["predictions"][0]["arch"] == DEEP
    assert document["protocol"]["batch_norm"] == "ema-20"
    assert document["protocol"]["checkpoint"] == json.loads((run / "checkpoint.json").read_text())["sha256"]
    assert document["protocol"]["configuration"]["seed"] == 0
    for name in ("p.parquet", "p.csv", "p.json"):
        assert oneshot(f"predict {run} --sample 6 --seed 3 --out {tmp_path / name}") == 0
    frame = pd.read_parquet(tmp_path / "p.parquet")
    assert list(frame.columns) == ["arch", "accuracy", "loss", "images", "standard_error"]
    assert pd.read_csv(tmp_path / "p.csv")["arch"].tolist() == frame["arch"].tolist()
    (tmp_path / "archs.txt").write_text("\n".join(frame["arch"]) + "\n")
    for source in ("archs.txt", "p.parquet"):
        assert oneshot(f"predict {run} --from {tmp_path / source} --out {tmp_path / 'again.parquet'}") == 0
        assert pd.read_parquet(tmp_path / "again.parquet").equals(frame)
    capsys.readouterr()


def test_score_own_and_foreign_predictions(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], a_sixth: Path
) -> None:
    from oneshot.benchmarks.table import find_table

    table = find_table("nasbench201-digits")
    assert oneshot(f"predict {run} --from {a_sixth} --images 50 --batch-norm batch --out {tmp_path / 'p.parquet'}") == 0
    capsys.readouterr()
    assert (
        oneshot(f"score {tmp_path / 'p.parquet'} --benchmark nasbench201-digits --json --out {tmp_path / 'report'}")
        == 0
    )
    document = json.loads(capsys.readouterr().out)
    assert {"kendall_tau", "spearman_rho", "pearson_r", "precision_at_5", "intervals", "baselines", "ceiling"} <= {
        *document
    }
    assert {"report.html", "report.json", "scatter.svg", "improvement.png"} <= {
        p.name for p in (tmp_path / "report").iterdir()
    }
    pd.DataFrame({"arch": table.strings, "accuracy": table.values("digits_test")}).to_csv(tmp_path / "theirs.csv")
    assert oneshot(f"score {tmp_path / 'theirs.csv'} --benchmark nasbench201-digits --json") == 0
    assert json.loads(capsys.readouterr().out)["kendall_tau"] == pytest.approx(1.0)
    fails(
        capsys,
        f"score {tmp_path / 'theirs.csv'} --benchmark nasbench201-digits --truth x",
        "no column 'x'",
        "digits_test",
    )
    fails(capsys, f"score {tmp_path / 'theirs.csv'} --benchmark missing", "looked for", "benchmark create")


@pytest.fixture
def files(tmp_path: Path) -> dict[str, str]:
    """Noisy predictions of the shipped table: two seeds of a good method, one bad, one that covers half."""
    import numpy as np
    from oneshot.benchmarks.table import find_table

    table = find_table("nasbench201-digits")
    rng, truth, found = np.random.default_rng(0), table.values("digits_test"), {}
    for name, noise, count in (("good-0", 1, 320), ("good-1", 1, 320), ("bad", 9, 320), ("half", 1, 160)):
        rows = {"arch": table.strings[:count], "accuracy": (truth + rng.normal(0, noise, 320))[:count]}
        found[name] = str(tmp_path / f"{name}.csv")
        pd.DataFrame(rows).to_csv(found[name], index=False)
    return found


DIGITS = "--benchmark nasbench201-digits --bootstraps 50"


def test_score_compares_methods_and_seeds(
    files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = f"score good={files['good-0']},{files['good-1']} bad={files['bad']} {DIGITS} --post ensemble"
    fails(capsys, words, "an ensemble needs at least two runs of one method, got 1 (bad)")
    words = f"score good={files['good-0']},{files['good-1']} bad={files['bad']} {DIGITS} --post isomorphs"
    assert oneshot(f"{words} --json --out {tmp_path / 'report'}") == 0
    document = json.loads(capsys.readouterr().out)
    _, first, likewise, advised, gain, *_ = document["differences"]
    assert advised["names"] == ["good + recommended", "good"]
    assert (first["names"], first["runs"], first["better"]["kendall_tau"]) == (["good", "bad"], [2, 1], "good")
    assert first["over"] == "architectures and seeds"
    assert likewise["names"] == ["good + isomorphs", "bad + isomorphs"]
    assert gain["names"] == ["good + isomorphs", "good"]
    names = [f"{name}{post}" for name in ("good", "bad") for post in (" + recommended", "", " + isomorphs")]
    assert [*document["methods"]][:6] == names
    posts = [run["protocol"].get("post") for run in document["protocol"]["methods"]["good + isomorphs"]]
    assert [post[0]["name"] for post in posts] == ["isomorphs", "isomorphs"]
    assert json.loads((tmp_path / "report" / "comparison.json").read_text()) == document
    assert oneshot(words) == 0
    out = capsys.readouterr().out
    assert max(map(len, out.splitlines())) <= 100
    assert "good (×2) vs bad" in " ".join(out.split())


def test_score_by_protocol_and_name(files: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert oneshot(f"score 'ours={files['bad']}' {DIGITS} --protocol random-100 --protocol-seed 3 --json") == 0
    document = json.loads(capsys.readouterr().out)
    chosen = document["protocol"]["architectures"]
    assert (chosen["protocol"], chosen["seed"], chosen["scored"]) == ("random-100", 3, 100)
    assert (document["name"], document["protocol"]["predictions"]["name"]) == ("ours", "ours")
    assert oneshot(f"score {DIGITS} --protocol stratified-40 --list {tmp_path / 'archs.txt'}") == 0
    assert len((tmp_path / "archs.txt").read_text().splitlines()) == 40
    capsys.readouterr()
    half = f"score {files['half']} {DIGITS}"
    fails(capsys, f"{half} --protocol full", "scores 320 architectures", "160 of them are missing in half.csv")
    fails(capsys, f"{half} --protocol most", "unknown scoring protocol 'most'")
    fails(capsys, f"{half} --post mean", "unknown post-processing 'mean'")
    fails(capsys, f"{half} --truth-seed 99", "no column 'digits_test_seed99'", "digits_test_seed0")
    fails(capsys, f"score {DIGITS}", "at least one file of predictions")
    fails(capsys, f"score {DIGITS} --list x.txt", "needs a --protocol other than predicted")


def test_score_of_a_single_seed_fits_the_terminal(files: dict[str, str], capsys: pytest.CaptureFixture[str]) -> None:
    assert oneshot(f"score {files['half']} {DIGITS} --truth-seed 0 --no-baselines") == 0
    out = capsys.readouterr().out
    assert "truth digits_test_seed0, protocol predicted" in out
    assert "Kendall's tau" in out
    assert "parameters" not in out
    assert max(map(len, out.splitlines()[:-1])) <= 100
    assert oneshot(f"score {files['half']} {DIGITS} --compare --json") == 0
    document = json.loads(capsys.readouterr().out)
    names = [difference["names"] for difference in document["differences"]]
    assert names[:2] == [["half + recommended", "half"], ["half + recommended", "parameters"]]
    assert ["half", "live_parameters"] in names


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("'|what~0|'", ["is no NAS-Bench-201 string"]),
        ("", ["say which architectures"]),
        ("--all --sample 3", ["one of these"]),
        ("--sample 99999", ["15625 architectures, 99999 were asked for"]),
        (f"'{DEEP}' --batch-norm ema", ["no BatchNorm mode 'ema'"]),
        (f"'{DEEP}' --images 651", ["649 validation images, 651"]),
        (f"'{DEEP}' --out nowhere/p.parquet", ["nowhere is no folder"]),
        (f"'{DEEP}' --out p.xlsx", [".parquet, .json or .csv"]),
        (f"'{DEEP}' --batch-size 0", ["batch_size must be at least 1"]),
        (f"'{DEEP}' --device tpu9", ["'tpu9' cannot be used"]),
        (f"'{DEEP}' --sample x", ["Expected a"]),
        ("--from nowhere.txt", ["nowhere.txt"]),
    ],
)
def test_bad_predict(run: Path, options: str, words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, f"predict {run} {options}", *words)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("--preset papr", ["no preset 'papr'"]),
        ("--space hnas", ["no search space 'hnas'"]),
        ("--sampler fairest", ["no sampler 'fairest'; there are uniform, fair, balanced"]),
        ("--method adam", ["no method 'adam'; there are single-path, "]),
        ("--split third", ["no split 'third'"]),
        ("--epochs 0", ["epochs must be at least 1"]),
        ("--epochs many", ["Expected a"]),
        ("--channels 0", ["channels must be at least 1"]),
        ("--image-size 9", ["larger than the images, which are 8"]),
        ("--batch-size 700", ["needs as many training images, got 648"]),
        ("--dataset nothing", ["looked for", "give the path"]),
        ("--threads -1", ["--threads must be at least 0"]),
    ],
)
def test_bad_train(options: str, words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, f"train {TINY} {options} --out {tmp_path / 'run'}", *words)


def test_folders_that_are_no_runs(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, f"predict {tmp_path} --sample 2", "is no run folder")
    fails(capsys, f"train {TINY} --channels 3 --out {run}", "another configuration: space.channels 2 there, 3 now")
    (tmp_path / "file").write_text("x")
    fails(capsys, f"train {TINY} --out {tmp_path / 'file' / 'run'}", "file")
    fails(capsys, f"train {TINY} --out {tmp_path}", "is not empty and holds no run")
    (tmp_path / "begun").mkdir()
    (tmp_path / "begun" / "config.json").write_bytes((run / "config.json").read_bytes())
    fails(capsys, f"predict {tmp_path / 'begun'} --sample 2", "holds no checkpoint yet")


def test_a_tampered_checkpoint_is_refused(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import shutil

    shutil.copytree(run, tmp_path / "run")
    state = tmp_path / "run" / "state-2.safetensors"
    state.write_bytes(state.read_bytes()[:-1])
    fails(capsys, f"predict {tmp_path / 'run'} --sample 2", "changed or cut short")


def test_print_config_and_config_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        oneshot(f"train --preset demo --out {tmp_path / 'run'} --epochs 3 --print_config")
    text = capsys.readouterr().out
    assert "epochs: 3" in text
    (tmp_path / "mine.yaml").write_text("epochs: 1\nchannels: 2\nbatch_size: 324\n")
    assert oneshot(f"train --preset demo --config {tmp_path / 'mine.yaml'} --out {tmp_path / 'run'}") == 0
    assert json.loads((tmp_path / "run" / "config.json").read_text())["space"]["channels"] == 2


def test_darts_from_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert oneshot(f"train {TINY} --method darts --out {tmp_path / 'run'}") == 0
    assert "derived architecture: |" in capsys.readouterr().out


def test_benchmark_import_show_query(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pd.DataFrame({"arch": [DEEP], "acc": [91.5]}).to_csv(tmp_path / "mine.csv", index=False)
    assert oneshot(f"benchmark import {tmp_path / 'mine.parquet'} {tmp_path / 'mine.csv'}") == 0
    capsys.readouterr()
    assert oneshot(f"benchmark query mine '{DEEP}' --data-dir {tmp_path} --json") == 0
    assert json.loads(capsys.readouterr().out) == [{"arch": DEEP, "acc": 91.5}]
    assert oneshot(f"benchmark query mine '{DEEP}' --data-dir {tmp_path}") == 0
    assert "91.5" in capsys.readouterr().out
    assert oneshot(f"benchmark show {tmp_path / 'mine.parquet'} --json") == 0
    assert json.loads(capsys.readouterr().out)["columns"]["acc"]["max"] == 91.5
    assert oneshot(f"benchmark show {tmp_path / 'mine.parquet'}") == 0
    capsys.readouterr()
    other = DEEP.replace("skip_connect", "none")
    fails(capsys, f"benchmark query {tmp_path / 'mine.parquet'} '{other}'", "not among the 1 of mine")
    fails(
        capsys, f"benchmark query {tmp_path / 'mine.parquet'} '{DEEP}' --columns x", "no column x; its columns are acc"
    )
    fails(capsys, f"benchmark import {tmp_path / 'mine.csv'} {tmp_path / 'mine.csv'}", "written as .parquet")
    mine = tmp_path / "mine.parquet"
    fails(capsys, f"benchmark import {mine} {mine}", "would be written over what it is made of")


def test_an_import_goes_to_the_data_folder_and_joins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.csv").write_text(f"arch,acc\n{DEEP},91.5\n")
    (tmp_path / "times.csv").write_text(f"arch,seed,ms\n{DEEP},0,7\n{DEEP},1,8\n")
    data = f"--data-dir {tmp_path / 'data'}"
    joined = f"--join {tmp_path / 'times.csv'}"
    assert oneshot(f"benchmark import mine {tmp_path / 'mine.csv'} {joined} {data}") == 0
    assert "1 architectures of nasbench201, 3 columns" in capsys.readouterr().out
    assert oneshot(f"benchmark query mine '{DEEP}' --columns all {data} --json") == 0
    assert json.loads(capsys.readouterr().out) == [{"arch": DEEP, "acc": 91.5, "ms_seed0": 7, "ms_seed1": 8}]
    (tmp_path / "evil.pth").write_bytes(b"cos\nsystem\n(S'touch owned'\ntR.")
    fails(capsys, f"benchmark import evil {tmp_path / 'evil.pth'} {data}", "asks for os.system")
    assert not (tmp_path / "data" / "evil.parquet").exists()


def test_benchmark_create(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    what = "--space nasbench201-conv --dataset digits --split half --channels 2 --cells 1 --epochs 1 --batch-size 324"
    command = f"benchmark create {tmp_path / 't.parquet'} {what} --sample 3 --seeds 0 1"
    assert oneshot(command) == 0
    assert oneshot(f"benchmark show {tmp_path / 't.parquet'} --json") == 0
    out = capsys.readouterr().out
    shown = json.loads(out[out.index("\n{") :])
    assert shown["rows"] == 3
    assert shown["truth"] == "digits_test"
    assert {"digits_test", "digits_valid", "seconds"} <= {*shown["columns"]}
    assert not any("seed" in name for name in shown["columns"])  # of single trainings, shown when asked for
    assert oneshot(f"benchmark show {tmp_path / 't.parquet'} --columns digits_test_seed0 digits_test_seed1") == 0
    capsys.readouterr()
    assert shown["metadata"]["command"] == "oneshot " + command
    assert [p.name for p in tmp_path.iterdir()] == ["t.parquet"]
    fails(capsys, command.replace("t.parquet", "t.csv"), "written as .parquet")
    fails(capsys, command.replace("--sample 3", "--sample 0"), "--sample must be at least 1")
    fails(capsys, command.replace("--sample 3", "--sample 65"), "64 architectures, 65 were asked for")
    fails(capsys, command + " --workers 0", "--workers must be at least 1")


def test_demo(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, a_sixth: Path
) -> None:
    monkeypatch.setattr("oneshot.benchmarks.table.SHIPPED", a_sixth.parent)
    assert oneshot(f"demo --epochs 2 --out {tmp_path / 'demo'}") == 0
    out = capsys.readouterr().out
    assert [line.split()[2] for line in out.splitlines() if line.startswith("$ ")] == ["train", "predict", "score"]
    assert "Kendall's tau" in out
    report = json.loads((tmp_path / "demo" / "report" / "report.json").read_text())
    assert {"parameters", "live_parameters", "live_path_convolutions"} <= {*report["baselines"]}
    assert report["recommended"]["kendall_tau"] is not None
    assert "the recommended first" in out
    assert "recommended" in out[out.index("$ oneshot score") :]
    assert report["ceiling"]["kendall_tau"] > 0.7
    last = out[out.index("report.html") :]
    assert re.search(r"^recommended (does not win .*Kendall's tau|wins every main measure)", last, re.MULTILINE)
    tried = [line.strip() for line in last.splitlines() if line.startswith("  oneshot ")]
    assert [line.split()[1] for line in tried] == ["search", "serve", "score"]
    for line in tried:
        commands_and_options_exist(line, capsys)
        assert Path(shlex.split(line)[2]).exists()


def test_predict_top(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The rows of the full evaluation, from a race and then from the file."""

    def predicted(options: str, store: str) -> dict:
        where = f"--sample 20 --batch-norm ema-2 --batch-size 64 --store {tmp_path / store} --json"
        assert oneshot(f"predict {run} {where} {options}") == 0
        return json.loads(capsys.readouterr().out)

    whole = predicted("", "whole.sqlite")
    best = sorted(whole["predictions"], key=lambda row: (-row["accuracy"], row["loss"], row["arch"]))[:3]
    raced = predicted("--top 3 --confidence .9 --by accuracy", "raced.sqlite")
    assert raced["predictions"] == best
    told = raced["protocol"].pop("race")
    assert (told["top"], told["of"], told["confidence"]) == (3, 20, 0.9)
    assert told["rounds"][0] == {"images": 64, "architectures": 20}
    assert sum(part["images"] for part in told["rounds"]) == best[0]["images"]
    assert raced["protocol"] == whole["protocol"]
    advised = [row["arch"] for row in whole["recommended"]["ranking"]]
    assert sorted(advised) == sorted(row["arch"] for row in whole["predictions"])
    assert [row["arch"] for row in predicted("--top 3", "whole.sqlite")["predictions"]] == advised[:3]
    raced = predicted("--top 3", "raced-2.sqlite")
    assert raced["protocol"]["race"]["by"] == "recommended"
    assert len({row["arch"] for row in raced["predictions"]} & {*advised[:3]}) >= 2
    assert [row["arch"] for row in raced["recommended"]["ranking"]] == [row["arch"] for row in raced["predictions"]]
    again = predicted("--top 3 --by accuracy", "whole.sqlite")
    assert (again["predictions"], again["protocol"]) == (best, whole["protocol"])
    fails(capsys, f"predict {run} --sample 3 --top -1", "--top must be at least 1, or 0 for all, got -1")
    fails(capsys, f"predict {run} --sample 3 --top 1 --confidence 1", "a confidence between 0 and 1, got 1 and 1")
    fails(capsys, f"predict {run} --sample 3 --together 0", "together must be at least 1, got 0")


def test_predict_corrected_by_few_truths(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from oneshot.benchmarks.table import find_table, write

    table = find_table("nasbench201-digits")
    for count in (5, 40):
        truth = table.values("digits_test")[:count]
        write(tmp_path / f"few{count}.parquet", table.archs[:count], {"digits_test": truth}, table.space, {})
    few = f"predict {run} --sample 90 --images 64 --batch-norm batch"
    out = f"--correct-with {tmp_path / 'few40.parquet'} --next 4 --next-out {tmp_path / 'next.txt'}"
    assert oneshot(f"{few} {out} --json --out {tmp_path / 'c.parquet'}") == 0
    document = json.loads(capsys.readouterr().out)
    assert document["protocol"]["evaluator"] == "corrected"
    assert document["protocol"]["truths"]["truth"] == "digits_test"
    corrected = document["corrected"]
    assert [row["accuracy"] for row in corrected] == sorted((row["accuracy"] for row in corrected), reverse=True)
    assert all(low is None or low <= row["accuracy"] <= high for row in corrected for low, high in [row["interval"]])
    assert len(pd.read_parquet(tmp_path / "c.parquet")) == 90
    following = (tmp_path / "next.txt").read_text().split("\n")[:-1]
    assert len({*following} - {*table.strings[:40]}) == 4
    assert oneshot(f"{few} {out}") == 0
    assert "the best first: corrected by" in capsys.readouterr().out
    assert oneshot(f"{few} --next 3 --next-out {tmp_path / 'first.txt'}") == 0
    assert "the recommended first" in capsys.readouterr().out
    assert len((tmp_path / "first.txt").read_text().splitlines()) == 3
    fails(capsys, f"{few} --correct-with {tmp_path / 'few5.parquet'}", "takes at least", "truths", "got 5")
    fails(capsys, f"{few} --correct-with {tmp_path / 'few40.parquet'} --top 3", "without --top")
    fails(capsys, f"{few} --truth digits_test", "--truth needs --correct-with TABLE")
    fails(capsys, f"{few} --next 3", "--next N, at least 1, together with --next-out FILE")

"""The address of a service in place of a run folder."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from oneshot.evaluators.base import Predictions

from oneshot.samplers.uniform import distinct
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL, CONV
from tests.cli.test_commands import fails, oneshot
from tests.evaluators.service.serving import ARCHS, STRINGS, Counting, Served, listening, table


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with listening(Served(tmp_path_factory.mktemp("service"), batch=64).app) as found:
        yield found


def direct(archs: list[Arch]) -> Predictions:
    return Counting()(archs)


def test_it_predicts_what_the_evaluator_does(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "archs.txt").write_text("\n".join(STRINGS[:30]) + "\n")
    asked = {
        f"'{STRINGS[3]}' '{STRINGS[1]}' '{STRINGS[3]}'": [ARCHS[i] for i in (3, 1, 3)],
        "--sample 700 --seed 4": distinct(ALL, 700, np.random.default_rng(4)),
        f"--from {tmp_path / 'archs.txt'}": ARCHS[:30],
    }
    for words, archs in asked.items():
        assert oneshot(f"predict {url} {words} --json") == 0
        said = json.loads(capsys.readouterr().out)
        assert len(said.pop("recommended")["ranking"]) == len(archs)
        assert said == json.loads(json.dumps(direct(archs).document()))


def test_it_is_scored_like_a_run(url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table(tmp_path)
    (tmp_path / "archs.txt").write_text("\n".join(STRINGS) + "\n")
    assert oneshot(f"predict {url} --from {tmp_path / 'archs.txt'} --out {tmp_path / 'p.parquet'}") == 0
    assert pd.read_parquet(tmp_path / "p.parquet")["accuracy"].tolist() == direct(ARCHS).accuracy.tolist()
    capsys.readouterr()
    assert oneshot(f"score {tmp_path / 'p.parquet'} --benchmark {tmp_path / 'truth.parquet'} --json") == 0
    assert json.loads(capsys.readouterr().out)["protocol"]["predictions"]


def test_all_of_a_space_kept_here_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    served = Served(tmp_path, Counting(CONV), batch=64)
    with listening(served.app) as url:
        words = f"predict {url} --all --store {tmp_path / 'here.sqlite'}"
        assert oneshot(f"{words} --out {tmp_path / 'p.json'}") == 0
    assert len(json.loads((tmp_path / "p.json").read_text())["predictions"]) == CONV.size
    with sqlite3.connect(tmp_path / "here.sqlite") as here:
        assert here.execute("SELECT COUNT(*) FROM predictions").fetchone()[0] == CONV.size


def test_a_token(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    token, wrong = tmp_path / "token", tmp_path / "wrong"
    token.write_text("secret\n")
    wrong.write_text("other\n")
    with listening(Served(tmp_path, token="secret").app) as url:
        for words in (f"predict {url} --sample 3", f"search {url} --algorithm random --population 2 --generations 1"):
            fails(capsys, words, "Authorization: Bearer")
            fails(capsys, f"{words} --token-file {wrong}", "Authorization: Bearer")
            assert oneshot(f"{words} --token-file {token}") == 0
        monkeypatch.setenv("ONESHOT_TOKEN_FILE", str(wrong))
        fails(capsys, f"predict {url} --sample 3", "Authorization: Bearer")
        assert oneshot(f"predict {url} --sample 3 --token-file {token}") == 0


@pytest.mark.parametrize("command", ["predict", "search"])
def test_what_a_service_decides_itself(url: str, command: str, capsys: pytest.CaptureFixture[str]) -> None:
    """By name, also where the value is the default."""
    for option in ("--batch-norm ema-20", "--batch_norm=ema-20", "--batch-size 256", "--images 0", "--threads 1"):
        name = option.replace("=", " ").split()[0].replace("_", "-")
        fails(capsys, f"{command} {url} {option}", f"{name} is for a run folder; {url} decides that itself")
    other = {"predict": "--memory 9", "search": "--standalone 3"}[command]
    fails(capsys, f"{command} {url} {other}", f"{other.split()[0]} is for a run folder")
    fails(capsys, f"{command} runs/x --token-file t", "--token-file is for the address of a service, got runs/x")


def test_bad_input(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    fails(capsys, f"predict {url}", "say which architectures")
    fails(capsys, f"predict {url} nonsense", "'nonsense' is no NAS-Bench-201 string")
    fails(capsys, f"predict {url}/v1 --sample 1", "refuses: GET /v1/v1/model: Not Found")

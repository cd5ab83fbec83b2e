"""Two processes on one output: one works, the other is told who does; what killed ones left is taken over."""

from __future__ import annotations

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from oneshot.benchmarks.table import find_table
from PIL import Image

from oneshot.base import files
from oneshot.cli import main

if TYPE_CHECKING:
    from tests.conftest import SmallDisk

TINY = "--space nasbench201-conv --channels 2 --cells 1 --device cpu --threads 1"
SEARCH = "--population 4 --generations 2 --mutations 1 --crossovers 1 --top 2 --batch-norm inherit"
COMMANDS = {
    "train": f"train --preset demo {TINY} --epochs 2 --batch-size 648 --out new",
    "predict": "predict run --sample 3 --batch-norm inherit --out p.parquet",
    "search": f"search run {SEARCH} --out found",
    "score": "score scored.csv --benchmark nasbench201-digits --bootstraps 9 --out report",
    "score, several": "score a=scored.csv b=scored.csv --benchmark nasbench201-digits --bootstraps 9 --out report",
    "score, without a table": "score --self scored.csv other.csv --bootstraps 9 --out report",
    "score, a list": "score --benchmark nasbench201-digits --protocol random-5 --list archs.txt",
    "create": f"benchmark create t.parquet --preset demo {TINY} --epochs 1 --batch-size 512 --sample 2 --seeds 0",
    "import": "benchmark import i.parquet scored.csv",
    "subset": "data subset images sub --classes 2 --train 1 --valid 1",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the commands work on."""
    folder = tmp_path_factory.mktemp("made")
    assert main(f"train --preset demo {TINY} --epochs 1 --batch-size 648 --out {folder / 'run'}".split()) == 0
    table = find_table("nasbench201-digits")
    rows = pd.DataFrame({"arch": table.strings[:40], "accuracy": table.values("digits_test")[:40]})
    rows.to_csv(folder / "scored.csv", index=False)
    rows.assign(accuracy=rows.accuracy[::-1].to_numpy()).to_csv(folder / "other.csv", index=False)
    for i in range(6):
        (folder / "images" / f"c{i % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 4, 3), i, np.uint8)).save(folder / "images" / f"c{i % 2}" / f"{i}.png")
    return folder


@pytest.fixture
def here(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    shutil.copytree(made, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    assert not [path for path in tmp_path.rglob(".*") if path.suffix in (".tmp", ".lock")]


def begun(command: str, until: Callable[[Any], Callable[..., None]]) -> int:
    """Another process of a command, which stands still when it has signed its lock."""
    pid = os.fork()
    if pid:
        assert os.WIFSTOPPED(os.waitpid(pid, os.WUNTRACED)[1])
        return pid
    code = 70
    try:
        files._sign = until(files._sign)  # pyright: ignore[reportPrivateUsage]
        code = main(command.split())
    finally:
        os._exit(code)


def and_stop(sign: Callable[[Path], None]) -> Callable[[Path], None]:
    def signed(lock: Path) -> None:
        sign(lock)
        os.kill(os.getpid(), signal.SIGSTOP)

    return signed


@pytest.mark.parametrize("name", COMMANDS)
def test_one_works_and_the_other_is_told(name: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = begun(COMMANDS[name], and_stop)
    before = sorted(here.rglob("*"))
    assert main(COMMANDS[name].split()) == 2
    told = re.sub(r"\s*[\w-]+ [\d,]+/[\d,]+ .*\n", "", capsys.readouterr().err)
    assert re.fullmatch(rf"oneshot \w+: \S+ is being written by process {first} on .+; wait .+\n", told)
    assert sorted(here.rglob("*")) == before
    os.kill(first, signal.SIGCONT)
    assert os.waitstatus_to_exitcode(os.waitpid(first, 0)[1]) == 0
    assert len(list(here.rglob("*"))) > len(before) - 1


@pytest.mark.parametrize("name", ["train", "search", "create", "score"])
def test_after_a_kill_the_next_one_works(name: str, here: Path) -> None:
    """With whatever the killed one had begun to write."""
    first = begun(COMMANDS[name], and_stop)
    os.kill(first, signal.SIGKILL)
    os.waitpid(first, 0)
    left = {
        "train": "new/.config.json.1.tmp", "search": "found/.search.json.1.tmp", "create": ".t.parquet.1.tmp",
        "score": "report/.report.html.1.tmp",
    }  # fmt: skip
    (here / left[name]).write_text("half")
    assert main(COMMANDS[name].split()) == 0


WRITERS = {
    "train": "new",
    "predict": "p.parquet",
    "search": "found",
    "score": "report",
    "create": "t.parquet",
    "import": "i.parquet",
    "subset": "sub",
}


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("room", [0, 4, 8])
def test_a_full_disk_is_told_in_one_line_that_names_a_file(
    name: str, room: int, here: Path, small_disk: SmallDisk, capsys: pytest.CaptureFixture[str]
) -> None:
    """With so many KiB left; and with all of them again, the command works."""
    command = re.sub(rf"(?<= ){WRITERS[name]}(?= |$)", str(small_disk.path / WRITERS[name]), COMMANDS[name])
    small_disk.fill(but=room)
    code = main(command.split())
    told = re.sub(r"\s*[\w-]+ [\d,]+/[\d,]+ .*\n", "", capsys.readouterr().err)
    if code:
        assert (code, told.count("\n")) == (2, 1)
        assert re.search(rf"No space left on device: '{small_disk.path}/\S+", told) or "No space left" in told
        assert str(small_disk.path) in told
    assert not list(small_disk.path.rglob(".*.tmp"))
    small_disk.free()
    assert main(command.split()) == 0

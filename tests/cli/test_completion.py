"""What a shell completes."""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from oneshot.cli import COMMANDS, main
from oneshot.cli.completion import tree
from oneshot.registry import METHODS
from oneshot.runs.presets import PRESETS, RETRAINING

shtab: Any = pytest.importorskip("shtab", reason="pip install 'oneshot-nas[completion]'")

ASK = """
source oneshot.bash
COMP_WORDS=("$@")
COMP_CWORD=$(($# - 1))
function=$(complete -p oneshot | sed 's/.* -F \\([^ ]*\\).*/\\1/')
"$function" oneshot "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def commands() -> argparse.ArgumentParser:
    return tree(COMMANDS, shtab)


@pytest.fixture(scope="module")
def folder(commands: argparse.ArgumentParser, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("completion")
    (path / "pictures.npz").write_text("")
    (path / "oneshot.bash").write_text(shtab.complete(commands, "bash"))
    (path / "ask.bash").write_text(ASK)
    return path


def completed(folder: Path, *words: str) -> set[str]:
    """What bash offers in place of the last word."""
    command = ["bash", "ask.bash", "oneshot", *words]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True, timeout=60)
    return {*done.stdout.split()}


def test_bash_completes_commands_options_words_and_files(folder: Path) -> None:
    assert completed(folder, "") >= {*COMMANDS}
    assert completed(folder, "ser") == {"serve"}
    assert completed(folder, "benchmark", "") >= {"create", "import", "show", "query"}
    assert completed(folder, "train", "--preset", "") == {*PRESETS}
    assert completed(folder, "retrain", "--preset", "") == {*RETRAINING}
    assert completed(folder, "train", "--method", "") == {*METHODS}
    assert completed(folder, "benchmark", "create", "--flip", "") == {"true", "false"}
    assert completed(folder, "train", "--dataset", "pic") == {"pictures.npz"}
    assert completed(folder, "predict", "pic") == {"pictures.npz"}
    assert completed(folder, "search", "--algorithm", "ns") == {"nsga2"}
    assert completed(folder, "train", "--batch-s") == {"--batch-size"}


def test_options_of_every_component_are_there(folder: Path) -> None:
    assert {"--method.temperature"} <= completed(folder, "train", "--method.temp")
    assert completed(folder, "train", "--tracker.mlflow.") == {"--tracker.mlflow.uri", "--tracker.mlflow.experiment"}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_are_of_their_shells(shell: str, commands: argparse.ArgumentParser, tmp_path: Path) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    (tmp_path / "script").write_text(shtab.complete(commands, shell))
    subprocess.run([shell, "-n", str(tmp_path / "script")], check=True, timeout=60)


def test_the_command_prints_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("oneshot.cli.COMMANDS", {"spaces": "list the search spaces"})
    assert main(["--print-completion", "zsh"]) == 0
    assert capsys.readouterr().out.startswith("#compdef oneshot")
    assert main(["--print-completion", "csh"]) == 2
    assert "no completion for csh; there is one for bash, " in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "shtab", None)
    assert main(["--print-completion", "bash"]) == 2
    assert "pip install 'oneshot-nas[completion]'" in capsys.readouterr().err

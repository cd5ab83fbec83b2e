"""What is installed owns the name `oneshot` alone: others may have folders `benchmarks` and `evaluators`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.test_readme import shorter

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("oneshot", "benchmarks", "evaluators", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout, unpacked."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in SOURCES:  # a copy, since building writes beside the sources
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, folder / name)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", "made", "."]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    (wheel,) = (folder / "made").glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """A project with folders of these names."""
    for name in ("benchmarks", "evaluators"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(f"MINE = {name!r}\n")
    return tmp_path


def python(installed: Path, elsewhere: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, *words]
    done = subprocess.run(command, cwd=elsewhere, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_its_version_is_one_without_git(installed: Path, elsewhere: Path) -> None:
    assert python(installed, elsewhere, "-m", "oneshot", "--version").strip() == "0.1.0.dev0"


def test_it_owns_one_name(installed: Path) -> None:
    assert {path.name for path in installed.iterdir() if not path.name.endswith(".dist-info")} == {"oneshot"}


def test_everything_is_in_it(installed: Path) -> None:
    """Every module and data file of the sources, the list of packages in setup.cfg notwithstanding."""
    homes = {
        "oneshot": ROOT / "oneshot",
        "oneshot/benchmarks": ROOT / "benchmarks",
        "oneshot/evaluators": ROOT / "evaluators",
    }
    for home, name in homes.items():
        source = ROOT / name
        for path in source.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                assert (installed / home / path.relative_to(source)).is_file(), path


def test_the_command_line_beside_folders_of_the_same_names(installed: Path, elsewhere: Path) -> None:
    where = "import benchmarks, evaluators, oneshot; print(benchmarks.MINE, evaluators.MINE, oneshot.__file__)"
    mine, yours, path = python(installed, elsewhere, "-c", where).split()
    assert (mine, yours) == ("benchmarks", "evaluators")
    assert Path(path).is_relative_to(installed)
    assert "nasbench201" in python(installed, elsewhere, "-m", "oneshot", "spaces")
    assert "digits_test" in python(installed, elsewhere, "-m", "oneshot", "benchmark", "show", "nasbench201-digits")


def test_readme_s_python_beside_folders_of_the_same_names(installed: Path, elsewhere: Path) -> None:
    (elsewhere / "script.py").write_text(shorter((ROOT / "README.md").read_text()))
    assert python(installed, elsewhere, "script.py")

"""What is installed is what is imported, and the oldest versions allowed are those that are tested."""

from __future__ import annotations

import ast
import configparser
import re
import sys
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
EXTRAS = SETUP["options.extras_require"]
BY_OTHERS = {"httptools": "uvicorn's parser of requests"}
"""What is needed without being imported here."""
WITH_OTHERS = {"starlette": "fastapi", "llvmlite": "numba"}
"""What a dependency brings and is made of."""
OF_EXTRAS = {
    "completion": {"shtab"},
    "export": {"onnxruntime"},
    "datasets": {"datasets"},
    "ray": {"ray"},
    "mlflow": {"mlflow"},
    "wandb": {"wandb"},
    "testing": {"pytest", "hypothesis"},
}
"""Imported by what works with the extra alone."""


def requirements(text: str) -> dict[str, Requirement]:
    lines = [line.strip() for line in text.splitlines()]
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {named(each.name): each for each in found}


def named(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


INSTALLED = requirements(SETUP["options"]["install_requires"])


def imported() -> set[str]:
    """Top-level modules of others that shipped code imports anywhere, other than for types alone."""
    found: set[str] = set()
    for path in (
        path for package in ("oneshot", "benchmarks", "evaluators") for path in (ROOT / package).rglob("*.py")
    ):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found.add(node.module)
    tops = {name.split(".")[0] if not name.startswith("google.") else name for name in found}
    return tops - {"oneshot", "__future__"} - set(sys.stdlib_module_names)


@cache
def distributions() -> set[str]:
    """Those that shipped code imports."""
    homes = packages_distributions()
    found = set()
    for module in imported():
        home = ["protobuf"] if module.startswith("google.protobuf") else homes.get(module.split(".")[0], [module])
        name = named(home[0])
        found.add(WITH_OTHERS.get(name, name))
    return found


def test_all_that_is_imported_is_installed() -> None:
    of_extras = set().union(*OF_EXTRAS.values())
    assert distributions() - INSTALLED.keys() <= of_extras


def test_all_that_is_installed_is_imported() -> None:
    assert INSTALLED.keys() - distributions() <= BY_OTHERS.keys()


@pytest.mark.parametrize("extra", OF_EXTRAS)
def test_extras_have_what_they_are_for(extra: str) -> None:
    assert OF_EXTRAS[extra] <= requirements(EXTRAS[extra]).keys()


def test_the_oldest_versions_are_the_tested_ones() -> None:
    tested = requirements((ROOT / ".ci" / "oldest.txt").read_text())
    assert tested.keys() == INSTALLED.keys()
    for name, requirement in INSTALLED.items():
        (exact,) = (Version(each.version) for each in tested[name].specifier)
        lowest = [Version(each.version) for each in requirement.specifier if each.operator == ">="]
        assert exact in requirement.specifier, name
        assert [exact.release[: len(low.release)] for low in lowest] == [low.release for low in lowest], name
        assert lowest, f"{name} has no lower bound"

"""Imports only go down, and light parts stay light."""

from __future__ import annotations

import ast
import resource
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("oneshot", "benchmarks", "evaluators")
FILES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def module_of(path: Path) -> str:
    """The name under which a file is imported."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    parts = parts if parts[0] == "oneshot" else ("oneshot", *parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> set[str]:
    """Every module of this project that a file imports, wherever in the file, but not for type checking alone."""
    found = set()
    tree = ast.parse(path.read_text())
    typing_only = [n for n in ast.walk(tree) if isinstance(n, ast.If) and ast.unparse(n.test) == "TYPE_CHECKING"]
    skipped = {id(child) for node in typing_only for child in ast.walk(node)}
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            found |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def below(module: str, *packages: str) -> bool:
    return any(module == package or module.startswith(package + ".") for package in packages)


LIGHT = (
    "oneshot.registry",
    "oneshot.base.settings",
    "oneshot.runs.config",
    "oneshot.runs.presets",
    "oneshot.space",
    "oneshot.cost",
    "oneshot.spaces",
    "oneshot.data.augmentation",
    "oneshot.training.recipe",
    "oneshot.base.bounds",
    "oneshot.base.figures",
    "oneshot.base.files",
    "oneshot.base.foreign",
    "oneshot.base.html",
    "oneshot.base.lookup",
    "oneshot.base.provenance",
    "oneshot.base.quantity",
)
ROOMS = (
    ("oneshot.base",),
    ("oneshot.registry",),
    ("oneshot.space", "oneshot.cost", "oneshot.gates", "oneshot.spaces"),
    ("oneshot.nn", "oneshot.data"),
    ("oneshot.supernets", "oneshot.samplers"),
    ("oneshot.methods", "oneshot.search"),
    ("oneshot.training",),
    ("oneshot.runs",),
    ("oneshot.export",),
    ("oneshot.latency",),
    ("oneshot.testing",),
    ("oneshot.cli", "oneshot.__main__"),
)
"""From the ground up: a room imports those below it, and its own."""


def room(module: str) -> int | None:
    """The floor of a module of the supernet core."""
    return next((floor for floor, names in enumerate(ROOMS) if below(module, *names)), None)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_down(path: Path) -> None:
    name = module_of(path)
    floor, forbidden = room(name), ["oneshot.cli"]
    if below(name, "oneshot.cli", "oneshot.__main__"):  # the door
        return
    if not below(name, "oneshot.benchmarks", "oneshot.evaluators"):
        forbidden += ["oneshot.benchmarks", "oneshot.evaluators"]
    if floor is not None:
        forbidden += [other for higher in ROOMS[floor + 1 :] for other in higher]
        beside = [other for other in ROOMS[floor] if not below(name, other)]
        forbidden += beside if floor > 2 else []
    if below(name, "oneshot.benchmarks"):
        forbidden += ["oneshot.evaluators", "torch"]
        ours = {m for m in imports(path) if below(m, "oneshot") and not below(m, "oneshot.benchmarks")}
        assert all(below(m, *LIGHT) or m in ("oneshot", "oneshot.base") for m in ours), f"{name} imports {ours}"
    if below(name, *LIGHT) and name != "oneshot.cost":  # it counts on a network where it is asked to
        forbidden += ["torch", "pandas"]
    wrong = {m for m in imports(path) if below(m, *forbidden)}
    assert not wrong, f"{name} imports {wrong}"


def test_there_is_no_circle() -> None:
    """Of files, by whatever they import, wherever in the file."""
    names = {module_of(path): path for path in FILES}
    arrows = {name: {m for m in imports(path) if m in names and m != name} for name, path in names.items()}
    done: set[str] = set()

    def walk(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, f"a circle: {' -> '.join((*way, name))}"
        if name not in done:
            for other in sorted(arrows[name]):
                walk(other, (*way, name))
            done.add(name)

    for name in names:
        walk(name, ())


COMPONENTS = ("Space", "Sampler", "Method", "Sequential")
"""What members derive from."""


@cache
def members() -> dict[str, Path]:
    """The classes of spaces, samplers and methods, and where each is defined."""
    found: dict[str, Path] = {}
    for path in FILES:
        for node in ast.walk(ast.parse(path.read_text())):
            bases = [ast.unparse(base) for base in node.bases] if isinstance(node, ast.ClassDef) else []
            if isinstance(node, ast.ClassDef) and {*COMPONENTS, *found} & set(bases):
                found[node.name] = path
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_nobody_asks_which_member_it_is(path: Path) -> None:
    """No isinstance on a space, sampler or method outside its own file, and no comparison with a registered name."""
    from oneshot.registry import CONTEXTS, METHODS, SAMPLERS, SPACES

    known, named = members(), {*SPACES, *METHODS, *SAMPLERS, *CONTEXTS} - {"none"}
    if below(module_of(path), "oneshot.testing", "oneshot.runs.upgrade"):
        return
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "isinstance":
            asked = {n.id for n in ast.walk(node.args[1]) if isinstance(n, ast.Name)}
            wrong = {name for name in asked & known.keys() if known[name] != path}
            assert not wrong, f"line {node.lineno} asks for {wrong}"
        if isinstance(node, ast.Compare):
            texts = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
            assert not texts & named, f"line {node.lineno} compares with {texts & named}"


def test_the_top_folder_holds_few_files() -> None:
    assert len(list((ROOT / "oneshot").glob("*.py"))) <= 8


@pytest.mark.parametrize(
    "module",
    [
        "oneshot",
        "oneshot.spaces",
        "oneshot.search.evolution",
        "oneshot.benchmarks.table",
        "oneshot.benchmarks.importing.files",
        "oneshot.cli",
        "oneshot.cli.spaces",
        "oneshot.registry",
        "oneshot.runs.presets",
    ],
)
def test_light_modules_import_no_torch(module: str) -> None:
    code = f"import sys, {module}; assert not {{'torch', 'pandas', 'matplotlib', 'scipy'}} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


LIBRARIES = ["-c", "import jsonargparse, numpy, pyarrow.parquet"]


@pytest.mark.parametrize(
    ("words", "most"), [(["--help"], 0.6), (["spaces"], 2.0), (["benchmark", "query"], 2.5)], ids=str
)
def test_light_doors_answer_fast(words: list[str], most: float) -> None:
    """Against what importing the libraries for options and tables takes, .15 s on a fast machine, in turn with it."""
    if words[0] == "benchmark":
        from oneshot.benchmarks.table import find_table

        words = [*words, "nasbench201-digits", find_table("nasbench201-digits").strings[0], "--json"]
    times: dict[str, list[float]] = {"ours": [], "libraries": []}
    for _ in range(5):
        for name, command in (("ours", ["-m", "oneshot", *words]), ("libraries", LIBRARIES)):
            before = processor_seconds()
            subprocess.run([sys.executable, *command], check=True, cwd=ROOT, capture_output=True)
            times[name].append(processor_seconds() - before)
    assert min(times["ours"]) < most * min(times["libraries"]), times


def processor_seconds() -> float:
    """Of finished child processes: what an answer takes on an idle machine, also measured on a busy one."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime

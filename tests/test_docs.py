"""The pages in docs/ are complete: their blocks run in order, in an empty folder."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Collection
from pathlib import Path

import pytest
import torch
from oneshot.benchmarks.table import Benchmark

from oneshot.cli import main
from oneshot.registry import METHODS, SPACES, registered_for_a_while
from tests import test_readme

DOCS = Path(__file__).resolve().parent.parent / "docs"
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FEWER = {
    "own-search-space.md": {"--epochs 30": "--epochs 2", "--epochs 10": "--epochs 1", "--sample 16": "--sample 5"},
    "methods.md": {"--batch-size 128": "--batch-size 324", "--batch-size 64": "--batch-size 324"},
    "export.md": {"--epochs 4": "--epochs 2", "--batch-size 64": "--batch-size 216", "--rounds 20": "--rounds 5"},
    "own-data.md": {"--batch-size 64": "--batch-size 216", "--batch-size 40": "--batch-size 80"},
}
"""What is made smaller so that the tests are fast; each must be there."""

WRITTEN = ("commands.md", "examples.md")
"""Pages that the site is built with, see `docs/hooks.py`."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Runs a page in a folder of its own; returns what its Python blocks defined."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONESHOT_DATA", raising=False)
    threads = torch.get_num_threads()

    def run_page(name: str, skip: Collection[str] = ()) -> dict:
        text = (DOCS / name).read_text()
        for old, new in FEWER.get(name, {}).items():
            assert old in text, f"{name} has no {old!r} any more"
            text = text.replace(old, new)
        names: dict = {"__name__": "page"}
        for language, code in BLOCK.findall(text):
            if language == "python" and code not in skip:
                exec(compile(code, name, "exec", dont_inherit=True), names)
            for line in code.splitlines() if language == "sh" else []:
                assert line.startswith("oneshot "), line
                assert main(shlex.split(line)[1:]) == 0, line
        return names

    yield run_page
    torch.set_num_threads(threads)


def test_a_search_space_of_ones_own(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text, chain = (DOCS / "own-search-space.md").read_text(), (DOCS / "digits_chain.py").read_text()
    assert f"```python\n{chain}```" in text
    (tmp_path / "digits_chain.py").write_text(chain)
    with registered_for_a_while():
        run("own-search-space.md", skip=[chain])
        printed = capsys.readouterr().out
        assert "the front of accuracy against params" in printed
        assert "Kendall's tau" in printed
        table = Benchmark.open("chain.parquet", SPACES["digits-chain"])
    assert (len(table), table.default_truth()) == (5, "digits_test")


def test_cells(run, capsys: pytest.CaptureFixture[str]) -> None:
    names = run("cells.md")
    assert "<svg" in Path("darts-v2.svg").read_text()
    assert "3349342" in capsys.readouterr().out
    assert all(alpha.grad is not None and alpha.grad.any() for alpha in names["alphas"])
    assert len(names["weighted"]) == 28


def test_a_data_set_of_ones_own(run) -> None:
    run("own-data.md")
    assert {p.name for p in Path("runs").iterdir()} == {"mine", "pictures", "fairnas"}
    assert sum(1 for _ in Path("pictures/train").rglob("*.png")) == 160
    assert Path("mine.parquet").is_file()
    assert Path("pictures.parquet").is_file()
    assert Path("fairnas-predictions.parquet").is_file()


def test_a_tracker_of_ones_own(run) -> None:
    with registered_for_a_while():
        run("trackers.md")
    assert [line[:7] for line in Path("runs/lines/lines.txt").read_text().splitlines()] == ["epoch 1", "epoch 2"]


def test_scaling_is_its_own_arithmetic(run, capsys: pytest.CaptureFixture[str]) -> None:
    run("scaling.md")
    printed = capsys.readouterr().out
    blocks = dict(BLOCK.findall((DOCS / "scaling.md").read_text()))
    assert blocks["text"] == printed
    assert "10^6" in printed


def lines() -> list[str]:
    """Of commands that are shown but not run."""
    pages = [page.read_text() for page in [*DOCS.glob("*.md"), *DOCS.glob("methods/*.md")]]
    shown = [code for page in pages for language, code in BLOCK.findall(page) if not language]
    found = [line for code in shown for line in code.replace("\\\n", "").splitlines()]
    return sorted({line.split(" # ")[0].strip() for line in found if line.startswith("oneshot ")})


@pytest.mark.parametrize("line", lines())
def test_commands_that_are_shown_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    test_readme.test_commands_and_options_exist(line, capsys)


@pytest.mark.parametrize("page", sorted((DOCS / "methods").glob("*.md")), ids=lambda page: page.stem)
def test_pages_of_methods_say_what_one_chooses_by(page: Path) -> None:
    text = page.read_text()
    assert page.stem in METHODS
    assert re.findall(r"^## (.*)", text, re.MULTILINE) == ["When to choose it", "Equation", "Here", "Settings"]
    assert f"<!-- settings: {page.stem} -->" in text
    assert "$$" in text


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("mkdocstrings", reason='needs the extra: pip install -e ".[docs]"')
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=DOCS.parent, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-3000:]
    for name in METHODS:
        page = (tmp_path / "site" / "methods" / name / "index.html").read_text()
        assert "--method." in page or "It has none." in page
    pages = {path: path.read_text() for path in (tmp_path / "site").rglob("*.html")}
    assert "oneshot benchmark create" in pages[tmp_path / "site" / "commands" / "index.html"]
    assert "bootstrap" in pages[tmp_path / "site" / "api" / "benchmarks" / "index.html"]
    elsewhere = r"<(?:script|link)[^>]*(?:src|href)=.https?://(?!squidfunk)"
    assert not [path for path, text in pages.items() if re.search(elsewhere, text)], "asks other sites for something"


def test_links_between_pages_lead_somewhere() -> None:
    for page in DOCS.rglob("*.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert target in WRITTEN or (page.parent / target).exists(), f"{page.name}: {target}"


def test_from_a_search_to_a_network(run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("onnxruntime", reason='needs the extra: pip install -e ".[export]"')
    run("export.md")
    printed = capsys.readouterr().out
    assert "looked at once, after the last epoch" in printed
    assert (tmp_path / "retrained.onnx").exists()


def test_differentiable_methods(run, capsys: pytest.CaptureFixture[str]) -> None:
    run("methods.md")
    assert capsys.readouterr().out.count("derived architecture") == 6

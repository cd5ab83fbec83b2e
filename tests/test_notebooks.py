"""Notebooks run from top to bottom, on what ships or on the real tables."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch
from IPython.core.displayhook import DisplayHook
from IPython.core.displaypub import DisplayPublisher
from IPython.core.interactiveshell import InteractiveShell
from IPython.utils.capture import capture_output
from matplotlib_inline.backend_inline import configure_inline_support
from nbclient import NotebookClient

from oneshot.registry import registered_for_a_while

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"
CELLS = 14
"""Of code in a notebook at most."""


def executed(name: str) -> list[Any]:
    """The outputs of a notebook."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit notebooks without outputs"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(FOLDER)}}).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


class Hook(DisplayHook):
    """Gives what a cell's last line is to the shell, unless it ends with a semicolon."""

    shell: Any

    def write_output_prompt(self) -> None: ...

    def write_format_data(self, format_dict: Any, md_dict: Any = None) -> None:
        self.shell.outputs.append({"data": format_dict})

    def finish_displayhook(self) -> None: ...


class Publisher(DisplayPublisher):
    """Gives what a cell displays to the shell."""

    shell: Any

    def publish(self, data: Any, *args: Any, **named: Any) -> None:
        self.shell.outputs.append({"data": data})


class Shell(InteractiveShell):
    """A notebook's cells in this process: no kernel has to start and import everything again."""

    displayhook_class, display_pub_class = Hook, Publisher

    def __init__(self, **named: Any) -> None:
        self.outputs: list[Any] = []
        super().__init__(**named)

    def enable_gui(self, gui: Any = None) -> None: ...


@pytest.fixture
def run_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], list[Any]]]:
    """Runs a notebook in an empty folder, by its name; its outputs."""
    pyplot = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("ONESHOT_DATA", raising=False)
    threads, backend = torch.get_num_threads(), pyplot.get_backend()
    Shell.clear_instance()
    shell = Shell.instance(colors="nocolor")
    history: Any = shell.history_manager
    history.enabled = False

    def run(name: str) -> list[Any]:
        notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
        code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
        assert len(code) <= CELLS
        assert not any(cell.get("outputs") for cell in notebook.cells), "commit notebooks without outputs"
        for source in code:
            with capture_output(display=False) as captured:
                result = shell.run_cell(source, store_history=True)
            assert result.success, captured.stdout
            shell.outputs.append({"data": {}, "text": captured.stdout})
        return shell.outputs

    with registered_for_a_while():
        yield run
    configure_inline_support(shell, "agg")  # which else takes the next shell for this one, and gives it no pictures
    Shell.clear_instance()
    pyplot.close("all")
    pyplot.switch_backend(backend)
    torch.set_num_threads(threads)


def figures(outputs: list[Any]) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs)


def text(outputs: list[Any]) -> str:
    return "".join(output.get("text", "") + output.get("data", {}).get("text/html", "") for output in outputs)


def test_improvement(monkeypatch: pytest.MonkeyPatch, a_sixth: Path) -> None:
    monkeypatch.setenv("ONESHOT_NOTEBOOK_EPOCHS", "2")
    monkeypatch.setenv("ONESHOT_NOTEBOOK_TABLE", str(a_sixth))
    outputs = executed("improvement")
    assert figures(outputs) == 5
    assert "tau of each seed" in text(outputs)


def test_inter_choice(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONESHOT_NOTEBOOK_BOOTSTRAPS", "100")
    outputs = executed("inter_choice")
    spaces = ("conv, 64", "no-zero, 1000")
    assert figures(outputs) == 2 * len(spaces)
    captions = tuple(f"space {space} architectures" for space in spaces)
    for word in (*captions, "bias-3", "split-80", "bias-1 balanced", "live path convolutions"):
        assert word in text(outputs)


def test_vaenas() -> None:
    outputs = executed("vaenas")
    assert figures(outputs) == 2
    words = ("cells of nine edges", "learned from, vae, noise 0.5", "above 93.5%", "95% of single tries")
    for word in (*words, "convolutions 3x3", "vaenas 0 by loss", "the truth with noise 0.1"):
        assert word in text(outputs)


def test_methods() -> None:
    outputs = executed("methods")
    assert figures(outputs) >= 1
    for word in ("what was found, by images", "GDAS", "EnTranNAS-DST", "supernets, means over seeds"):
        assert word in text(outputs)


def test_first_steps(run_here: Callable[[str], list[Any]]) -> None:
    outputs = run_here("first_steps")
    assert figures(outputs) == 3
    words = text(outputs)
    assert words.count("<svg") == 4  # the run's loss, the cell, and the best of one and of many
    assert "8 of 8 epochs" in words
    assert "the best 10 of 40 architectures" in words
    assert "ceiling: digits_valid" in words
    (predicted, true) = map(float, re.findall(r"predicted ([\d.]+) %, true ([\d.]+) %", words)[0])
    assert 10 < predicted < 100
    assert 10 < true < 100


def test_own_space(run_here: Callable[[str], list[Any]]) -> None:
    outputs = run_here("own_space")
    assert figures(outputs) == 2
    words = text(outputs)
    assert "64 architectures; conv3-skip-k5e4 is (1, 0, 3)" in words
    assert "the best 10 of 64 architectures" in words
    assert "strictly" not in words
    assert "fair sampling" in words
    assert max(map(float, re.findall(r"<td>([\d.]+) ±", words))) > 30, "nothing was learned"


def test_own_network(run_here: Callable[[str], list[Any]]) -> None:
    outputs = run_here("own_network")
    assert figures(outputs) == 2
    words = text(outputs)
    assert "48 architectures" in words
    assert max(map(float, re.findall(r"<td>([\d.]+) ±", words))) > 40, "nothing was learned"
    own, whole = (int(n.replace(",", "")) for n in re.findall(r"([\d,]+) of ([\d,]+) parameters", words)[0])
    assert 0 < own < whole / 2


def test_own_data(run_here: Callable[[str], list[Any]]) -> None:
    pytest.importorskip("datasets", reason='needs the extra: pip install -e ".[datasets]"')
    outputs = run_here("own_data")
    assert figures(outputs) == 1
    words = text(outputs)
    for form in ("npz", "folder", "datasets", "torchvision"):
        assert f"<td>format</td><td>{form}</td>" in words
    for way in ("npz", "folder", "Parquet", "torchvision"):
        assert f">{way}</th>" in words
    assert "digit-0 " in words[words.index("the data is not what this run was made with") :]
    assert "0000.png: no kind of image that is known" in words
    column = map(float, re.findall(r"col0\b[^>]*>([\d.]+) %<", words))
    assert max(column) > 40, "nothing was learned"


def test_score_predictions(run_here: Callable[[str], list[Any]]) -> None:
    outputs = run_here("score_predictions")
    assert figures(outputs) == 3
    words = text(outputs)
    for predictor in ("rule-of-thumb", "live parameters", "ceiling: digits_valid", "recommended", "rule vs noisy rule"):
        assert f"<td>{predictor}" in words
    assert "found no .parquet file for &#x27;nasbench201&#x27;" in words or "for 'nasbench201'" in words
    assert "conv_3x3" in words.splitlines()[-1]


def test_search_on_latency(run_here: Callable[[str], list[Any]]) -> None:
    outputs = run_here("search_on_latency")
    assert figures(outputs) == 4
    words = text(outputs)
    assert "the front of accuracy against latency, of " in words
    operations, between = map(int, re.findall(r"(\d+) operations measured, (\d+) µs between two", words)[0])
    assert operations > 10
    assert between >= 0


TESTED = {
    "first_steps", "improvement", "inter_choice", "methods", "own_data", "own_network", "own_space",
    "score_predictions", "search_on_latency", "vaenas",
}  # fmt: skip


def test_every_notebook_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == TESTED

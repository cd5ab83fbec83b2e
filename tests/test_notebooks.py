"""Notebooks run from top to bottom, on what ships or on the real tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

FOLDER = Path(__file__).resolve().parent.parent / "notebooks"


def executed(name: str) -> list[Any]:
    """The outputs of a notebook."""
    notebook = nbformat.read(FOLDER / f"{name}.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit notebooks without outputs"
    NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(FOLDER)}}).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


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


def test_every_notebook_is_tested() -> None:
    assert {path.stem for path in FOLDER.glob("*.ipynb")} == {"improvement", "inter_choice", "methods", "vaenas"}

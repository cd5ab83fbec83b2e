"""The agreement of several runs as a table, a figure and files."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
from oneshot.benchmarks.reporting.consistency import consistency_figure, consistency_table, write_consistency
from oneshot.benchmarks.scoring.consistency import consistency
from oneshot.benchmarks.scoring.predictions import Predicted
from rich.console import Console

NAMES = [f"arch {i:02}" for i in range(40)]


def runs(count: int = 3) -> list[Predicted]:
    """Noisy views of one ranking."""
    rng = np.random.default_rng(0)
    values = [np.arange(40) / 8 + rng.normal(0, 0.5, 40) + 60 for _ in range(count)]
    return [Predicted(NAMES, each, "own", {"seed": i}, f"seed-{i}") for i, each in enumerate(values)]


def test_files_of_an_agreement(tmp_path: Path) -> None:
    found = consistency(runs(2), bootstraps=5)
    write_consistency(found, tmp_path / "report")
    assert json.loads((tmp_path / "report" / "consistency.json").read_text()) == found.to_dict()
    assert sorted(path.name for path in (tmp_path / "report").iterdir()) == [
        "consistency.json", "consistency.png", "consistency.svg",
    ]  # fmt: skip


def test_a_panel_a_pair_on_one_scale() -> None:
    made = runs(4)
    found = consistency(made, bootstraps=5)
    panels = consistency_figure(found).axes
    assert len(panels) == len(found.pairs) == 6
    assert len({axes.get_xlim() for axes in panels} | {axes.get_ylim() for axes in panels}) == 1
    for axes, pair in zip(panels, found.pairs, strict=True):
        assert (axes.get_xlabel(), axes.get_ylabel()) == tuple(f"seed-{i}" for i in pair.runs)
        points = np.asarray(axes.collections[0].get_offsets())
        assert np.array_equal(points, np.stack([found.runs[i].accuracy for i in pair.runs], 1))
        assert f"tau {pair.values['kendall_tau']:.3f}" in axes.get_title()
    assert len(consistency_figure(consistency(made[:2], bootstraps=5)).axes) == 1


def test_the_table_fits_into_a_hundred_columns() -> None:
    found = consistency(runs(), bootstraps=20)
    console = Console(width=100, file=io.StringIO())
    console.print(consistency_table(found))
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert max(map(len, text.splitlines())) <= 100
    assert "seed-0, seed-2" in text
    assert f"{found.mean['kendall_tau']:.3f}".removeprefix("0") + " ±" in text

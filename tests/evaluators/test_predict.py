"""Predictions in one call, from a run and from its folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from oneshot.evaluators.supernet import of_run

import oneshot
from oneshot.runs.run import Run, build

ARCHS = [(3, 1, 2, 4, 3, 2), (0, 1, 2, 3, 4, 0)]


@pytest.fixture(scope="module")
def run() -> Run:
    config, recipe = oneshot.preset("demo")
    return build(config.but(channels=2), replace(recipe, epochs=1))


def test_architectures_and_strings_give_what_the_evaluator_gives(run: Run) -> None:
    expected = of_run(run, norm="ema-2", images=64)(ARCHS)
    texts = [run.space.format(arch) for arch in ARCHS]
    for archs in (ARCHS, texts, [ARCHS[0], texts[1]]):
        found = oneshot.predict(run, archs, norm="ema-2", images=64)
        assert (found.archs, found.values, found.protocol) == (expected.archs, expected.values, expected.protocol)


def test_a_folder_takes_the_place_of_a_run(tmp_path: Path) -> None:
    from oneshot.cli import main

    words = ["train", "--preset", "demo", "--channels", "2", "--epochs", "1", "--out", str(tmp_path / "run")]
    assert main(words) == 0
    for folder in (tmp_path / "run", str(tmp_path / "run")):
        found = oneshot.predict(folder, ARCHS, norm="batch", images=64, device="cpu")
        assert found.values == of_run(oneshot.open_run(tmp_path / "run"), norm="batch", images=64)(ARCHS).values
    with pytest.raises(FileNotFoundError, match="is no run folder"):
        oneshot.predict(tmp_path, ARCHS)


def test_what_is_refused(run: Run) -> None:
    text = run.space.format(ARCHS[0])
    with pytest.raises(ValueError, match="expected a sequence of architectures, got the text"):
        oneshot.predict(run, text)
    with pytest.raises(ValueError, match="is no NAS-Bench-201 string"):
        oneshot.predict(run, [text, "x"])
    with pytest.raises(ValueError, match="no BatchNorm mode 'ema'"):
        oneshot.predict(run, [text], norm="ema")

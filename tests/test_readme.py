"""The README's code runs, and its commands and options exist."""

from __future__ import annotations

import re
import shlex
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest

from oneshot.cli import COMMANDS, main
from oneshot.runs.presets import PRESETS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
GUIDES = [ROOT / "docs" / f"{name}.md" for name in ("quick-start", "ground-truth", "search", "service", "predictions")]
LINES = sorted({
    line.split("#")[0].strip()
    for text in (README, *(path.read_text() for path in GUIDES))
    for line in text.splitlines()
    if line.startswith("oneshot ")
})  # fmt: skip
WORDS = 900
CHOOSE = ("--space", "--method", "--sampler", "--tracker", "--context", "--preset")
"""What further options depend on."""


def test_the_first_screen_shows_the_command() -> None:
    assert "pip install -e . && oneshot demo" in README[:1200]
    assert 'pip install -e ".[test]" && pytest' in README


def test_it_is_short_and_its_links_lead_somewhere() -> None:
    assert len(README.split()) <= WORDS
    links = re.findall(r"\]\(([^)#:]+)\)", README)
    assert len(links) > 10
    assert all((ROOT / link).exists() for link in links)


@pytest.mark.parametrize("line", LINES)
def test_commands_and_options_exist(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    words = shlex.split(line)[1:]
    command = [] if words[0].startswith("--") else words[:2] if words[0] == "benchmark" else words[:1]
    assert set(command[:1]) <= set(COMMANDS)
    chosen = [word for pair in pairwise(words) if pair[0] in CHOOSE for word in pair]
    with suppress(SystemExit):
        main([*command, *chosen, "--help-all" if command else "--help"])
    shown = capsys.readouterr().out
    for word in words:
        if word.startswith("--"):
            flag = word.partition("=")[0]
            assert flag in shown or f".{flag[2:]} " in shown, f"{line}: no option {flag}"


def test_presets_are_described() -> None:
    text = (ROOT / "docs" / "presets.md").read_text()
    described = set(re.findall(r"`([\w-]+)`", text[text.index("| `--preset`") : text.index("Every value is free")]))
    assert described - {"--preset"} == set(PRESETS)


def shorter(page: str) -> str:
    """Its Python block, with one epoch and every thirty-second architecture."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    for old, new in (("epochs=20", "epochs=1"), ("(run, table.archs)", "(run, table.archs[::32])")):
        assert old in code
        code = code.replace(old, new)
    return code


def test_the_python_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(shorter(README), "README.md", "exec"), {})
    tau, low, high = map(float, re.findall(r"-?\d\.\d+", capsys.readouterr().out)[:3])
    assert low <= tau <= high

"""A bounded sample of `perf/kills.py`: commands killed at random instants lose nothing that was reported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perf import kills


def test_kills_lose_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert kills.main(["--kills", "13", "--folder", str(tmp_path / "kills")]) == 0, capsys.readouterr().err
    document = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (document["all"], document["lost"], document["unusable"]) == (13, 0, 0)
    assert all(document["kills"].values())

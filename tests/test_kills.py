"""A bounded sample of `perf/kills.py`: commands killed at random instants lose nothing that was reported."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SCRIPT = Path(__file__).resolve().parent.parent / "perf" / "kills.py"


def test_kills_lose_nothing(tmp_path: Path) -> None:
    command = [sys.executable, str(SCRIPT), "--kills", "13", "--folder", str(tmp_path / "kills")]
    process = subprocess.run(command, capture_output=True, text=True, timeout=400)
    assert process.returncode == 0, process.stderr
    document = json.loads(process.stdout.splitlines()[-1])
    assert (document["all"], document["lost"], document["unusable"]) == (13, 0, 0)
    assert all(document["kills"].values())

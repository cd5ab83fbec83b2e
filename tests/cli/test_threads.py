"""How the command line's threads wait for each other."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

CODE = """
import os, sys
from oneshot.cli import main
sys.argv = ["oneshot", "--version"]
main()
print(os.environ.get("GOMP_SPINCOUNT"))
"""


@pytest.mark.parametrize(
    ("given", "spins"), [({}, "10000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "active"}, "None")]
)
def test_they_sleep_soon_unless_the_user_says_otherwise(given: dict[str, str], spins: str) -> None:
    environment = {
        name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")
    }
    done = subprocess.run(
        [sys.executable, "-c", CODE], env={**environment, **given}, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == spins

"""What a search writes: its settings before it begins, its candidates and front when it is done."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from oneshot.base.files import clear, read_json, replacing, vacant, write_json
from oneshot.base.provenance import differences, environment
from oneshot.search.base import Task

SETTINGS, RESULT, CANDIDATES = "search.json", "result.json", "candidates.parquet"
FILES = (SETTINGS, RESULT, CANDIDATES, "*.png", "*.svg")


def begin(folder: Path, settings: Mapping[str, Any]) -> None:
    """Record the settings in a new folder; one with exactly these is continued.

    ValueError names the differences to the settings that are there, or says that the folder is another's.
    """
    path, asked = folder / SETTINGS, json.loads(json.dumps(settings))
    if path.exists():
        changed = "; ".join(differences(read_json(path), asked))
        if changed:
            raise ValueError(f"{folder} holds a search of other settings: {changed}; choose another folder")
    elif not vacant(folder):
        raise ValueError(f"{folder} is not empty and holds no search; choose another folder")
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(path, asked)
    clear(folder, *FILES)


def document(task: Task, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings, the counts, the best and the front as JSON."""
    return {
        "settings": dict(settings),
        "environment": environment(),
        "candidates": len(task.found),
        "evaluations": task.evaluations,
        "failed": [task.space.format(arch) for arch in task.failed],
        "best": task.record(task.best()),
        "front": [task.record(candidate) for candidate in task.front()],
    }


def write(folder: Path, task: Task, found: Mapping[str, Any]) -> None:
    """The candidates, then the result, which is what `document` says; each whole or not at all."""
    candidates = task.frame()
    with replacing(folder / CANDIDATES) as temporary:
        candidates.to_parquet(temporary, index=False)
    write_json(folder / RESULT, found)

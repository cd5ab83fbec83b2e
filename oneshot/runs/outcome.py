"""The accuracy of a finished network of one architecture on the test images, looked at once."""

from __future__ import annotations

import math
from typing import Any

from oneshot.base.files import read_json, write_json
from oneshot.runs.run import Run
from oneshot.training.precision import used
from oneshot.training.validation import validated

FILE = "test.json"


def outcome(run: Run) -> dict[str, Any]:
    """What the test images say of a finished run of one architecture; kept in its folder, and never looked at again.

    ValueError for a supernet, and before the last epoch.
    """
    folder = run.folder
    if folder is None or not run.config.arch:
        raise ValueError("only the run of one architecture, in a folder, is tested: it has `arch` in its configuration")
    if (folder.path / FILE).exists():
        return read_json(folder.path / FILE)
    commit = folder.commit
    if commit is None or commit["epoch"] < run.epochs:
        done = commit["epoch"] if commit else 0
        raise ValueError(f"{folder.path} is tested once, after its last epoch: {done} of {run.epochs} are done")
    gates = run.space.gates((0,) * len(run.space.decisions))
    accuracy, loss = validated(run.net, gates, run.dataset.test, run.recipe.precision)
    if math.isnan(accuracy):
        raise ValueError(f"{folder.path} has no test accuracy: logits of its network are not finite")
    trained = len(run.train) + (len(run.valid) if run.method.phases(run.recipe)[-1].images == "all" else 0)
    protocol = {
        "evaluator": "test images, once, after the last epoch", "test_images": len(run.dataset.test),
        "training_images": trained, "batch_norm": "inherit",
        "precision": used(run.recipe.precision, run.dataset.test.labels.device), **run.provenance(),
    }  # fmt: skip
    found = {"arch": run.config.arch, "test_accuracy": accuracy, "test_loss": loss, "protocol": protocol}
    write_json(folder.path / FILE, found)
    return found

"""A training in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from oneshot.evaluators.feedback import feedback_of

from oneshot.base.files import writing_in
from oneshot.runs.begin import begun
from oneshot.runs.config import Config
from oneshot.runs.folder import RunFolder
from oneshot.runs.inherit import initialise
from oneshot.runs.run import Run, build
from oneshot.training.bar import TrainingBar
from oneshot.training.callbacks import Callback, OnEpoch
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe


def fit(
    config: Config,
    recipe: Recipe,
    out: str | Path | None = None,
    data_dir: str | Path | None = None,
    device: str | torch.device = "cpu",
    callbacks: Sequence[Callback] = (),
    quiet: bool = False,
) -> Run:
    """Build a run and train it to its end; with `out` in a run folder, which an unfinished training continues.

    It tells of its progress unless `quiet`. ValueError as of `build`, and where the folder holds another run.
    """
    if out is not None:
        folder = RunFolder(out)
        with writing_in(folder.path):
            run = begun(config, recipe, folder, data_dir, device)
            finish(run, folder, callbacks, quiet)
        run.net.eval()
        return run.kept_in(folder)
    run, rows = build(config, recipe, data_dir, device), list[Mapping[str, Any]]()
    initialise(run)
    finish(run, None, [*callbacks, OnEpoch(rows.append)], quiet)
    run.net.eval()
    return replace(run, history=tuple(rows))


def finish(run: Run, folder: RunFolder | None, callbacks: Sequence[Callback] = (), quiet: bool = False) -> None:
    """Train a run to its end, or on from where its folder is; a sampler that learns is told what the supernet says."""
    with TrainingBar(quiet=quiet) as bar:
        feedback = feedback_of(run, on_chunk=bar.evaluated)
        images = run.train, run.valid
        train(run.net, run.method, *images, run.recipe, run.config.seed, folder, [*callbacks, bar], feedback)

"""A training in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
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
    with nullcontext() if out is None else writing_in(Path(out)), TrainingBar(quiet=quiet) as bar:
        if out is None:
            folder, run = None, build(config, recipe, data_dir, device)
            initialise(run)
        else:
            folder = RunFolder(out)
            run = begun(config, recipe, folder, data_dir, device)
        rows = list[Mapping[str, Any]]()
        told = [*callbacks, bar, OnEpoch(rows.append)]
        feedback = feedback_of(run, on_chunk=bar.evaluated)
        train(run.net, run.method, run.train, run.valid, recipe, config.seed, folder, told, feedback)
    run.net.eval()
    return replace(run, history=tuple(rows)) if folder is None else run.kept_in(folder)

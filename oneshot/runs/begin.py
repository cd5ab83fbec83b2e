"""The beginning of a training in a run folder, and its going on."""

from __future__ import annotations

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from oneshot.base import distributed
from oneshot.data.load import absolute
from oneshot.runs.config import Config
from oneshot.runs.data import Known
from oneshot.runs.folder import RunFolder, recorded
from oneshot.runs.inherit import initialise
from oneshot.runs.run import Run, build
from oneshot.runs.upgrade import continued
from oneshot.training.recipe import Recipe


def begun(
    config: Config,
    recipe: Recipe,
    folder: RunFolder,
    data_dir: str | Path | None = None,
    device: str | torch.device = "cpu",
    accept_data: bool = False,
) -> Run:
    """The run that `oneshot.training.loop.train` trains in a folder, new or to be continued; what it is is recorded.

    Every process of a training calls this, and the first one writes, before any goes on. ValueError where the folder
    is of another configuration, or of other data, unless that is accepted; and before a first epoch where images
    cannot be read.
    """
    paths = {"dataset": partial(absolute, data_dir=data_dir), "init_from": _absolute}
    config = replace(config, **{name: of(getattr(config, name)) for name, of in paths.items()})
    if folder.is_begun:
        config = continued(config, folder.config)
        for name, of in paths.items():
            before = folder.config.get(name)
            if isinstance(before, str) and of(before) == getattr(config, name):  # as earlier versions had it
                config = replace(config, **{name: before})
    run = build(config, recipe, data_dir, device).kept_in(folder)
    if run.commit is None:
        initialise(run)
    if distributed.rank() == 0:
        _record(run, folder, accept_data)
    distributed.barrier()
    return run


def _absolute(folder: str) -> str:
    return folder and os.path.abspath(folder)


def _record(run: Run, folder: RunFolder, accept_data: bool) -> None:
    trains = run.epoch < run.epochs
    if trains and Known.read(folder.path) is None:
        run.images.check_readable()
    RunFolder.create(folder.path, recorded(run.config, run.recipe))
    if trains:
        run.images.settle(folder.path, run.epoch, accept_data)

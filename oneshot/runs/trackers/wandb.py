"""A run of Weights & Biases, online or, with WANDB_MODE=offline, in files that `wandb sync` sends later."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot.base.files import read_json, write_json
from oneshot.runs.trackers.base import Row, Tracker, library, numbers

KEPT = "tracker-wandb.json"


@dataclass(frozen=True)
class WandbSettings:
    """A run of Weights & Biases, named as the run folder; its files are in wandb/ there.

    Args:
        project: which has the run
        entity: user or team; '' for the usual one
    """

    project: str = "oneshot"
    entity: str = ""

    def make(self, folder: Path) -> Tracker:
        return Wandb(self, folder, library("wandb"))


class Wandb(Tracker):
    """The run's id is kept in the run folder. Online the server says which epochs it has.

    Offline every process has a folder in wandb/, whole once it ended; that of a killed one may lack anything, and is
    removed by the next, which logs its epochs again.
    """

    def __init__(self, settings: WandbSettings, folder: Path, wandb: Any) -> None:
        self.settings, self.folder, self.wandb = settings, folder, wandb
        self._run: Any = None
        self._kept: dict[str, Any] = {}
        self._has = 0

    def begin(self, configuration: Mapping[str, Any]) -> int:
        if self._run is None:
            path = self.folder / KEPT
            self._kept = read_json(path) if path.exists() else {"id": secrets.token_hex(4), "epochs": 0}
            self._keep()  # before there is a run of that id
            self._run = self._opened(configuration)
            if self._run.offline:
                self._remove_unfinished()
                self._keep(unfinished=Path(self._run.dir).parent.name)
                self._has = self._kept["epochs"]
            else:
                self._has = max(self._run.step - 1, 0) if self._run.resumed else 0
        return self._has

    def log(self, rows: Sequence[Row]) -> None:
        for row in rows:
            self._run.log(dict(numbers(row)), step=row["epoch"], commit=True)
            self._has = row["epoch"]

    def end(self, finished: bool) -> None:
        run, self._run = self._run, None
        run.finish(exit_code=0 if finished else 1)
        self._keep(epochs=self._has, unfinished="")

    def _opened(self, configuration: Mapping[str, Any]) -> Any:
        return self.wandb.init(
            project=self.settings.project,
            entity=self.settings.entity or None,
            id=self._kept["id"],
            name=self.folder.resolve().name,
            dir=self.folder,
            config=dict(configuration),
            resume="allow",
            settings=self.wandb.Settings(console="off"),
        )

    def _keep(self, **values: Any) -> None:
        self._kept |= values
        write_json(self.folder / KEPT, self._kept)

    def _remove_unfinished(self) -> None:
        name = self._kept.get("unfinished", "")
        if name.startswith("offline-run-") and Path(name).name == name:
            shutil.rmtree(self.folder / "wandb" / name, ignore_errors=True)

"""A run of MLflow, on a server or in a database."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from oneshot.base.files import read_json, write_json
from oneshot.runs.trackers.base import Row, Tracker, flat, library, numbers

PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "20"}
"""The training waits, by default of MLflow for many minutes."""
MARK = "seconds"
"""What every row has: up to which epoch it is there, the others are."""
METRICS, PARAMS, LENGTH = 1000, 100, 500
"""MLflow takes so many at once, and values of so many characters."""


@dataclass(frozen=True)
class MlflowSettings:
    """A run of an MLflow server, named as the run folder.

    Args:
        uri: of the tracking server or database; '' for $MLFLOW_TRACKING_URI, else MLflow's own default
        experiment: which has the run; it is made where there is none
    """

    uri: str = ""
    experiment: str = "oneshot"

    def make(self, folder: Path) -> Tracker:
        return Mlflow(self, folder, library("mlflow"))


class Mlflow(Tracker):
    """The run's id is kept in the run folder; the server says which epochs it has."""

    def __init__(self, settings: MlflowSettings, folder: Path, mlflow: Any) -> None:
        for name, value in PATIENCE.items():
            os.environ.setdefault(name, value)
        self.settings, self.folder, self.mlflow = settings, folder, mlflow
        self._id = ""

    def begin(self, configuration: Mapping[str, Any]) -> int:
        self.client = self.mlflow.MlflowClient(tracking_uri=self.settings.uri or None)
        run = self._found() or self._made()
        self._id = run.info.run_id
        if not run.data.params:
            self._tell(configuration)
        if run.info.status != "RUNNING":
            self.client.update_run(self._id, status="RUNNING")
        return max((metric.step for metric in self.client.get_metric_history(self._id, MARK)), default=0)

    def log(self, rows: Sequence[Row]) -> None:
        now, batch = int(time.time() * 1000), []
        for row in rows:
            metrics = [self.mlflow.entities.Metric(name, value, now, row["epoch"]) for name, value in numbers(row)]
            if len(batch) + len(metrics) > METRICS:
                self.client.log_batch(self._id, metrics=batch)
                batch = []
            batch += metrics
        self.client.log_batch(self._id, metrics=batch)

    def end(self, finished: bool) -> None:
        self.client.set_terminated(self._id, "FINISHED" if finished else "KILLED")

    @property
    def _kept(self) -> Path:
        return self.folder / "tracker-mlflow.json"

    def _found(self) -> Any:
        """The run that was begun before; None where there is none, or the server knows it no more."""
        if not self._kept.exists():
            return None
        try:
            return self.client.get_run(read_json(self._kept)["run_id"])
        except self.mlflow.MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def _made(self) -> Any:
        name = self.settings.experiment
        experiment = self.client.get_experiment_by_name(name)
        of = self.client.create_experiment(name) if experiment is None else experiment.experiment_id
        run = self.client.create_run(of, run_name=self.folder.resolve().name)
        write_json(self._kept, {"run_id": run.info.run_id})
        return run

    def _tell(self, configuration: Mapping[str, Any]) -> None:
        params = [self.mlflow.entities.Param(name, str(value)[:LENGTH]) for name, value in flat(configuration)]
        for first in range(0, len(params), PARAMS):
            self.client.log_batch(self._id, params=params[first : first + PARAMS])

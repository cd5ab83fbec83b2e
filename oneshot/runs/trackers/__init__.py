"""Programs that show trainings: one file a tracker. What ships is registered here, by reference."""

from oneshot.registry import TRACKERS

TRACKERS.register("tensorboard", "oneshot.runs.trackers.tensorboard:TensorBoardSettings")
TRACKERS.register("csv", "oneshot.runs.trackers.csv:CsvSettings")
TRACKERS.register("mlflow", "oneshot.runs.trackers.mlflow:MlflowSettings")
TRACKERS.register("wandb", "oneshot.runs.trackers.wandb:WandbSettings")

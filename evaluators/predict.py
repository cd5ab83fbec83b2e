"""Predictions of a run in one call."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from oneshot.evaluators.base import Predictions
from oneshot.evaluators.supernet import of_folder, of_run

from oneshot.space import Arch

if TYPE_CHECKING:
    from oneshot.runs.run import Run


def predict(run: Run | str | Path, archs: Sequence[Arch | str], **settings: Any) -> Predictions:
    """Architectures, or their strings, predicted by a run or by the run in a folder.

    The settings are those of `of_run`: `norm`, `batch_size`, `images` and others; of a folder those of `of_folder`.
    """
    if isinstance(archs, str):
        raise ValueError(f"expected a sequence of architectures, got the text {archs!r}; of one, [{archs!r}]")
    evaluator = of_folder(run, **settings) if isinstance(run, str | Path) else of_run(run, **settings)
    return evaluator([evaluator.space.parse(arch) if isinstance(arch, str) else arch for arch in archs])

"""How far a training is, step by step, from its first step on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from oneshot.base.progress import Progress, span
from oneshot.training.callbacks import Callback, Moment


class TrainingBar(Callback):
    """A bar, or a line now and then, with loss, images a second, time an epoch and time left; `quiet` shows nothing."""

    def __init__(self, quiet: bool = False) -> None:
        self.progress = Progress("train", 0, "steps", quiet=quiet)
        self.quiet, self._last, self._valid = quiet, dict[str, float | str](), dict[str, str]()

    def __enter__(self) -> Self:
        self.progress.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self.progress.__exit__(*error)

    def step(self, at: Moment) -> None:
        if not self.progress.total:
            self.progress.expect(at.total, "steps")
            self.progress.begin(at.done - 1)
        if self.progress.is_due:
            speed, losses = self.progress.rate, at.losses()
            self._last = {
                "epoch": f"{at.epoch + 1}/{at.epochs}",
                **{name: value for name, value in losses.items() if name == "loss"},
                "images/s": f"{speed * at.images:.0f}",
                **self._valid,
                **({"an epoch": span(at.steps / speed)} if speed else {}),
            }
        self.progress.advance(1, **self._last)

    def epoch(self, row: Mapping[str, Any]) -> None:
        self._valid = {"valid": f"{row['valid_mean']:.1f} %"} if "valid_mean" in row else self._valid
        if "sampler_best" in row and not self.quiet:
            print(_round(row), flush=True)

    def evaluated(self, done: int, of: int) -> None:
        """Between two epochs: architectures whose accuracies a sampler is told."""
        self.progress.advance(0, evaluated=f"{done}/{of}")


def _round(row: Mapping[str, Any]) -> str:
    """What an epoch's metrics say of a sampler that learns."""
    accuracies = f"accuracies best {row['sampler_best']:.2f} %, mean {row['sampler_mean']:.2f} %"
    told = f"sampler after epoch {row['epoch']}: {accuracies}, "
    return told + (f"bound {row['sampler_bound']:.3f}" if "sampler_bound" in row else "all equal: nothing learned")

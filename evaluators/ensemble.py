"""Several evaluators of one space as one: the mean of what they say, such as supernets of several training seeds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from oneshot.evaluators.base import Evaluator, Prediction, Predictions

from oneshot.base.quantity import quantity
from oneshot.space import Arch


class EnsembleEvaluator:
    """The mean accuracy and loss of its members, from all their images together; ValueError for different spaces."""

    def __init__(self, members: Sequence[Evaluator]) -> None:
        if len(members) < 2 or len({member.space.name for member in members}) > 1:
            spaces = ", ".join(member.space.name for member in members) or "none"
            raise ValueError(f"an ensemble needs at least two evaluators of one space, got {spaces}")
        scores = [of.title for of in (quantity(member.protocol) for member in members) if not of.is_accuracy]
        if scores:
            raise ValueError(f"an ensemble is the mean of accuracies, got {', '.join(scores)}")
        self.members, self.space = tuple(members), members[0].space

    @property
    def protocol(self) -> dict[str, Any]:
        return {"evaluator": "ensemble", "members": [member.protocol for member in self.members]}

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        every = [member(archs) for member in self.members]
        values = tuple(_mean(each) for each in zip(*(predictions.values for predictions in every), strict=True))
        return Predictions(self.space, every[0].archs, values, self.protocol)


def _mean(each: Sequence[Prediction]) -> Prediction:
    images = sum(value.images for value in each)
    error = next((value.error for value in each if value.error is not None), None)
    if error is not None:
        return Prediction.failed(error, images)
    balanced = [value.balanced for value in each if value.balanced is not None]
    return Prediction(
        float(np.mean([value.accuracy for value in each])),
        float(np.mean([value.loss for value in each])),
        images,
        float(np.mean(balanced)) if len(balanced) == len(each) else None,
    )

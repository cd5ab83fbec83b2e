"""What is known of the architectures of predictions: accuracy, loss, facts of the space, and scores that were given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from oneshot.benchmarks.columns import Array
from oneshot.benchmarks.scoring.predictions import Predicted, read_predictions
from oneshot.benchmarks.scoring.ranks import ACCURACY, LOSS, facts_of, refuse_constant

from oneshot.space import Arch, Space


@dataclass(frozen=True)
class Given:
    """What post-processings may use beside the predictions; `truth` is NaN where nothing was measured."""

    scores: Mapping[str, Predicted] = field(default_factory=dict)
    truth: Callable[[Sequence[str]], Array] | None = None
    seed: int = 0


NOTHING = Given()


def read_scores(words: Sequence[str], arch_column: str | None = None) -> dict[str, Predicted]:
    """The files of scores by name, from `NAME=FILE`; ValueError for a name that stands for something else."""
    found: dict[str, Predicted] = {}
    for word in words:
        name, equals, file = word.partition("=")
        if not equals or not name or not file or name in (ACCURACY, LOSS, *found) or set(name) & set("+,:="):
            raise ValueError(f"expected --scores NAME=FILE with a name of its own, got {word!r}")
        score = read_predictions(file, arch_column=arch_column)
        refuse_constant(f"the score {name}", score.accuracy)
        found[name] = score
    return found


def columns(
    run: Predicted, space: Space, names: Sequence[str] | None = None, given: Given = NOTHING
) -> dict[str, Array]:
    """Accuracy, loss turned round, facts and given scores of the architectures of a run: those named, or all it has."""
    found: dict[str, Array] = {ACCURACY: run.accuracy}
    if run.loss is not None:
        found[LOSS] = -run.loss
    if names is None or set(names) - {*found, *given.scores}:
        found |= facts_of(space, [space.parse(text) for text in run.archs])
    found |= {name: _score(name, score, run, space) for name, score in given.scores.items()}
    for name in names or ():
        if name == LOSS not in found:
            raise ValueError(f"{run.name} has no validation losses: expected the column 'loss' beside 'accuracy'")
        if name not in found:
            facts = ", ".join(key for key in found if key not in (ACCURACY, LOSS))
            raise ValueError(f"{space.name} has no fact {name!r}; it has {facts or 'none'}")
    return found if names is None else {name: found[name] for name in names}


def _score(name: str, score: Predicted, run: Predicted, space: Space) -> Array:
    """A given score of the architectures of a run; ValueError where it lacks one."""
    rows = {space.parse(text): row for row, text in enumerate(score.archs)}
    archs = [space.parse(text) for text in run.archs]
    missing = [text for text, arch in zip(run.archs, archs, strict=True) if arch not in rows]
    if missing:
        raise ValueError(f"the score {name} lacks {len(missing)} of {len(archs)} architectures, such as {missing[0]!r}")
    return score.accuracy[[rows[arch] for arch in archs]]


def classes(run: Predicted, space: Space) -> np.ndarray:
    """The number of each architecture's class of equal functions."""
    found: dict[Arch, int] = {}
    return np.array([found.setdefault(space.canonical(space.parse(text)), len(found)) for text in run.archs])

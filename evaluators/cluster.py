"""An evaluator whose work is done on a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from oneshot.evaluators.actors import Cluster
from oneshot.evaluators.base import Evaluator, Prediction, Predictions

from oneshot.base.provenance import differences
from oneshot.space import Arch


class ClusterEvaluator:
    """The evaluator that `make` makes, once in every actor of a cluster; predictions are those of one process.

    On CPUs of one kind they are so bit for bit, with as many threads. `make` must be picklable, and make the same
    everywhere: files under the same paths. At most `shard` architectures go to an actor at a time. ValueError where the
    actors' protocols differ.
    """

    def __init__(self, make: Callable[[], Evaluator], cluster: Cluster, shard: int = 16) -> None:
        if shard < 1:
            raise ValueError(f"shard must be at least 1, got {shard}")
        self.cluster, self.shard = cluster, shard
        self._work = _Made(make)
        ((_, nothing),) = cluster(self._work, [((),)])
        self.space, self._protocol = nothing.space, nothing.protocol

    @property
    def protocol(self) -> dict[str, Any]:
        return self._protocol

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        checked = tuple(self.space.check(arch) for arch in archs)
        found: dict[Arch, Prediction] = {}
        for part, values in self.stream(sorted(set(checked))):
            found.update(zip(part, values, strict=True))
        return Predictions(self.space, checked, tuple(found[arch] for arch in checked), self.protocol)

    def stream(self, archs: Sequence[Arch]) -> Iterator[tuple[Sequence[Arch], Sequence[Prediction]]]:
        """Predictions of different architectures as they come, in any order."""
        size = max(1, min(self.shard, -(-len(archs) // self.cluster.size)))
        shards = [archs[start : start + size] for start in range(0, len(archs), size)]
        for number, predictions in self.cluster(self._work, [(shard,) for shard in shards]):
            if predictions.protocol != self._protocol:
                changed = "; ".join(differences(self._protocol, predictions.protocol))
                raise ValueError(f"the actors of the cluster evaluate differently: {changed}")
            yield shards[number], predictions.values


class _Made:
    """Asks the evaluator that is made where it is first asked; travels without it."""

    def __init__(self, make: Callable[[], Evaluator]) -> None:
        self.make, self.evaluator = make, None

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        if self.evaluator is None:
            self.evaluator = self.make()
        return self.evaluator(archs)

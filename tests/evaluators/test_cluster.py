"""An evaluator on a cluster: the local predictions, also where an actor is killed."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oneshot.evaluators.actors import Cluster
from oneshot.evaluators.base import Evaluator, Prediction, Predictions
from oneshot.evaluators.cluster import ClusterEvaluator
from oneshot.evaluators.store import Stored
from oneshot.evaluators.supernet import SupernetEvaluator

from oneshot.data.source import Images
from oneshot.samplers.uniform import distinct
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from tests.evaluators.cluster_work import Disagreeing, die_once

ARCHS = distinct(ALL, 12, np.random.default_rng(1))


class Mortal:
    """An evaluator whose process is killed the second time that it is asked, once."""

    def __init__(self, evaluator: Evaluator, marker: Path) -> None:
        self.evaluator, self.space, self.marker, self.asked = evaluator, evaluator.space, marker, 0

    @property
    def protocol(self) -> dict[str, Any]:
        return self.evaluator.protocol

    def __call__(self, archs: Sequence[Arch]) -> Predictions:
        self.asked += bool(archs)
        if self.asked == 2:
            die_once(self.marker)
        return self.evaluator(archs)


def supernet(few: tuple[Images, Images]) -> SupernetEvaluator:
    torch.manual_seed(0)
    net = NasBench201Net(ALL, 4, 1).to(memory_format=torch.channels_last)  # pyright: ignore
    return SupernetEvaluator(net, ALL, *few, norm="ema-3", batch_size=16)


def mortal(few: tuple[Images, Images], marker: Path) -> Mortal:
    return Mortal(supernet(few), marker)


def test_predictions_are_the_local_ones_even_if_an_actor_is_killed(
    cluster: Cluster, few: tuple[Images, Images], tmp_path: Path
) -> None:
    evaluator = ClusterEvaluator(partial(mortal, few, tmp_path / "killed"), cluster, shard=2)
    reported: list[Arch] = []
    stored = Stored(evaluator, tmp_path / "p.sqlite", chunk=2)
    found = stored(ARCHS, on_chunk=lambda part, values: reported.extend(part))
    assert (tmp_path / "killed").exists()
    local = supernet(few)
    assert found == local(ARCHS)
    assert sorted(reported) == sorted(ARCHS)
    assert evaluator.protocol == local.protocol


def test_what_came_is_kept_where_the_caller_stops(cluster: Cluster, few: tuple[Images, Images], tmp_path: Path) -> None:
    evaluator = ClusterEvaluator(partial(supernet, few), cluster, shard=2)
    stored = Stored(evaluator, tmp_path / "p.sqlite", chunk=2)

    def stop(part: Sequence[Arch], values: Sequence[Prediction]) -> None:
        if stored.count() >= 4:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stored(ARCHS, on_chunk=stop)
    assert stored.count() == 4
    here = Stored(supernet(few), tmp_path / "p.sqlite")
    found: list[int] = []
    assert here(ARCHS, on_chunk=lambda part, values: found.append(len(part))) == supernet(few)(ARCHS)
    assert found[0] == 4  # in the file, of the same protocol


def test_actors_that_disagree_are_refused(cluster: Cluster) -> None:
    evaluator = ClusterEvaluator(Disagreeing, cluster, shard=1)
    with pytest.raises(ValueError, match=r"evaluate differently: process \d+ there, \d+ now"):
        evaluator(ARCHS)
    with pytest.raises(ValueError, match="shard must be at least 1, got 0"):
        ClusterEvaluator(Disagreeing, cluster, shard=0)

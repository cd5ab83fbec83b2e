"""What every evaluator keeps."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from oneshot.benchmarks.table import write
from oneshot.evaluators.base import Evaluator
from oneshot.evaluators.cluster import ClusterEvaluator
from oneshot.evaluators.remote import RemoteEvaluator
from oneshot.evaluators.service.app import create_app
from oneshot.evaluators.standalone import Standalone, StandaloneEvaluator
from oneshot.evaluators.store import Stored
from oneshot.evaluators.supernet import SupernetEvaluator
from oneshot.evaluators.table import TableEvaluator

from oneshot.data.source import Images
from oneshot.runs.config import Config
from oneshot.samplers.uniform import distinct
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.testing import EvaluatorContract, small_score
from oneshot.training.recipe import Recipe
from tests.evaluators.cluster_work import table_in
from tests.evaluators.service.serving import listening

Few = tuple[Images, Images]
MODES = ("inherit", "batch", "ema-3", "reset-ema-3", "reset-cumulative-3")


def supernet(few: Few, norm: str) -> SupernetEvaluator:
    torch.manual_seed(0)
    net = NasBench201Net(ALL, 4, 1).to(memory_format=torch.channels_last)  # pyright: ignore
    return SupernetEvaluator(net, ALL, *few, norm=norm, batch_size=16)


def standalone() -> StandaloneEvaluator:
    config = Config.of(dataset="digits", split="half", channels=2, cells=1)
    return StandaloneEvaluator(Standalone(config, Recipe(epochs=1, batch_size=324, shift=0, flip=False)))


def table(path: Path) -> TableEvaluator:
    correct = {"digits_test": np.arange(len(ARCHS)) + 60.0}  # percent of 100 images
    return TableEvaluator(write(path / "table.parquet", ARCHS, correct, ALL, {}), images=100)


def remote(few: Few, path: Path, open_until_end: ExitStack) -> RemoteEvaluator:
    app = create_app(Stored(supernet(few, "ema-3"), path / "p.sqlite", chunk=4))
    return RemoteEvaluator(open_until_end.enter_context(listening(app)), batch=4)


def remote_score(few: Few, path: Path, open_until_end: ExitStack) -> RemoteEvaluator:
    app = create_app(Stored(small_score("synflow", "nasbench201"), path / "p.sqlite", chunk=4))
    return RemoteEvaluator(open_until_end.enter_context(listening(app)), batch=4)


EVALUATORS: dict[str, Callable[[Few, Path, ExitStack], Evaluator]] = {
    **{f"supernet {mode}": lambda few, path, stack, mode=mode: supernet(few, mode) for mode in MODES},
    "standalone": lambda few, path, stack: standalone(),
    "stored": lambda few, path, stack: Stored(supernet(few, "ema-3"), path / "p.sqlite"),
    "table": lambda few, path, stack: table(path),
    "remote": remote,
    "remote score": remote_score,
}
ARCHS = [*distinct(ALL, 5, np.random.default_rng(0)), (0,) * 6]


@pytest.fixture(params=[*EVALUATORS, "cluster"])
def evaluator(request: pytest.FixtureRequest, few: Few, tmp_path: Path) -> Iterator[Evaluator]:
    if request.param == "cluster":
        make = partial(table_in, table(tmp_path).benchmark.path)
        yield ClusterEvaluator(make, request.getfixturevalue("cluster"), shard=2)
        return
    with ExitStack() as stack:
        yield EVALUATORS[request.param](few, tmp_path, stack)


@pytest.fixture
def archs() -> list[Arch]:
    return ARCHS


class TestEvaluator(EvaluatorContract): ...

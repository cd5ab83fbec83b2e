"""Training with feedback on digits: what is told, that asking changes nothing, and resume in every space."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from oneshot.evaluators.feedback import feedback_of
from oneshot.evaluators.supernet import of_run

from oneshot.data.source import Dataset, Images
from oneshot.runs.config import Config, document
from oneshot.runs.folder import RunFolder
from oneshot.runs.run import Run, build, learned, open_run
from oneshot.samplers.uniform import Uniform
from oneshot.training.callbacks import OnEpoch
from oneshot.training.feedback import Feedback
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

RECIPE = Recipe(epochs=4, batch_size=32, shift=1, flip=False, learning_rate=0.05)
CONFIG = Config.of(
    dataset="digits", split="half", channels=2, cells=1, sampler="vae",
    every=2, samples=10, keep=0.8, iterations=10, increment=0.25,
)  # fmt: skip
Few = tuple[Images, Images]


def small(few: Few, config: Config = CONFIG, recipe: Recipe = RECIPE) -> Run:
    run = build(config, recipe)
    return replace(run, images=replace(run.images, train=few[0], valid=few[1]))


def told(run: Run) -> Feedback:
    made = feedback_of(run, "ema-2")
    assert made is not None
    return made


def trained(run: Run, folder: RunFolder | None = None, feedback: Feedback | None = None, **named) -> Run:
    rest = (run.recipe, run.config.seed, folder)
    train(run.net, run.method, run.train, run.valid, *rest, feedback=feedback or told(run), **named)
    return run


def everything(run: Run) -> dict[str, torch.Tensor]:
    return {**run.net.state_dict(), **run.sampler.state_dict()}


class Stop(Exception):
    pass


CASES = {
    "plain": (CONFIG, RECIPE),
    "bias": (CONFIG.but(context="bias"), RECIPE),
    "split": (CONFIG.but(context="split", split_epoch=2), RECIPE),
    "nasbench101": (CONFIG.but(space="nasbench101", channels=8, cells=1), RECIPE),
    "fairnas": (CONFIG.but(space="fairnas", channels=8, keep=1.0), replace(RECIPE, batch_size=48)),
}


@pytest.fixture(scope="module")
def undisturbed(digits: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], tuple[Run, list]]:
    """What comes out without a stop, and its metrics: trained once for all stops."""

    @cache
    def made(case: str) -> tuple[Run, list]:
        folder = RunFolder.create(tmp_path_factory.mktemp(case) / "whole", document(*CASES[case]))
        train, valid = digits.split("half")
        few = train.subset(slice(0, 96)), valid.subset(slice(0, 64))
        torch.manual_seed(0)
        return trained(small(few, *CASES[case]), folder), folder.metrics

    return made


@pytest.mark.parametrize(("case", "stop"), [*((case, 2) for case in CASES), ("plain", 1), ("plain", 3)])
def test_resume_is_bit_identical(
    case: str,
    stop: int,
    few: Few,
    undisturbed: Callable[[str], tuple[Run, list]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """After a round of the VAE, before one, and between: the same weights, VAE and metrics as never stopped."""
    monkeypatch.setattr("oneshot.runs.recording.CHECKPOINT_SECONDS", 0.0)
    config, recipe = CASES[case]
    cut = RunFolder.create(tmp_path / "cut", document(config, recipe))
    straight, metrics = undisturbed(case)

    def interrupt(row) -> None:
        if row["epoch"] == stop:
            raise Stop

    with pytest.raises(Stop):
        trained(small(few, config, recipe), cut, callbacks=[OnEpoch(interrupt)])
    torch.manual_seed(99)
    resumed = trained(small(few, config, recipe), cut)
    ours, theirs = everything(straight), everything(resumed)
    assert ours.keys() == theirs.keys()
    assert [name for name in ours if not torch.equal(ours[name], theirs[name])] == []
    assert ours["learner.rounds"] == 2
    rows = [[{k: v for k, v in row.items() if k.startswith("sampler")} for row in of] for of in (metrics, cut.metrics)]
    assert rows[0] == rows[1]
    assert ["sampler_mean" in row for row in rows[0]] == [False, True, False, True]
    opened = open_run(cut.path)
    rng = np.random.default_rng
    assert opened.sampler.draw(20, rng(1)) == straight.sampler.draw(20, rng(1))
    taught = straight.sampler.learned()
    assert taught is not None
    assert learned(cut.path).draw(20, rng(2)) == taught.draw(20, rng(2))


def test_asking_leaves_the_training_as_it_is(few: Few) -> None:
    """With epsilon at 0 the paths do not depend on what is learned, so nothing depends on what is told."""
    runs = [small(few, CONFIG.but(most=0.0, every=1)) for _ in range(2)]
    trained(runs[0])

    def nothing(archs):
        return np.arange(float(len(archs)))

    trained(runs[1], feedback=replace(told(runs[1]), accuracies=nothing))
    for a, b in zip(*(run.net.state_dict().values() for run in runs), strict=True):
        assert torch.equal(a, b)
    before = torch.get_rng_state()
    told(runs[0]).accuracies(runs[0].sampler.draw(4, np.random.default_rng(0)))
    assert torch.equal(torch.get_rng_state(), before)
    assert runs[0].net.training


def test_what_is_told_is_what_the_evaluator_predicts_on_validation_images(few: Few) -> None:
    run, seen = small(few), []
    archs = run.sampler.draw(20, np.random.default_rng(0))
    before = [value.clone() for value in run.net.state_dict().values()]
    made = feedback_of(run, "ema-2", on_chunk=lambda n, of: seen.append((n, of)))
    assert made is not None
    accuracies, predictions = made.accuracies(archs), of_run(run, "ema-2")(archs)
    assert accuracies.tolist() == predictions.accuracy.tolist()
    assert predictions.protocol["validation_images"] == len(few[1])
    assert seen == [(16, 20), (20, 20)]
    assert all(torch.equal(a, b) for a, b in zip(before, run.net.state_dict().values(), strict=True))


def test_samplers_that_do_not_learn_get_none() -> None:
    assert feedback_of(build(CONFIG.but(sampler="uniform"), RECIPE)) is None


def test_what_the_vae_draws_is_better_than_what_chance_draws() -> None:
    """On digits, by the trained supernet's own evaluation: means of 300 draws each.

    How much better depends on the seed: by 2 to 24 points for 0 to 3, and on rounding.
    """
    changes = {"channels": 4, "every": 4, "samples": 40, "keep": 0.5, "iterations": 100}
    config = CONFIG.but(**changes, increment=0.05)
    run = build(config, replace(RECIPE, epochs=20, batch_size=64))
    run = trained(replace(run, images=replace(run.images, valid=run.valid.subset(slice(0, 200)))))
    learner = run.sampler.learned()
    assert learner is not None
    assert int(run.sampler.state_dict()["learner.rounds"]) == 5
    rng = np.random.default_rng(0)
    evaluator = of_run(run, "ema-4")
    taught = evaluator(learner.draw(300, rng)).accuracy
    chance = evaluator(Uniform(run.space).draw(300, rng)).accuracy
    assert taught.mean() > chance.mean() + 3 * np.sqrt((taught.var() + chance.var()) / 300)


def test_nothing_was_learned_yet(few: Few, tmp_path: Path) -> None:
    for name, config, words in (
        ("vae", CONFIG.but(every=4), "has learned nothing yet"),
        ("uniform", CONFIG.but(sampler="uniform"), "was trained with sampler uniform, which does not learn"),
    ):
        RunFolder.create(tmp_path / name, document(config, RECIPE))
        with pytest.raises(ValueError, match=words):
            learned(tmp_path / name)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"samples": 9}, "at least 8 architectures to train a VAE on, got 7: 80% of 9"),
        ({"every": 5}, "sampler vae learns after every 5 epochs: there must be as many, got 4"),
        ({"method": "darts"}, "method darts draws its architectures itself: sampler must be uniform, got vae"),
        ({"keep": 1.5}, "keep must be a share above 0, at most 1, got 1.5"),
        ({"iterations": 0}, "iterations must be at least 1, got 0"),
        ({"most": 1.5}, "the largest epsilon must be from 0 to 1, got 1.5"),
        ({"increment": -0.1}, "increment must be a finite number of at least 0"),
        ({"every": 0}, "every must be at least 1, got 0"),
        ({"sampler": "exact-edges"}, "exact-edges draws NAS-Bench-101 cells, got the space nasbench201"),
    ],
)
def test_contradictions_are_refused(changes: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        build(CONFIG.but(**changes), RECIPE)

"""The training loop: schedule, hygiene, resume, and several processes."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from oneshot.data.source import Images
from oneshot.methods.base import Method
from oneshot.methods.darts import Darts
from oneshot.methods.single_path import SinglePath
from oneshot.runs.config import flat, unflat
from oneshot.runs.folder import RunFolder
from oneshot.runs.presets import PRESETS, preset
from oneshot.samplers.fair import StrictlyFair
from oneshot.samplers.uniform import Uniform
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

SHORT = Recipe(epochs=4, batch_size=32, shift=1, flip=False, learning_rate=0.05, arch_learning_rate=0.01)
METHODS = {
    "uniform": lambda: SinglePath(ALL, Uniform(ALL)),
    "fair": lambda: SinglePath(ALL, StrictlyFair(ALL)),
    "darts": lambda: Darts(ALL),
}


def network() -> NasBench201Net:
    torch.manual_seed(1)
    return NasBench201Net(ALL, 4, 1).to(memory_format=torch.channels_last)  # pyright: ignore


def everything(net: nn.Module, method: Method) -> list[torch.Tensor]:
    return [*net.state_dict().values(), *(p.detach() for p in method.arch_parameters())]


class Stop(Exception):
    pass


RECIPES = {"muon": replace(SHORT, optimizer="muon", learning_rate=0.01)}


@pytest.mark.parametrize("name", [*METHODS, "muon"])
@pytest.mark.parametrize("stop", [1, 3])
def test_resume_is_bit_identical(
    name: str, stop: int, few: tuple[Images, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after a checkpoint and again in the middle of the next epoch: the same bits as never stopped."""
    make, recipe = METHODS.get(name, METHODS["uniform"]), RECIPES.get(name, SHORT)
    straight, method = network(), make()
    train(straight, method, *few, recipe, seed=3)
    monkeypatch.setattr("oneshot.runs.recording.CHECKPOINT_SECONDS", 0.0)
    folder = RunFolder.create(tmp_path / "run", {})

    def interrupt(row) -> None:
        if row["epoch"] == stop:
            raise Stop

    with pytest.raises(Stop):
        train(network(), make(), *few, recipe, 3, folder, on_epoch=interrupt)
    (folder.path / "metrics.jsonl").open("a").write('{"epoch": 9, "half')
    torch.manual_seed(99)
    resumed, other = network(), make()
    epochs = []
    train(resumed, other, *few, recipe, 3, folder, on_epoch=lambda row: epochs.append(row["epoch"]))
    assert epochs == list(range(stop + 1, 5))
    assert [row["epoch"] for row in folder.metrics] == [1, 2, 3, 4]
    for a, b in zip(everything(straight, method), everything(resumed, other), strict=True):
        assert torch.equal(a, b)
    train(resumed, other, *few, recipe, 3, folder, on_epoch=lambda row: pytest.fail("trained beyond the end"))


def test_seeds_differ_and_repeat(few: tuple[Images, Images]) -> None:
    nets = [network() for _ in range(3)]
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        train(net, METHODS["uniform"](), *few, Recipe(epochs=1, batch_size=32), seed)
    weights = [torch.cat([p.flatten() for p in net.parameters()]) for net in nets]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


class OnePath:
    """Always the same architecture, and then another."""

    group = 1

    def __init__(self, archs: list[Arch]) -> None:
        self.archs = archs

    def draw(self, n: int, rng: np.random.Generator) -> list[Arch]:
        return [self.archs.pop(0) if len(self.archs) > 1 else self.archs[0]]


def test_what_a_step_does_not_use_does_not_move(few: tuple[Images, Images]) -> None:
    """No weight decay and no momentum either: an option trained once keeps exactly what that step left."""
    first, later = (3,) * 6, (2,) * 6
    net = network()
    before = {name: p.detach().clone() for name, p in net.named_parameters()}
    recipe = Recipe(epochs=3, batch_size=96, weight_decay=0.1, shift=0, flip=False)
    train(net, SinglePath(ALL, OnePath([first, later])), *few, recipe)
    for name, p in net.named_parameters():
        if "options.4" in name or "options.1" in name:
            assert torch.equal(p, before[name])
    single = network()
    recipes = Recipe(epochs=1, batch_size=96, weight_decay=0.1, shift=0, flip=False)
    train(single, SinglePath(ALL, OnePath([first])), *few, recipes)
    moved = dict(single.named_parameters())
    for name, p in net.named_parameters():
        if "options.3" in name:
            assert torch.equal(p, moved[name]), name
            assert not torch.equal(p, before[name])


def test_fair_sums_the_gradients_of_its_paths(few: tuple[Images, Images]) -> None:
    """One step of a group equals one SGD step on the sum of the paths' losses."""
    images, labels = few[0].normalised(few[0].pixels), few[0].labels
    recipe = Recipe(epochs=1, batch_size=96, shift=0, flip=False, weight_decay=0.0, momentum=0.0)
    net = network()
    train(net, SinglePath(ALL, StrictlyFair(ALL)), *few, recipe, seed=5)
    from oneshot.gates import fixed

    other = network()
    paths = StrictlyFair(ALL).draw(5, np.random.default_rng((5, 0, 1)))
    order = torch.from_numpy(np.random.default_rng((5, 0, 0)).permutation(96))
    losses = [nn.functional.cross_entropy(other(images[order], fixed(ALL, arch)), labels[order]) for arch in paths]
    torch.stack(losses).sum().backward()
    with torch.no_grad():
        for p in other.parameters():
            if p.grad is not None:
                p -= recipe.learning_rate * p.grad
    for (name, p), q in zip(net.named_parameters(), other.parameters(), strict=True):
        assert torch.allclose(p, q, atol=1e-5), name


def test_schedule() -> None:
    recipe = Recipe(epochs=10, learning_rate=1.0, final_learning_rate=0.1, warmup_epochs=2)
    assert recipe.rate(0) == 0
    assert recipe.rate(0.1) == pytest.approx(0.5)
    assert recipe.rate(0.2) == pytest.approx(1.0)
    assert recipe.rate(0.6) == pytest.approx(0.55)
    assert recipe.rate(1.0) == pytest.approx(0.1)


def test_clipping_and_bf16_train(few: tuple[Images, Images]) -> None:
    for recipe in (
        Recipe(epochs=2, batch_size=32, gradient_clip=0.1),
        Recipe(epochs=2, batch_size=32, precision="bf16"),
    ):
        rows = []
        train(network(), METHODS["uniform"](), *few, recipe, on_epoch=rows.append)
        assert all(math.isfinite(row["loss"]) for row in rows)
        assert set(rows[0]) == {"epoch", "loss", "learning_rate", "images_per_second", "seconds"}


def test_divergence_is_an_error_and_not_a_checkpoint(few: tuple[Images, Images], tmp_path: Path) -> None:
    folder = RunFolder.create(tmp_path / "run", {})
    with pytest.raises(FloatingPointError, match="try a smaller learning rate"):
        train(network(), METHODS["uniform"](), *few, Recipe(epochs=6, batch_size=32, learning_rate=1e9), 0, folder)
    assert folder.load() is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"epochs": 0}, "epochs must be at least 1, got 0"),
        ({"learning_rate": math.nan}, "learning_rate must be a finite number"),
        ({"precision": "fp8"}, "precision must be auto, float32 or bf16, got 'fp8'"),
        ({"crop_scale": 0.0}, "crop_scale must be above 0 and at most 1"),
        ({"interpolation": "random"}, "crop_scale must be below 1"),
        ({"epochs": 5, "warmup_epochs": 5.0}, "warmup_epochs must be below the 5 epochs"),
    ],
)
def test_bad_recipes(values: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Recipe(**values)


def test_presets_are_whole_and_the_paper_is_table_5() -> None:
    for name in PRESETS:
        config, recipe = preset(name)
        assert unflat(flat(config, recipe)) == (config, recipe)
    config, recipe = preset("paper")
    assert (config.channels, config.cells, config.split, config.sampler) == (16, 2, "standard", "uniform")
    assert (recipe.epochs, recipe.batch_size, recipe.learning_rate, recipe.final_learning_rate) == (
        250,
        256,
        0.025,
        1e-5,
    )
    assert (recipe.momentum, recipe.weight_decay, recipe.shift, recipe.flip, recipe.label_smoothing) == (
        0.9,
        3e-4,
        4,
        True,
        0,
    )
    with pytest.raises(ValueError, match="no preset 'papre'; there are paper, "):
        preset("papre")


def test_the_presets_of_subimagenet_are_table_5() -> None:
    """arXiv 2104.11522; what the table does not name is off."""
    both = {"optimizer": "sgd", "learning_rate": 0.05, "final_learning_rate": 1e-5, "warmup_epochs": 5, "momentum": 0.9}
    both |= {"nesterov": False, "gradient_clip": 0, "weight_decay": 4e-5, "batch_size": 128, "label_smoothing": 0.1}
    both |= {"shift": 0, "flip": True, "cutout": 0, "split_epoch": 0}
    both |= {"space": "fairnas", "channels": 16, "image_size": 224, "split": "valid-is-test", "context": "none"}
    supernet = {"epochs": 600, "dropout": 0, "crop_scale": 0.4, "interpolation": "bilinear", "color_jitter": 0}
    alone = {"epochs": 240, "dropout": 0.2, "crop_scale": 0.08, "interpolation": "random", "color_jitter": 0.4}
    for name, own in {"fairnas": supernet | {"sampler": "uniform"}, "fairnas-standalone": alone}.items():
        found = flat(*preset(name))
        assert {key: found[key] for key in both | own} == both | own
    assert preset("fairnas")[1].rate(2.5 / 600) == pytest.approx(0.025)  # half of the warm-up


def test_older_run_folders_open() -> None:
    document = flat(*preset("paper"))
    for name in ("dropout", "crop_scale", "interpolation", "color_jitter"):
        del document[name]
    assert unflat(document) == preset("paper")


def test_configuration_of_another_version_is_refused() -> None:
    document = flat(*preset("paper"))
    with pytest.raises(ValueError, match="unknown or missing flavour"):
        unflat({**document, "flavour": 1})
    with pytest.raises(ValueError, match="epochs must be a int, got '9'"):
        unflat({**document, "epochs": "9"})
    config, _ = unflat({**document, "bucket_weights": [1, 2, 5]})  # as JSON has it
    assert config.bucket_weights == (1, 2, 5)
    with pytest.raises(ValueError, match="bucket_weights must be numbers of at least 0"):
        unflat({**document, "bucket_weights": ["a"]})


def test_batch_norm_takes_no_weight_decay(few: tuple[Images, Images]) -> None:
    net = network()
    recipe = Recipe(epochs=1, batch_size=96, learning_rate=0.0, final_learning_rate=0.0, weight_decay=1.0)
    train(net, METHODS["uniform"](), *few, recipe)
    still = Recipe(epochs=1, batch_size=96, learning_rate=0.5, final_learning_rate=0.5, weight_decay=0.5)
    with torch.no_grad():
        for p in net.parameters():
            p.fill_(1.0)
        net.classifier.weight.zero_()  # no gradient reaches what lies below
    train(net, METHODS["uniform"](), *few, still)
    assert torch.equal(net.stem[1].weight, torch.ones(4))  # pyright: ignore
    assert torch.allclose(net.stem[0].weight, torch.full((), 1 - 0.5 * 0.5))  # pyright: ignore


WORKER = """
import sys, torch
from oneshot.base import distributed
from oneshot.data.load import load
from oneshot.methods.darts import Darts
from oneshot.methods.single_path import SinglePath
from oneshot.training.recipe import Recipe
from oneshot.samplers.fair import StrictlyFair
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import train
torch.set_num_threads(1)
with distributed.joined(torch.device("cpu")):
    images, valid = load("digits").split("half")
    for name, method in (("fair", SinglePath(ALL, StrictlyFair(ALL))), ("darts", Darts(ALL))):
        torch.manual_seed(1)
        net = NasBench201Net(ALL, 4, 1).to(memory_format=torch.channels_last)
        recipe = Recipe(epochs=2, batch_size=32, shift=1, flip=False, cutout=2)
        train(net, method, images.subset(slice(0, 96)), valid.subset(slice(0, 64)), recipe, seed=2)
        state = [*net.state_dict().values(), *(p.detach() for p in method.arch_parameters())]
        if distributed.rank() == 0:
            torch.save(state, f"{sys.argv[1]}-{name}-{distributed.world()}.pt")
"""


def test_two_processes_equal_one_with_the_summed_batch(alone_and_together: Callable) -> None:
    """torchrun with gloo: same paths, same images, BatchNorm over both processes' batches."""
    for one, both in alone_and_together(WORKER, ("fair", "darts")):
        assert torch.allclose(one.float(), both.float(), rtol=1e-3, atol=1e-4)

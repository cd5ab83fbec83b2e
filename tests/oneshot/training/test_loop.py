"""The training loop: schedule, hygiene, resume, and several processes."""

from __future__ import annotations

import json
import math
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from oneshot.data.source import Images
from oneshot.methods.base import Method
from oneshot.methods.darts import Darts, DartsSettings
from oneshot.methods.gdas import Gdas, GdasSettings
from oneshot.methods.single_path import SinglePath
from oneshot.runs.config import Config, document, read
from oneshot.runs.folder import RunFolder
from oneshot.runs.network import network as supernet
from oneshot.runs.presets import PRESETS, preset
from oneshot.samplers.base import Sampler
from oneshot.samplers.fair import StrictlyFair
from oneshot.samplers.uniform import Uniform
from oneshot.space import Arch
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.callbacks import OnEpoch
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

SHORT = Recipe(epochs=4, batch_size=32, shift=1, flip=False, learning_rate=0.05)
METHODS = {
    "uniform": lambda: SinglePath(ALL, Uniform(ALL)),
    "fair": lambda: SinglePath(ALL, StrictlyFair(ALL)),
    "darts": lambda: Darts(ALL, DartsSettings(arch_learning_rate=0.01)),
    "gdas": lambda: Gdas(ALL, GdasSettings(arch_learning_rate=0.01)),
}


def network() -> NasBench201Net:
    torch.manual_seed(1)
    return NasBench201Net(ALL, 4, 1).to(memory_format=torch.channels_last)  # pyright: ignore


def everything(net: nn.Module, method: Method) -> list[torch.Tensor]:
    return [*net.state_dict().values(), *method.state_dict().values()]


class Stop(Exception):
    pass


RECIPES = {"muon": replace(SHORT, optimizer="muon", learning_rate=0.01)}


UNDISTURBED: dict[str, list[torch.Tensor]] = {}


def undisturbed(name: str, few: tuple[Images, Images]) -> list[torch.Tensor]:
    """What comes out without a stop, trained once for all stops."""
    if name not in UNDISTURBED:
        net, method = network(), METHODS.get(name, METHODS["uniform"])()
        train(net, method, *few, RECIPES.get(name, SHORT), seed=3)
        UNDISTURBED[name] = everything(net, method)
    return UNDISTURBED[name]


@pytest.mark.parametrize("stop", [1, 3])
@pytest.mark.parametrize("name", [*METHODS, "muon"])
def test_resume_is_bit_identical(
    name: str, stop: int, few: tuple[Images, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after a checkpoint and again in the middle of the next epoch: the same bits as never stopped."""
    make, recipe = METHODS.get(name, METHODS["uniform"]), RECIPES.get(name, SHORT)
    straight = undisturbed(name, few)
    monkeypatch.setattr("oneshot.runs.recording.CHECKPOINT_SECONDS", 0.0)
    folder = RunFolder.create(tmp_path / "run", {})

    def interrupt(row) -> None:
        if row["epoch"] == stop:
            raise Stop

    with pytest.raises(Stop):
        train(network(), make(), *few, recipe, 3, folder, callbacks=[OnEpoch(interrupt)])
    (folder.path / "metrics.jsonl").open("a").write('{"epoch": 9, "half')
    torch.manual_seed(99)
    resumed, other = network(), make()
    epochs = []
    train(resumed, other, *few, recipe, 3, folder, callbacks=[OnEpoch(lambda row: epochs.append(row["epoch"]))])
    assert epochs == list(range(stop + 1, 5))
    assert [row["epoch"] for row in folder.metrics] == [1, 2, 3, 4]
    for a, b in zip(straight, everything(resumed, other), strict=True):
        assert torch.equal(a, b)
    train(
        resumed, other, *few, recipe, 3, folder, callbacks=[OnEpoch(lambda row: pytest.fail("trained beyond the end"))]
    )


def test_another_number_of_threads_is_recorded_and_told(few: tuple[Images, Images], tmp_path: Path) -> None:
    folder, before = RunFolder.create(tmp_path / "run", {}), torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        train(network(), METHODS["uniform"](), *few, Recipe(epochs=1, batch_size=32), folder=folder)
        assert folder.commit is not None
        assert folder.commit["facts"]["threads"] == 1
        recipe = Recipe(epochs=2, batch_size=32)
        torch.set_num_threads(2)
        with pytest.warns(UserWarning, match="was begun with 1 threads and goes on with 2"):
            train(network(), METHODS["uniform"](), *few, recipe, folder=folder)
        assert folder.commit["facts"]["threads"] == 2
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            train(network(), METHODS["uniform"](), *few, recipe, folder=folder)
    finally:
        torch.set_num_threads(before)


def test_seeds_differ_and_repeat(few: tuple[Images, Images]) -> None:
    nets = [network() for _ in range(3)]
    for net, seed in zip(nets, (0, 0, 1), strict=True):
        train(net, METHODS["uniform"](), *few, Recipe(epochs=1, batch_size=32), seed)
    weights = [torch.cat([p.flatten() for p in net.parameters()]) for net in nets]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


class OnePath(Sampler):
    """Always the same architecture, and then another."""

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
    paths = StrictlyFair(ALL).draw(5, np.random.default_rng((5, 0, 0, 1)))
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
        train(network(), METHODS["uniform"](), *few, recipe, callbacks=[OnEpoch(rows.append)])
        assert all(math.isfinite(row["loss"]) for row in rows)
        assert set(rows[0]) == {"epoch", "loss", "learning_rate", "images_per_second", "seconds"}


def test_the_papers_supernet_has_the_parameters_of_table_3() -> None:
    net = supernet(preset("paper")[0], 10)
    assert sum(p.numel() for p in net.parameters()) == 782_938
    assert sum(p.numel() for p in supernet(Config(), 10).parameters()) == 718_426  # the benchmark's own cells


def test_label_smoothing_is_in_the_loss(few: tuple[Images, Images]) -> None:
    """With weights that stay where they are, its loss is cross-entropy's with that much smoothing."""
    rows = []
    for smoothing in (0.0, 0.4):
        still = Recipe(epochs=1, batch_size=96, learning_rate=0, final_learning_rate=0, label_smoothing=smoothing)
        net = network()
        with torch.no_grad():
            net.classifier.weight *= 20
        train(net, METHODS["uniform"](), *few, still, callbacks=[OnEpoch(rows.append)])
    logits: list[torch.Tensor] = []
    net = network()
    with torch.no_grad():
        net.classifier.weight *= 20
    net.register_forward_hook(lambda module, inputs, output: logits.append(output.detach()))
    recipe = Recipe(epochs=1, batch_size=96, learning_rate=0, final_learning_rate=0)
    train(net, METHODS["uniform"](), *few, recipe)
    order = torch.from_numpy(np.random.default_rng((0, 0, 0)).permutation(96))
    expected = [nn.functional.cross_entropy(logits[0], few[0].labels[order], label_smoothing=s) for s in (0.0, 0.4)]
    assert [row["loss"] for row in rows] == pytest.approx([float(e) for e in expected], rel=1e-4)
    assert abs(rows[0]["loss"] - rows[1]["loss"]) > 0.01


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
        written = document(config, recipe)
        assert read(written)[1] == recipe
        assert document(*read(written)) == written == json.loads(json.dumps(written))
    config, recipe = preset("paper")
    network = config.space.settings
    assert (network.channels, network.cells, network.pool_conv) == (16, 2, True)
    assert (config.split, config.sampler.name) == ("auto", "uniform")
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
    both |= {"shift": 0, "flip": True, "cutout": 0}
    supernet = {"epochs": 600, "crop_scale": 0.4, "interpolation": "bilinear", "color_jitter": 0}
    alone = {"epochs": 240, "crop_scale": 0.08, "interpolation": "random", "color_jitter": 0.4}
    for name, own, dropout in (("fairnas", supernet, 0.0), ("fairnas-standalone", alone, 0.2)):
        found = document(*preset(name))
        assert {key: found["recipe"][key] for key in both | own} == both | own
        assert found["space"] == {"name": "fairnas", "channels": 16, "dropout": dropout}
        assert (found["image_size"], found["split"], found["context"]) == (224, "valid-is-test", {"name": "none"})
        assert found["sampler"] == {"name": "uniform"}
    assert preset("fairnas")[1].rate(2.5 / 600) == pytest.approx(0.025)  # half of the warm-up


def test_configuration_of_another_version_is_refused() -> None:
    written = document(*preset("cpu45"))
    with pytest.raises(ValueError, match="not of this version: unknown flavour"):
        read({**written, "flavour": 1})
    with pytest.raises(ValueError, match="epochs must be a int, got '9'"):
        read({**written, "recipe": {**written["recipe"], "epochs": "9"}})
    with pytest.raises(ValueError, match=r"sampler balanced has no setting 'weights'; its settings are bucket_weights"):
        read({**written, "sampler": {"name": "balanced", "weights": [1]}})
    config, _ = read({**written, "sampler": {"name": "balanced", "bucket_weights": [1, 2, 5]}})  # as JSON has it
    assert config.sampler.settings.bucket_weights == (1, 2, 5)
    with pytest.raises(ValueError, match="bucket_weights must be numbers of at least 0"):
        read({**written, "sampler": {"name": "balanced", "bucket_weights": ["a"]}})
    with pytest.raises(ValueError, match="expected the name of a component, or a mapping with its name, got 3"):
        read({**written, "sampler": 3})


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
from oneshot.methods.darts import Darts, DartsSettings
from oneshot.methods.gdas import Gdas
from oneshot.methods.single_path import SinglePath
from oneshot.training.recipe import Recipe
from oneshot.samplers.fair import StrictlyFair
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import train
torch.set_num_threads(1)
with distributed.joined(torch.device("cpu")):
    images, valid = load("digits").split("half")
    METHODS = {
        "fair": SinglePath(ALL, StrictlyFair(ALL)), "darts": Darts(ALL), "gdas": Gdas(ALL),
        "second": Darts(ALL, DartsSettings("second")), "exact": Darts(ALL, DartsSettings("exact")),
    }
    for name, method in METHODS.items():
        torch.manual_seed(1)
        net = NasBench201Net(ALL, 4, 1).to(memory_format=torch.channels_last)
        recipe = Recipe(epochs=2, batch_size=32, shift=1, flip=False, cutout=2)
        train(net, method, images.subset(slice(0, 96)), valid.subset(slice(0, 64)), recipe, seed=2)
        state = [*net.state_dict().values(), *method.state_dict().values()]
        if distributed.rank() == 0:
            torch.save(state, f"{sys.argv[1]}-{name}-{distributed.world()}.pt")
"""


def test_two_processes_equal_one_with_the_summed_batch(alone_and_together: Callable) -> None:
    """torchrun with gloo: same paths, same images, BatchNorm over both processes' batches."""
    for one, both in alone_and_together(WORKER, ("fair", "darts", "gdas", "second", "exact")):
        assert torch.allclose(one.float(), both.float(), rtol=1e-3, atol=1e-4)

"""Weights that depend on earlier choices in sequential skeletons: equations, sizes, training and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oneshot.evaluators.supernet import SupernetEvaluator
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import fixed, mixture
from oneshot.methods.single_path import SinglePath
from oneshot.nn.choice import split
from oneshot.nn.contexts.attention import Attention, Attention2
from oneshot.nn.contexts.base import ContextWeights, Dependence, Given
from oneshot.nn.contexts.bias import Bias
from oneshot.nn.contexts.shared_bias import SharedBias
from oneshot.nn.contexts.split import Split
from oneshot.nn.feature import Feature
from oneshot.nn.mobile import InvertedResidual
from oneshot.runs.config import Config
from oneshot.runs.folder import RunFolder
from oneshot.runs.network import network
from oneshot.samplers.uniform import Uniform
from oneshot.space import Arch
from oneshot.spaces.fairnas import ALL, FairNas, fairnas, layers
from oneshot.spaces.sequential import Layer, sequential
from oneshot.supernets.fairnas import FairNasNet
from oneshot.supernets.sequential import SequentialNet
from oneshot.training.callbacks import OnEpoch
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

KINDS = (Bias, SharedBias, Attention, Attention2, Split)
MODES = ("inherit", "batch", "ema-3", "reset-ema-3", "reset-cumulative-3")
SMALL = fairnas(("k3e3", "k5e6"), "small")
OWN = sequential("own", ("1x1", "3x3", "5x5"), layers=4)
LAYERS = (Layer(3, 4, 2), Layer(4, 6), Layer(6, 6), Layer(6, 8, 2))


def own(dependence: Dependence | None) -> SequentialNet:
    """Plain convolutions, widths that change, layers that halve the image."""
    table = {f"{k}x{k}": lambda i, o, stride, k=k: nn.Conv2d(i, o, k, stride, k // 2) for k in (1, 3, 5)}
    net = SequentialNet(OWN, table, LAYERS, nn.Identity(), nn.Flatten(), dependence)
    if dependence is not None and dependence.weights is Split:
        split(net)
    return net


def fair(weights: type[ContextWeights] | None, depth: int = 1, space: FairNas = ALL) -> FairNasNet:
    torch.manual_seed(1)
    dependence = None if weights is None else Dependence(weights, depth, split_epoch=2 if weights.splits else 0)
    net = FairNasNet(space, 2, 10, dependence=dependence)
    return net.to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]


def shaken(net: nn.Module) -> nn.Module:
    """Every vector and every copy differs from the others."""
    with torch.no_grad():
        for name, p in net.named_parameters():
            if name.startswith("contexts.") or ".options." in name:
                p.add_(torch.randn_like(p) * 0.3)
    return net


def some(count: int = 3, space: FairNas = ALL) -> list[Arch]:
    return Uniform(space).draw(count, np.random.default_rng(0))


def params(net: nn.Module) -> int:
    return sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("weights", [Bias, Split])
def test_equals_the_equations(weights: type[ContextWeights], graph: bool) -> None:
    """Operations of one's own, each layer with its own width; the edges of a chain are its order."""
    net, x = own(Dependence(weights, 1, graph)), torch.randn(2, 3, 8, 8)
    with torch.no_grad():
        for p in net.parameters():
            p.normal_()
    assert net.contexts is not None
    for arch in OWN:
        y = x
        for site, option in enumerate(arch):
            operation: nn.Module = net.blocks[site].options[option]  # pyright: ignore
            if site and weights is Bias:
                table: Tensor = net.contexts.tables[int(site > 1)].weight  # pyright: ignore # of 4 and of 6 channels
                row = {1: 0, 2: 0, 3: 9}[site] + 3 * arch[site - 1] + option
                y = y + table[row].view(1, -1, 1, 1)
            if site and weights is Split:
                operation = net.blocks[site].options[3 * arch[site - 1] + option]  # pyright: ignore
            y = operation(y)
        allowed = 1e-3 * float(y.detach().abs().max())
        assert torch.allclose(net(x, fixed(OWN, arch)), y.flatten(1), rtol=1e-4, atol=allowed)
        hot = [F.one_hot(torch.tensor(i), 3).float() for i in arch]
        assert torch.allclose(net(x, mixture(OWN, hot)), y.flatten(1), rtol=1e-4, atol=allowed)


def test_a_bias_is_added_to_the_shortcut_too() -> None:
    block, x, shift = fair(Bias).eval().blocks[3], torch.randn(2, 5, 4, 4), torch.randn(5)
    operation: InvertedResidual = block.options[2]  # pyright: ignore
    moved = x + shift.view(1, -1, 1, 1)
    assert operation.shortcut
    assert torch.allclose(block(Feature(x), ((2, 1.0),), Given(shift=(shift,))), operation(moved))
    inside = operation.project(F.relu6(operation.depthwise(F.relu6(operation.expand(moved)))))  # pyright: ignore
    assert torch.allclose(operation(moved), moved + inside)


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_parameters_of_bias(depth: int) -> None:
    """One vector over a layer's input for each combination of its choice and the `depth` before, of six options."""
    with torch.device("meta"):
        got = params(FairNasNet(ALL, dependence=Dependence(Bias, depth))) - 14_839_700
    assert got == sum(6 ** (min(depth, site) + 1) * layer.channels_in for site, layer in enumerate(layers()) if site)
    assert depth > 1 or got == 36 * 1_696


def test_parameters_of_split_weights() -> None:
    """Six copies of every layer but the first: of the 14,839,700 less stem, head and first layer."""
    with torch.device("meta"):
        net = FairNasNet(ALL, dependence=Dependence(Split))
        assert params(net) == 14_839_700
        split(net)
    assert params(net) == 14_839_700 + 5 * (14_839_700 - 1_824 - 540_260 - 34_800)


@pytest.mark.parametrize("weights", KINDS)
def test_the_other_weights_are_those_of_a_network_without(weights: type[ContextWeights]) -> None:
    base, net = fair(None).state_dict(), fair(weights).state_dict()
    assert all(torch.equal(value, net[name]) for name, value in base.items())
    assert all(name.startswith("contexts.") for name in net.keys() - base.keys())


@pytest.mark.parametrize("weights", [Bias, SharedBias, Split])
def test_bit_identical_to_the_baseline_at_first(weights: type[ContextWeights]) -> None:
    base, net, x = fair(None), fair(weights), torch.randn(4, 3, 32, 32)
    if weights is Split:
        split(net)
    for arch in some():
        assert torch.equal(net(x, fixed(ALL, arch)), base(x, fixed(ALL, arch)))


@pytest.mark.parametrize("weights", KINDS)
@pytest.mark.parametrize("depth", [1, 2])
def test_a_one_hot_relaxation_is_the_fixed_path(weights: type[ContextWeights], depth: int) -> None:
    """In evaluation: in training, statistics of four images of a few pixels amplify rounding layer by layer."""
    net = fair(weights, 1 if weights is Split else depth, SMALL)
    if weights is Split:
        split(net)
    x = torch.randn(4, 3, 32, 32).contiguous(memory_format=torch.channels_last)
    shaken(net).eval()
    for arch in some(2, SMALL):
        hot = [F.one_hot(torch.tensor(i), 2).float() for i in arch]
        one, other = net(x, fixed(SMALL, arch)), net(x, mixture(SMALL, hot))
        assert torch.allclose(one, other, rtol=1e-4, atol=1e-5 * float(one.detach().abs().max()))


@pytest.mark.parametrize("weights", [Bias, SharedBias])
def test_batch_norm_behind_1x1_convolutions_cancels_every_bias(weights: type[ContextWeights]) -> None:
    """In float64, so that rounding is far below: the same logits whatever the vectors, whose gradients are zero."""
    base, net, x = fair(None).double(), fair(weights).double(), torch.randn(8, 3, 64, 64).double()
    assert net.contexts is not None
    with torch.no_grad():
        for p in net.contexts.parameters():
            p.normal_()
    for arch in some():
        logits = net(x, fixed(ALL, arch))
        assert torch.allclose(logits, base(x, fixed(ALL, arch)), rtol=0, atol=1e-10)
        net.zero_grad()
        logits.square().sum().backward()
        grads = [p.grad.to_dense() for p in net.contexts.parameters() if p.grad is not None]
        assert grads
        assert max(float(grad.abs().max()) for grad in grads) < 1e-10


def test_attention_is_not_cancelled() -> None:
    net, gates, x = fair(Attention).double(), fixed(ALL, some()[0]), torch.randn(8, 3, 64, 64).double()
    assert net.contexts is not None
    before = net(x, gates).detach()
    with torch.no_grad():
        for p in net.contexts.parameters():
            p.normal_()
    after = net(x, gates).detach()
    assert float((before - after).abs().max()) > 1e-3


Few = tuple[Images, Images]
# images of one pixel in two channels: what is constant there has gradients without bound
SHORT = Recipe(epochs=4, batch_size=48, shift=1, flip=False, learning_rate=0.05, gradient_clip=1.0)
CASES = {Bias: (2, SHORT), Split: (1, SHORT), Attention: (1, SHORT)}


class Stop(Exception):
    pass


@pytest.mark.parametrize(("weights", "stop"), [(Bias, 2), (Attention, 2), (Split, 1), (Split, 2), (Split, 3)])
def test_resume_is_bit_identical(
    weights: type[ContextWeights], stop: int, few: Few, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the split, at the epoch after which it comes, and after it."""
    monkeypatch.setattr("oneshot.runs.recording.CHECKPOINT_SECONDS", 0.0)
    depth, recipe = CASES[weights]
    folder = RunFolder.create(tmp_path / "run", {})

    def trained(folder: RunFolder | None, on_epoch: Callable[..., None] | None = None) -> nn.Module:
        net = fair(weights, depth, space=SMALL)
        train(
            net,
            SinglePath(SMALL, Uniform(SMALL)),
            *few,
            recipe,
            3,
            folder,
            callbacks=[OnEpoch(on_epoch)] if on_epoch else (),
        )
        return net

    def interrupt(row: dict) -> None:
        if row["epoch"] == stop:
            raise Stop

    with pytest.raises(Stop):
        trained(folder, interrupt)
    straight, resumed = trained(None).state_dict(), trained(folder).state_dict()
    assert all(torch.equal(value, resumed[name]) for name, value in straight.items())


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("weights", [Bias, Attention, Split])
def test_evaluation_leaves_the_network_alone(weights: type[ContextWeights], mode: str, few: Few) -> None:
    net, archs = fair(weights, space=SMALL), some(2, SMALL)
    if weights is Split:
        split(net)
    shaken(net)
    before = {k: v.clone() for k, v in net.state_dict().items()}
    evaluator = SupernetEvaluator(net, SMALL, *few, norm=mode, batch_size=16)
    together = evaluator(archs)
    assert evaluator(archs[1:]).values == together.values[1:]
    after = net.state_dict()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("mode", MODES)
def test_predictions_right_after_the_split_and_later(mode: str, few: Few) -> None:
    """At first bit-identical; then as of a baseline into which the architecture's copies were put by hand."""
    net, archs = shaken(fair(Split, space=SMALL)), some(2, SMALL)
    before = SupernetEvaluator(net, SMALL, *few, norm=mode, batch_size=16)(archs)
    split(net)
    assert before.values == SupernetEvaluator(net, SMALL, *few, norm=mode, batch_size=16)(archs).values
    shaken(net)
    for arch in archs:
        base = fair(None, space=SMALL)
        names = {*base.state_dict()}
        state = {name: value for name, value in net.state_dict().items() if name in names}
        for name, value in net.state_dict().items():
            parts = name.split(".")
            if parts[0] == "blocks":
                site, option = int(parts[1]), arch[int(parts[1])]
                if int(parts[3]) == 2 * (arch[site - 1] if site else 0) + option:
                    state[".".join([*parts[:3], str(option), *parts[4:]])] = value
        base.load_state_dict(state)
        one, other = (SupernetEvaluator(n, SMALL, *few, norm=mode, batch_size=16)([arch]) for n in (net, base))
        assert one.values == other.values


def test_the_catalogue_hands_it_on_or_refuses() -> None:
    config = Config.of(space="fairnas", channels=2, depth=2, context="bias")
    net = network(config, 10)
    assert isinstance(net, FairNasNet)
    assert isinstance(net.contexts, Bias)
    assert net.contexts.priors.before[:4] == ((), (0,), (0, 1), (1, 2))
    with pytest.raises(ValueError, match=r"context must be none for nasbench101.*, got bias: weights depend on"):
        network(config.but(space="nasbench101"), 10)
    with pytest.raises(ValueError, match="depth must be from 1 to 18 for 19 choices, got 19"):
        network(config.but(depth=19), 10)

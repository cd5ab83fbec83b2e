"""BatchNorm modes against their definitions, and a network that is left alone."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from oneshot.evaluators.racing import race, ranked
from oneshot.evaluators.supernet import Slices, SupernetEvaluator

from oneshot.data.source import Images
from oneshot.gates import fixed
from oneshot.methods.single_path import SinglePath
from oneshot.nn.norm import batch_norms
from oneshot.nn.recalibration import NormMode
from oneshot.samplers.uniform import Uniform, distinct
from oneshot.spaces.nasbench201 import ALL
from oneshot.supernets.nasbench201 import NasBench201Net
from oneshot.training.loop import train
from oneshot.training.precision import used
from oneshot.training.recipe import Recipe

ARCH = (3, 1, 2, 4, 3, 2)
ALL_FOUR = [ARCH, (3, 1, 2, 4, 3, 1), (0, 1, 2, 3, 4, 0), (2,) * 6]
MODES = ("inherit", "batch", "ema-3", "reset-ema-3", "reset-cumulative-3")


@pytest.fixture
def net(few: tuple[Images, Images]) -> NasBench201Net:
    net = NasBench201Net(ALL, 4, 1).to(memory_format=torch.channels_last)  # pyright: ignore
    train(net, SinglePath(ALL, Uniform(ALL)), *few, Recipe(epochs=8, batch_size=16, shift=0, flip=False))
    return net


def by_hand(net: NasBench201Net, few: tuple[Images, Images], mode: str) -> tuple[float, float]:
    """Accuracy and loss by the mode's definition: statistics averaged in float64 outside of BatchNorm."""
    net = copy.deepcopy(net)
    gates, norms = fixed(ALL, ARCH), batch_norms(net)
    batches = [few[0].normalised(p) for p in few[0].pixels[:48].split(16)]
    net.eval()
    if mode == "batch":
        net.train()
    if mode not in ("inherit", "batch"):
        start = {n: (n.running_mean.double().clone(), n.running_var.double().clone()) for n in norms}  # pyright: ignore
        if mode.startswith("reset"):
            start = {n: (torch.zeros_like(m), torch.ones_like(v)) for n, (m, v) in start.items()}
        seen: dict = {n: [] for n in norms}
        hooks = [n.register_forward_hook(lambda m, i, o: seen[m].append(i[0].detach().double())) for n in norms]
        net.train()
        for x in batches:
            net(x, gates)
        net.eval()
        for hook in hooks:
            hook.remove()
        for n in norms:
            mean, var = start[n]
            count = len(seen[n])
            if "cumulative" in mode and count:
                mean = sum(x.mean((0, 2, 3)) for x in seen[n]) / count
                var = sum(x.var((0, 2, 3)) for x in seen[n]) / count
            elif count:
                for x in seen[n]:
                    mean = 0.9 * mean + 0.1 * x.mean((0, 2, 3))
                    var = 0.9 * var + 0.1 * x.var((0, 2, 3))
            n.running_mean.copy_(mean), n.running_var.copy_(var)  # pyright: ignore
    correct = loss = 0.0
    with torch.no_grad():
        for p, y in zip(few[1].pixels.split(16), few[1].labels.split(16), strict=True):
            logits = net(few[1].normalised(p), gates)
            correct += float((logits.argmax(1) == y).sum())
            loss += float(F.cross_entropy(logits, y, reduction="sum"))
    return 100 * correct / 64, loss / 64


@pytest.mark.parametrize("mode", MODES)
def test_modes_by_hand(mode: str, net: NasBench201Net, few: tuple[Images, Images]) -> None:
    (value,) = SupernetEvaluator(net, ALL, *few, norm=mode, batch_size=16)([ARCH]).values
    accuracy, loss = by_hand(net, few, mode)
    assert value.accuracy == pytest.approx(accuracy, abs=100 / 64 + 1e-9)
    assert value.loss == pytest.approx(loss, rel=1e-4)
    assert value.images == 64
    assert value.standard_error == pytest.approx((value.accuracy * (100 - value.accuracy) / 64) ** 0.5)


def test_modes_differ(net: NasBench201Net, few: tuple[Images, Images]) -> None:
    losses = {SupernetEvaluator(net, ALL, *few, norm=mode, batch_size=16)([ARCH]).values[0].loss for mode in MODES}
    assert len(losses) == 5


def test_the_protocol_names_what_the_predictions_depend_on(few: tuple[Images, Images]) -> None:
    """The precision is the one in use, so that predictions of different machines are not taken for one another's."""
    net, protocols = NasBench201Net(ALL, 2, 1), {}
    for precision in ("auto", "float32", "bf16"):
        evaluator = SupernetEvaluator(net, ALL, *few, norm="ema-3", batch_size=16, precision=precision)
        protocols[precision] = evaluator([ARCH]).protocol
        assert protocols[precision] == evaluator.protocol
    assert protocols["float32"] == {
        "evaluator": "supernet", "batch_norm": "ema-3", "calibration_images": 48, "batch_size": 16,
        "validation_images": 64, "precision": "float32", "device": "cpu",
    }  # fmt: skip
    assert protocols["bf16"] == {**protocols["float32"], "precision": "bf16"}
    assert protocols["auto"] == {**protocols["float32"], "precision": used("auto", torch.device("cpu"))}


@pytest.mark.parametrize("mode", MODES)
def test_the_network_stays_what_it_was(mode: str, net: NasBench201Net, few: tuple[Images, Images]) -> None:
    before = copy.deepcopy(net.state_dict())
    modules = [m.training for m in net.modules()]
    SupernetEvaluator(net, ALL, *few, norm=mode, batch_size=16)([ARCH, (0,) * 6])
    assert all(torch.equal(a, b) for a, b in zip(before.values(), net.state_dict().values(), strict=True))
    assert [m.training for m in net.modules()] == modules
    assert {n.momentum for n in batch_norms(net)} == {0.1}


def test_the_network_stays_what_it_was_after_a_failure(
    net: NasBench201Net, few: tuple[Images, Images], monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluator, before = SupernetEvaluator(net, ALL, *few, norm="reset-cumulative-2", batch_size=16), net.state_dict()
    before = copy.deepcopy(before)
    monkeypatch.setattr(F, "cross_entropy", lambda *a, **k: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        evaluator([ARCH])
    assert all(torch.equal(a, b) for a, b in zip(before.values(), net.state_dict().values(), strict=True))
    assert net.training


def test_small_training_sets_share_their_images_among_the_passes(few: tuple[Images, Images]) -> None:
    evaluator = SupernetEvaluator(NasBench201Net(ALL, 2, 1), ALL, *few, norm="ema-20", batch_size=256)
    assert evaluator.protocol["calibration_images"] == 80
    with pytest.raises(ValueError, match="ema-97 needs at least 97 training images, got 96"):
        SupernetEvaluator(NasBench201Net(ALL, 2, 1), ALL, *few, norm="ema-97")


@pytest.mark.parametrize("text", ["", "emma-3", "ema", "ema-0", "ema--1", "reset-5", "batch-3", "inherit-1"])
def test_unknown_modes(text: str) -> None:
    with pytest.raises(ValueError, match="no BatchNorm mode"):
        NormMode.parse(text)


@pytest.mark.parametrize("text", MODES)
def test_modes_round_trip(text: str) -> None:
    assert str(NormMode.parse(text)) == text


@pytest.mark.parametrize("mode", ["inherit", "ema-3", "reset-cumulative-3"])
def test_slices_make_the_same_predictions(mode: str, net: NasBench201Net, few: tuple[Images, Images]) -> None:
    """Bit by bit, in whatever company each slice is seen, and without another recalibration."""
    evaluator, archs = SupernetEvaluator(net, ALL, *few, norm=mode, batch_size=16), ALL_FOUR
    slices, ran = Slices(evaluator), []
    seen = slices(archs, slice(0, 32)).rows(np.array([3, 1]))
    net.stem.register_forward_pre_hook(lambda module, inputs: ran.append(inputs[0]))
    seen = seen.then(slices([archs[3], archs[1]], slice(32, 64)))
    assert len(ran) == 2
    assert tuple(seen.predictions()) == evaluator([archs[3], archs[1]]).values
    with pytest.raises(ValueError, match="must begin at a batch of 16, got 24"):
        slices(archs, slice(24, 64))


def test_a_race_is_the_full_evaluation(net: NasBench201Net, few: tuple[Images, Images]) -> None:
    evaluator = SupernetEvaluator(net, ALL, *few, norm="ema-3", batch_size=16)
    archs = distinct(ALL, 12, np.random.default_rng(0))
    found, whole = race(Slices(evaluator), ALL, archs, 3, 64, 16), dict(evaluator(archs))
    assert list(found.best) == ranked(ALL, whole)[:3]
    assert all(whole[arch] == value for arch, value in found.finished.items())


def test_batches_of_validation_cannot_be_raced(net: NasBench201Net, few: tuple[Images, Images]) -> None:
    with pytest.raises(ValueError, match="must not depend on those beside it"):
        Slices(SupernetEvaluator(net, ALL, *few, norm="batch"))


@pytest.mark.parametrize("together", [1, 3, 4])
def test_progress_is_told_in_architectures(together: int, few: tuple[Images, Images]) -> None:
    """While their work is done, and evenly: here an architecture's is 3 batches of recalibration and 4 of images."""
    net = NasBench201Net(ALL, 4, 1)
    evaluator = SupernetEvaluator(net, ALL, *few, norm="ema-3", batch_size=16, together=together)
    done, told = [0], []
    net.classifier.register_forward_pre_hook(lambda module, inputs: done.append(done[-1] + 1))
    evaluator.on_progress = lambda n: told.append((n, done[-1]))
    evaluator([(3, 1, 2, 4, 3, option) for option in range(4)])
    assert [n for n, _ in told] == [1] * 4
    assert [passes for _, passes in told] == [7, 14, 21, 28]


def test_as_many_together_as_memory_allows(few: tuple[Images, Images]) -> None:
    net, archs = NasBench201Net(ALL, 4, 1).to(memory_format=torch.channels_last), list(ALL)[10_000:10_012]  # pyright: ignore
    sizes = []
    for memory in (0, 1, 100):
        evaluator = SupernetEvaluator(net, ALL, *few, norm="ema-3", batch_size=256, memory=memory)
        sizes.append([len(part) for part in evaluator.groups(archs)])
        assert sum(sizes[-1]) == 12
    assert sizes[0] == [1] * 12
    assert 1 < sizes[1][0] < sizes[2][0] == 12
    evaluator = SupernetEvaluator(net, ALL, *few, together=5)
    assert [len(part) for part in evaluator.groups(archs)] == [5, 5, 2]
    with pytest.raises(ValueError, match="together must be at least 1, got 0"):
        SupernetEvaluator(net, ALL, *few, together=0)

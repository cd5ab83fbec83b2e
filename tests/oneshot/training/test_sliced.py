"""Optimiser hygiene within sliced weights: what a path did not use of a tensor stays as it is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from oneshot.data.source import Images
from oneshot.gates import fixed
from oneshot.methods.single_path import SinglePath
from oneshot.nn.operations import ReluConvNorm
from oneshot.nn.sliced import SlicedBatchNorm, SlicedConv, SlicedConvNormRelu
from oneshot.runs.folder import RunFolder
from oneshot.samplers.uniform import Uniform
from oneshot.spaces.nasbench101 import ALL
from oneshot.supernets.nasbench101 import NasBench101Net
from oneshot.training.callbacks import OnEpoch
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe
from oneshot.training.weights import of_weights

SGD = Recipe(learning_rate=0.1, weight_decay=0.1)
RECIPES = {
    "sgd": SGD,
    "nesterov": replace(SGD, nesterov=True),
    "plain": replace(SGD, momentum=0.0),
    "muon": Recipe(optimizer="muon", learning_rate=0.05, nesterov=True, weight_decay=0.1),
}


def tensors(net: nn.Module, optimizer: torch.optim.Optimizer) -> dict[Any, Tensor]:
    """Every parameter, and everything that the optimiser keeps of it in its shape."""
    found: dict[Any, Tensor] = dict(net.named_parameters())
    for name, p in net.named_parameters():
        kept = optimizer.state.get(p, {})
        found |= {(name, key): t for key, t in kept.items() if isinstance(t, Tensor) and t.shape == p.shape}
    return found


@pytest.mark.parametrize("name", RECIPES)
def test_a_corner_moves_as_a_tensor_of_its_size(name: str) -> None:
    """Twin: layers that are no larger than what the passes use, with an optimiser of their own."""
    ours, theirs = SlicedConvNormRelu(9, 8, 3), ReluConvNorm(7, 5, 3)
    theirs.load_state_dict(
        {k: t[:5, :7] if t.dim() > 1 else t[:5] if t.dim() else t for k, t in ours.state_dict().items()}
    )
    pairs = [(net, of_weights(net, RECIPES[name])) for net in (ours, theirs)]
    for _ in range(4):
        x, target = torch.randn(2, 7, 5, 5), torch.randn(2, 5, 5, 5)
        for net, optimizer in pairs:
            y = net(x, 5) if net is ours else net(x).relu()
            (y - target).square().sum().backward()
            optimizer.step()
            optimizer.zero_grad()
    for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(p[:5, :7] if p.dim() > 1 else p[:5], q, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", RECIPES)
def test_what_a_step_did_not_use_keeps_its_bits(name: str) -> None:
    """First the whole tensors get momentum, then steps use one corner, and two that do not hold each other."""
    net = SlicedConvNormRelu(9, 8, 3)
    optimizer = of_weights(net, RECIPES[name])
    for corners in ([(8, 9)], [(3, 6)], [(3, 6), (5, 2)], [(8, 9), (1, 1)]):
        before = {key: t.detach().clone() for key, t in tensors(net, optimizer).items()}
        for rows, columns in corners:
            (net(torch.randn(2, columns, 4, 4), rows) - torch.randn(2, rows, 4, 4)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        for key, old in before.items():
            used = torch.zeros_like(old, dtype=torch.bool)
            for corner in corners:
                used[tuple(map(slice, corner[: old.dim()]))] = True
            new = tensors(net, optimizer)[key]
            assert torch.equal(new[~used], old[~used]), (name, corners, key)
            if old.dim() > 1:  # a norm has no decay, and perhaps nothing but zeros behind its ReLU
                assert (new != old)[used].float().mean() > 0.9, (name, corners, key)


@pytest.mark.parametrize("name", ["sgd", "muon"])
def test_paths_of_a_supernet_leave_the_rest_alone(name: str) -> None:
    """Weights, decay and momentum outside the leading channels that hooks see."""
    net = NasBench101Net(ALL, 6, 1, affine=True)
    optimizer, used = of_weights(net, RECIPES[name]), dict[nn.Parameter, tuple[int, ...]]()

    def note(module: Any, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        corner = (output.shape[1], inputs[0].shape[1])
        used.update({p: corner[: min(p.dim(), 2)] for p in module.parameters(recurse=False)})

    for module in net.modules():
        if isinstance(module, SlicedConv | SlicedBatchNorm):
            module.register_forward_hook(note)
    sliced = {p for m in net.modules() if isinstance(m, SlicedConv | SlicedBatchNorm) for p in m.parameters()}
    names = {name: p for name, p in net.named_parameters() if p in sliced}
    for text in ("conv3x3~0|conv1x1~0|conv3x3~12|output~123", "conv1x1~0|conv3x3~01|output~012", "conv3x3~0|output~1"):
        before = {key: t.detach().clone() for key, t in tensors(net, optimizer).items()}
        used.clear()
        net(torch.randn(4, 3, 8, 8), fixed(ALL, ALL.parse(text))).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        for key, new in tensors(net, optimizer).items():
            p = names.get(key if isinstance(key, str) else key[0])
            if p is not None and key in before:
                rest = torch.ones_like(new, dtype=torch.bool)
                rest[tuple(map(slice, used.get(p, (0,))))] = False
                assert torch.equal(new[rest], before[key][rest]), (text, key)


@pytest.mark.parametrize("name", ["sgd", "muon"])
def test_resume_is_bit_identical(
    name: str, few: tuple[Images, Images], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = replace(RECIPES[name], epochs=3, batch_size=32, shift=0, flip=False)

    def network() -> NasBench101Net:
        torch.manual_seed(1)
        return NasBench101Net(ALL, 6, 1).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]

    def stop(row: Any) -> None:
        raise InterruptedError

    straight, resumed = network(), network()
    train(straight, SinglePath(ALL, Uniform(ALL)), *few, recipe)
    monkeypatch.setattr("oneshot.runs.recording.CHECKPOINT_SECONDS", 0.0)
    folder = RunFolder.create(tmp_path / "run", {})
    with pytest.raises(InterruptedError):
        train(network(), SinglePath(ALL, Uniform(ALL)), *few, recipe, 0, folder, callbacks=[OnEpoch(stop)])
    train(resumed, SinglePath(ALL, Uniform(ALL)), *few, recipe, 0, folder)
    for a, b in zip(straight.state_dict().values(), resumed.state_dict().values(), strict=True):
        assert torch.equal(a, b)

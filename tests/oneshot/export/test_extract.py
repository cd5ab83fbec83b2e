"""A network of one architecture says what the supernet says of it, and holds nothing else."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from oneshot.evaluators.supernet import of_run
from safetensors.torch import load_file, save_file
from torch import nn

import oneshot
from oneshot.export.extract import METADATA, Extracted, extract, load_network
from oneshot.export.formats import save
from oneshot.nn.choice import ChoiceBlock, split
from oneshot.registry import CONTEXTS, SPACES, skeleton_of
from oneshot.runs.config import Config
from oneshot.runs.run import Run, build
from oneshot.samplers.uniform import distinct
from oneshot.training.loop import train
from oneshot.training.recipe import Recipe

RECIPE = Recipe(epochs=1, batch_size=216, learning_rate=0.05, shift=0, flip=False, precision="float32")
ALL = [(name, "none") for name in SPACES]
ALL += [("nasbench201", name) for name in CONTEXTS if name != "none"]
NORM = {"norm": "ema-2", "batch_size": 108}


def small(space: str, context: str = "none", **settings: object) -> Run:
    """A run that has not trained, but whose statistics and vectors are not those it began with."""
    known, sizes = {f.name for f in fields(skeleton_of(space))}, {"channels": 8, "cells": 1}
    sizes = {f"space.{name}": value for name, value in sizes.items() if name in known}
    given = {"space": space, "context": context, "dataset": "digits", "split": "half", **sizes, **settings}
    if context == "split":
        given["split_epoch"] = 1
    run = build(Config.of(**given), Recipe(epochs=2, batch_size=216, precision="float32", shift=0, flip=False))
    if context == "split":
        split(run.net)
    for p in run.net.parameters():
        if p.dim() < 3:
            nn.init.normal_(p, 0, 0.3)
    return run


def right(module: nn.Module, run: Run) -> float:
    with torch.no_grad():
        hits = [(module(x).argmax(1) == y).sum() for x, y in run.valid.batches(256)]
    return 100 * float(sum(hits)) / len(run.valid)


MASKED = {"method": "hm-nas", "warm_start": 1, "mask_epochs": 1, "fine_tune_epochs": 0}


def masked() -> Run:
    """HM-NAS with mixing weights of its own, of which three operations and an edge are masked."""
    run = small("nasbench201-subsets", **MASKED)
    method: Any = run.method
    with torch.no_grad():
        for p in (*method.alphas, *method.betas):
            p.normal_()
        method.masks.operations[0][:2] = 0
        method.masks.operations[4][1] = 0
        method.masks.edges[2][0] = 0
    return run


def test_what_hmnas_found_runs_with_its_mixing_weights(tmp_path: Path) -> None:
    run = masked()
    method: Any = run.method
    found, other = (
        method.derive(),
        SPACES["nasbench201-subsets"].parse("skip_connect|none|nor_conv_3x3|none|none|skip_connect"),
    )
    x = next(run.valid.batches(8))[0]
    with torch.no_grad():
        assert torch.allclose(run.net(x, method.gates_of(found)), run.net(x, method.searched()), atol=1e-5)
        assert not torch.allclose(run.net(x, method.gates_of(found)), run.net(x, run.space.gates(found)), atol=1e-2)
    assert method.gates_of(other) == run.space.gates(other)
    evaluator, module = of_run(run, **NORM), extract(run, **NORM)
    assert evaluator.protocol["mixing_weights_of"] == run.space.format(found)
    (predicted,) = evaluator([found]).accuracy
    assert predicted == pytest.approx(right(module, run))
    assert [len(site) for site in module.facts["weights"]] == [len(gate) for gate in method.searched()]
    assert "weights" not in extract(run, other, **NORM).facts
    save(module, tmp_path / "found.safetensors")
    with torch.no_grad():
        assert torch.allclose(load_network(tmp_path / "found.safetensors")(x), module(x), atol=1e-5)


def test_mixing_weights_that_do_not_fit_are_said_to_be(tmp_path: Path) -> None:
    run, path = masked(), tmp_path / "found.safetensors"
    module = extract(run, **NORM)
    module.facts["weights"].pop()
    with pytest.raises(ValueError, match="one mixing weight for each operation"):
        save(module, path)


@pytest.mark.parametrize("count", [3, pytest.param(20, marks=pytest.mark.long)])
@pytest.mark.parametrize(("space", "context"), ALL)
def test_architectures_are_as_accurate_as_predicted_to_the_image(space: str, context: str, count: int) -> None:
    run = small(space, context)
    archs = distinct(run.space, count, np.random.default_rng(0))
    predicted = of_run(run, **NORM)(archs).accuracy
    before = {key: value.clone() for key, value in run.net.state_dict().items()}
    for arch, accuracy in zip(archs, predicted, strict=True):
        module = extract(run, arch, **NORM)
        assert not module.training
        assert right(module, run) == pytest.approx(accuracy, abs=1e-9)
    assert all(torch.equal(value, before[key]) for key, value in run.net.state_dict().items())


def test_it_holds_what_the_architecture_uses_and_nothing_else() -> None:
    run = small("nasbench201", "bias")
    dead = "|nor_conv_3x3~0|+|none~0|none~1|+|nor_conv_1x1~0|none~1|none~2|"  # nothing leaves node 1
    module = extract(run, dead, **NORM)
    used = {id(p) for p in module.parameters()}
    for p in module.parameters():
        p.requires_grad_()
    module(torch.randn(2, 3, 8, 8)).sum().backward()
    assert used == {id(p) for p in module.parameters() if p.grad is not None}
    theirs = {id(m) for m in run.net.modules()} | {value.data_ptr() for value in run.net.state_dict().values()}
    assert not theirs & ({id(m) for m in module.modules()} | {v.data_ptr() for v in module.state_dict().values()})
    blocks = [m for m in module.modules() if isinstance(m, ChoiceBlock)]
    assert all(len(block.options) == 1 for block in blocks)


def test_sliced_weights_are_as_narrow_as_the_graph() -> None:
    run = small("nasbench101")
    arch = distinct(run.space, 1, np.random.default_rng(1))[0]
    module = extract(run, arch, **NORM)
    assert sum(p.numel() for p in module.parameters()) < sum(p.numel() for p in run.net.parameters()) / 5


@pytest.mark.parametrize(("space", "context"), [("nasbench201", "bias"), ("nasbench101", "none"), ("nasnet", "none")])
def test_the_file_alone_gives_it_back(space: str, context: str, tmp_path: Path) -> None:
    run = small(space, context)
    module = oneshot.extract(run, distinct(run.space, 1, np.random.default_rng(2))[0], **NORM)
    assert save(module, tmp_path / "found.safetensors") == 0
    again = oneshot.load_network(tmp_path / "found.safetensors")
    assert again.facts == json.loads(json.dumps(module.facts))
    ours, theirs = module.state_dict(), again.state_dict()
    assert ours.keys() == theirs.keys() == load_file(tmp_path / "found.safetensors").keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
    assert again.facts["protocol"]["batch_norm"] == "ema-2"
    assert len(again.facts["mean"]) == 3


def test_it_trains_further(tmp_path: Path) -> None:
    run = small("nasnet", auxiliary=True)
    module = extract(run, distinct(run.space, 1, np.random.default_rng(0))[0], **NORM).train()
    module(torch.randn(4, 3, 8, 8)).sum().backward()
    assert all(p.grad is not None for p in module.parameters())


def test_a_run_gives_what_it_derives(tmp_path: Path) -> None:
    run = build(Config.of(method="darts", dataset="digits", split="half", channels=2, cells=1), RECIPE)
    train(run.net, run.method, run.train, run.valid, RECIPE)
    found = run.method.derive()
    assert found is not None
    assert extract(run, **NORM).facts["arch"] == run.space.format(found)


def test_what_cannot_be(tmp_path: Path) -> None:
    run = small("nasbench201")
    with pytest.raises(ValueError, match="method single-path derives no architecture: name one"):
        extract(run)
    with pytest.raises(ValueError, match="must be another than batch"):
        extract(run, (0,) * 6, norm="batch")
    with pytest.raises(ValueError, match="is no architecture"):
        extract(run, (9,) * 6)
    other = tmp_path / "other.safetensors"
    save_file({"a": torch.ones(1)}, other)
    with pytest.raises(ValueError, match="is no network of `oneshot export`"):
        load_network(other)
    other.write_bytes(b"nothing")
    with pytest.raises(ValueError, match="is no safetensors file"):
        load_network(other)
    module = extract(run, (3,) * 6, **NORM)
    state = dict(list(module.state_dict().items())[1:])
    save_file({k: v.contiguous() for k, v in state.items()}, other, {METADATA: json.dumps(module.facts)})
    with pytest.raises(ValueError, match="does not fit the network"):
        load_network(other)


def test_a_network_that_is_no_part_of_its_supernet_is_refused() -> None:
    class Odd(nn.Module):
        def __init__(self, space: oneshot.Space) -> None:
            super().__init__()
            self.layer = nn.Linear(3, 10 if len(space.decisions[0].options) > 1 else 11)

        def forward(self, x: torch.Tensor, gates: object) -> torch.Tensor:
            return self.layer(x.mean((2, 3)))

    from oneshot.runs.inherit import inherit

    space = SPACES["nasbench201"]
    own, x = space.only((0,) * 6), torch.randn(2, 3, 8, 8)
    with pytest.raises(ValueError, match="is no part of its supernet"):
        inherit(Odd(space), space, (0,) * 6, Odd(own), own, x)


def test_extracted_is_a_plain_module() -> None:
    module = extract(small("nasbench201"), (3,) * 6, **NORM)
    assert isinstance(module, Extracted)
    fresh = extract(small("nasbench201"), (3,) * 6, **NORM)
    for p in fresh.parameters():
        nn.init.zeros_(p)
    fresh.load_state_dict(module.state_dict())
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(module(x), fresh(x))
